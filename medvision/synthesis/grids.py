"""From the image's grid to the coarsest one that a network sees, and which grids are supported."""

from dataclasses import dataclass
from math import prod

from medvision.errors import ConfigError

GridSize = tuple[int, ...]
"""Voxels along each spatial axis: (I, J) or (I, J, K)."""

LARGEST_SIDE = {2: 256, 3: 128}
"""Spatial dimensions to the longest side that a generator draws."""

LEAST_SIDE = 8
"""The longest side must have as many voxels: below, there is nothing to coarsen."""

_COARSEST = 4


@dataclass(frozen=True)
class Grids:
    """The grids of a network, the image's own first.

    From one to the next each axis of more than 4 voxels is halved, upwards where it is odd; a
    shorter one stays. A network that refines doubles the same axes and crops the one voxel too
    many.

    Args:
        sizes: Each grid, finest first.
    """

    sizes: tuple[GridSize, ...]

    @property
    def n_axes(self) -> int:
        """2 or 3."""
        return len(self.sizes[0])

    @property
    def n_coarsest(self) -> int:
        """Voxels of the coarsest grid."""
        return prod(self.sizes[-1])

    def list_halved(self, level: int) -> tuple[int, ...]:
        """Return the spatial axes that are halved from one grid to the next.

        Args:
            level: Number of the finer grid, from 0.
        """
        pairs = zip(self.sizes[level], self.sizes[level + 1], strict=True)
        return tuple(axis for axis, (fine, coarse) in enumerate(pairs) if fine != coarse)


def plan_grids(size: GridSize) -> Grids:
    """Halve an image's grid until no axis has more than 4 voxels.

    Args:
        size: Voxels along each spatial axis.

    Returns:
        The grids, at least two.

    Raises:
        ConfigError: The image is larger than a generator supports, or too small to be coarsened.
    """
    check_size(size)
    sizes = [tuple(size)]
    while max(sizes[-1]) > _COARSEST:
        sizes.append(tuple(-(-n // 2) if n > _COARSEST else n for n in sizes[-1]))
    return Grids(tuple(sizes))


def check_size(size: GridSize) -> None:
    """Refuse a grid on which no generator can be trained.

    Args:
        size: Voxels along each spatial axis.

    Raises:
        ConfigError: As `plan_grids`.
    """
    shown, largest = "x".join(map(str, size)), LARGEST_SIDE[len(size)]
    if max(size) > largest:
        raise ConfigError(
            f"synthesise: images must have at most {largest} voxels along each axis in "
            f"{len(size)}D, got {shown}.",
            "lower preprocess.size or widen preprocess.spacing_mm, or set synthesise.generator to "
            "none.",
        )
    if max(size) < LEAST_SIDE:
        raise ConfigError(
            f"synthesise: images must have at least {LEAST_SIDE} voxels along their longest axis, "
            f"got {shown}.",
            "raise preprocess.size, or set synthesise.generator to none.",
        )
