"""A small training of a generator, of which each test changes what it is about."""

from dataclasses import replace

import numpy as np
import torch

from medvision.synthesis.images import RealImages
from medvision.synthesis.settings import GanSettings
from medvision.synthesis.train import Watch, train_gan

SETTINGS = GanSettings(
    steps=12,
    batch_size=4,
    width=8,
    latent=8,
    generator_rate=0.002,
    discriminator_rate=0.002,
    r1_weight=0.3,
    r1_interval=4,
    ema=0.9,
    changes=("intensity", "translation", "cutout"),
    checkpoint_steps=4,
    grid_steps=8,
)
QUIET = Watch("training")


def make_real(*, shape=(1, 9, 8), n_images=12, load=None, seed=0) -> RealImages:
    """Noise about -1 for class 0 and about +1 for class 1, by turns."""
    labels = np.arange(n_images) % 2
    noise = np.random.default_rng(seed).normal(0, 0.1, (n_images, *shape))
    images = (noise + (2 * labels - 1).reshape(-1, *[1] * len(shape))).astype(np.float32)
    return RealImages(
        load=load or (lambda positions: torch.from_numpy(images[positions])),
        labels=labels.astype(np.int64),
        names=tuple(f"sub-{n}_img-{n}" for n in range(n_images)),
        shape=shape,
        n_classes=2,
    )


def train(real=None, *, state=None, watch=QUIET, seed=0, **changed):
    return train_gan(
        real or make_real(),
        settings=replace(SETTINGS, **changed),
        seed=seed,
        device=torch.device("cpu"),
        state=state,
        watch=watch,
    )
