"""Starting weights from a source task: the same network, other images, other labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medvision.learn.backbones import build_backbone
from medvision.learn.dataset import Examples
from medvision.learn.epochs import State
from medvision.learn.freezing import Freezing
from medvision.learn.settings import Amp, TrainSettings
from medvision.learn.train import Fit, fit_network
from medvision.runtime.seeds import derive_seed, seed_everything

VALIDATION_SHARE = 0.15
"""Share of the source images held back to choose the epoch."""

_WEIGHT_DECAY = 0.01


@dataclass(frozen=True)
class Pretraining:
    """A network trained on the source task.

    Args:
        fit: Weights of the best epoch, and the history.
        n_training: Source images trained on.
        n_validation: Source images held back.
    """

    fit: Fit
    n_training: int
    n_validation: int


def pretrain_backbone(
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    class_names: Sequence[str],
    backbone: str,
    seed: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    amp: Amp,
    device: torch.device,
    state: State | None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Pretraining:
    """Train a backbone with a head for the source task's classes.

    Args:
        images: Source images (N, C, I, J) or (N, C, I, J, K) float32, scaled as the study's.
        labels: Class index of each, (N,).
        class_names: Names of the source classes.
        backbone: Name of the network.
        seed: Seed of the split, the starting weights and the order.
        epochs: Passes over the source images.
        batch_size: Images a step.
        learning_rate: Peak of the one-cycle schedule.
        amp: auto or off: mixed precision on a GPU.
        device: Where to train.
        state: Where the unfinished training is kept, or None.
        should_stop: Asked before every step whether to keep the state and end.

    Returns:
        The network with the least validation loss.

    Raises:
        TrainingError: A class is absent from a split, the loss is not finite, or the memory is
            full.
        StoppedError: `should_stop` said so.
    """
    training, validation = _split(images, labels, seed=seed)
    seed_everything(derive_seed("pretrain-weights", seed))
    model = build_backbone(
        backbone,
        spatial_dims=images.ndim - 2,
        channels=images.shape[1],
        n_classes=len(class_names),
    )
    fit = fit_network(
        model,
        training,
        validation=validation,
        n_classes=len(class_names),
        settings=TrainSettings(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=_WEIGHT_DECAY,
            imbalance="none",
            monitor="loss",
            patience=epochs,
            amp=amp,
        ),
        freezing=Freezing((), "full"),
        seed=derive_seed("pretrain-order", seed),
        device=device,
        transform=None,
        state=state,
        should_stop=should_stop,
        description="training the source task",
        section="pretrain",
    )
    return Pretraining(fit, len(training), len(validation))


def _split(
    images: NDArray[np.float32], labels: NDArray[np.int64], *, seed: int
) -> tuple[Examples, Examples]:
    """Hold back a share of every class; each source image is a subject of its own."""
    generator = np.random.default_rng(seed)
    held_back: list[int] = []
    for index in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == index))
        held_back.extend(members[: max(1, round(VALIDATION_SHARE * len(members)))])
    is_held_back = np.isin(np.arange(len(labels)), held_back)
    return (
        _select(images, labels, rows=np.flatnonzero(~is_held_back)),
        _select(images, labels, rows=np.flatnonzero(is_held_back)),
    )


def _select(
    images: NDArray[np.float32], labels: NDArray[np.int64], *, rows: NDArray[np.int64]
) -> Examples:
    """Return the images of some rows."""
    names = tuple(f"source-{row}" for row in rows)
    return Examples(images, rows, labels[rows].astype(np.int64), names)
