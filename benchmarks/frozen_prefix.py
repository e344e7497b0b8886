"""What it gains to compute features of a frozen backbone, or of its first blocks, once."""

import argparse
import time

import numpy as np
import torch

from medvision.learn.backbones import blocks, build_backbone
from medvision.learn.dataset import Examples
from medvision.learn.freezing import Freezing
from medvision.learn.settings import TrainSettings
from medvision.learn.train import Fit, fit_network


def make_examples(n_images: int, side: int, *, seed: int) -> Examples:
    """Return images of noise in two classes, one of them brighter."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_images) % 2
    images = rng.normal(size=(n_images, 1, side, side)) + labels[:, None, None, None]
    names = tuple(f"sub-{n}" for n in range(n_images))
    return Examples(images.astype(np.float32), np.arange(n_images), labels, names)


def fit(
    backbone: str, reuse: str, *, n_frozen: int, epochs: int, n_images: int, side: int
) -> tuple[Fit, float]:
    """Train what is not frozen; return the training and its CPU seconds."""
    policy = "partial" if n_frozen else "linear"
    torch.manual_seed(0)
    model = build_backbone(backbone, spatial_dims=2, channels=1, n_classes=2)
    training = make_examples(n_images, side, seed=0)
    validation = make_examples(n_images // 4, side, seed=1)
    start = time.process_time()
    done = fit_network(
        model,
        training,
        validation=validation,
        n_classes=2,
        settings=TrainSettings(
            epochs=epochs,
            batch_size=16,
            learning_rate=0.01,
            weight_decay=0.01,
            imbalance="none",
            monitor="loss",
            patience=epochs,
            amp="off",
            reuse_features=reuse,
        ),
        freezing=Freezing(blocks(backbone), policy, frozen_blocks=n_frozen or 1),
        seed=0,
        device=torch.device("cpu"),
        transform=None,
        state=None,
    )
    return done, time.process_time() - start


def main() -> None:
    """Print a row per backbone and number of epochs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--backbones", nargs="+", default=["small", "resnet18", "densenet121"])
    parser.add_argument("--epochs", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--frozen-blocks", type=int, default=0, help="0: all, the head alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for backbone in options.backbones:
        # The first pass of a process pays for kernels that are chosen once.
        frozen = {"n_frozen": options.frozen_blocks, "side": options.side}
        fit(backbone, "auto", epochs=1, n_images=32, **frozen)
        for epochs in options.epochs:
            size = {"epochs": epochs, "n_images": options.images, **frozen}
            (once, short_s), (always, long_s) = (fit(backbone, r, **size) for r in ("auto", "off"))
            equal = all(torch.equal(once.tensors[n], t) for n, t in always.tensors.items())
            print(
                f"{backbone}, {epochs} epochs: {long_s:.2f} CPU s against {short_s:.2f}, "
                f"{long_s / short_s:.1f} times, {long_s / short_s / epochs:.2f} of the epochs; "
                f"final weights bit-equal: {equal}"
            )


if __name__ == "__main__":
    main()
