"""The real images that a generator learns from, and their scale."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvision.errors import TrainingError

Load = Callable[[NDArray[np.int64]], Tensor]
"""Positions among the train images, (B,) -> these images, (B, C, I, J[, K]) float32."""

_AT_ONCE = 64


@dataclass(frozen=True)
class RealImages:
    """The images that may be learnt from; no others can be reached.

    Args:
        load: Returns images by their position.
        labels: Class index of each, (n,) int64.
        names: Image id of each, for errors.
        shape: (C, I, J[, K]) of an image.
        n_classes: Classes of the study; some may have no image.
    """

    load: Load
    labels: NDArray[np.int64]
    names: Sequence[str]
    shape: tuple[int, ...]
    n_classes: int

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Scale:
    """Intensities of the train images, per channel: a generator works in standard deviations.

    Args:
        mean: (C,) float32.
        sd: (C,) float32, above 0.
        low: Least value, (C,) float32; nothing below is ever drawn.
        high: Largest value, (C,) float32.
    """

    mean: Tensor
    sd: Tensor
    low: Tensor
    high: Tensor

    def standardise(self, images: Tensor) -> Tensor:
        """Return images in standard deviations from the mean."""
        return (images - _spread(self.mean, images)) / _spread(self.sd, images)

    def restore(self, images: Tensor) -> Tensor:
        """Return images in their own intensities, within the bounds of the train images."""
        own = images * _spread(self.sd, images) + _spread(self.mean, images)
        return torch.clamp(own, _spread(self.low, images), _spread(self.high, images))

    def as_dict(self) -> dict[str, list[float]]:
        """Return the figures as plain lists."""
        return {name: getattr(self, name).tolist() for name in ("mean", "sd", "low", "high")}


def _spread(values: Tensor, images: Tensor) -> Tensor:
    """Return one value per channel in the form of a batch."""
    return values.to(images).reshape(1, -1, *[1] * (images.ndim - 2))


def measure_scale(real: RealImages) -> Scale:
    """Measure the intensities of the images that are learnt from.

    Args:
        real: All of them are read once.

    Raises:
        TrainingError: An image holds a value that is no number, or all are equal.
    """
    total = torch.zeros(real.shape[0], dtype=torch.float64)
    squares = torch.zeros_like(total)
    low, high = torch.full_like(total, torch.inf), torch.full_like(total, -torch.inf)
    count = 0
    for start in range(0, len(real), _AT_ONCE):
        positions = np.arange(start, min(start + _AT_ONCE, len(real)), dtype=np.int64)
        values = real.load(positions)
        _check_numbers(values, [real.names[n] for n in positions.tolist()])
        by_channel = values.transpose(0, 1).flatten(1).double()
        total += by_channel.sum(dim=1)
        squares += by_channel.square().sum(dim=1)
        low = torch.minimum(low, by_channel.amin(dim=1))
        high = torch.maximum(high, by_channel.amax(dim=1))
        count += by_channel.shape[1]
    mean = total / count
    sd = (squares / count - mean.square()).clamp(min=0).sqrt()
    if not bool((sd > 0).all()):
        raise TrainingError(
            "synthesise: train images must differ in intensity, got one value everywhere.",
            "look at preprocess.window and preprocess.normalise.",
        )
    return Scale(mean.float(), sd.float(), low.float(), high.float())


def _check_numbers(values: Tensor, names: Sequence[str]) -> None:
    """Refuse images with values that are none, by name."""
    bad = ~torch.isfinite(values).flatten(1).all(dim=1)
    if bool(bad.any()):
        named = [name for name, is_bad in zip(names, bad.tolist(), strict=True) if is_bad]
        raise TrainingError(
            f"synthesise: values of train images must be finite, got others in {', '.join(named)}.",
            "exclude these images, or look at how they were preprocessed.",
        )


def draw_positions(
    labels: NDArray[np.int64], n_images: int, *, generator: torch.Generator
) -> NDArray[np.int64]:
    """Draw which images a step shows, every class that has any equally often on average.

    Args:
        labels: Class index of each image, (n,).
        n_images: How many are drawn, with replacement.
        generator: CPU generator; it moves on.

    Returns:
        Positions, (n_images,).
    """
    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights = torch.from_numpy(1.0 / counts[index])
    drawn: NDArray[np.int64] = torch.multinomial(
        weights, n_images, replacement=True, generator=generator
    ).numpy()
    return drawn
