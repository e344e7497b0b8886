"""An image as planes that come one after the other, and what is asked of them on their way."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatVolume, GridShape
from medvision.preprocess.checks import raise_constant, raise_empty_crop, raise_not_finite
from medvision.preprocess.fused.grid import Box
from medvision.preprocess.fused.sample import Plane


class Planes(Protocol):
    """An image that can be read from its first plane to its last, and then again."""

    @property
    def shape(self) -> GridShape:
        """Voxels (i, j, k)."""
        ...

    @property
    def affine(self) -> Affine:
        """(4, 4), index to RAS+ mm."""
        ...

    def read(self) -> Iterator[Plane]:
        """Yield the planes (C, J, I) of k = 0, 1, ..., scaled; each an array of its own."""
        ...


@dataclass(frozen=True)
class ArrayPlanes:
    """The planes of an image that is already in memory, (C, I, J, K)."""

    array: FloatVolume
    affine: Affine

    @property
    def shape(self) -> GridShape:
        """Voxels (i, j, k)."""
        i, j, k = self.array.shape[1:]
        return i, j, k

    def read(self) -> Iterator[Plane]:
        """Yield the planes."""
        for k in range(self.array.shape[3]):
            yield self.array[..., k].transpose(0, 2, 1)


@dataclass
class Watch:
    """What is learnt of the values while they pass: range, faults, extent of the foreground.

    Args:
        above: Threshold of the foreground in the source's values, or None.
    """

    above: float | None
    low: float = np.inf
    high: float = -np.inf
    n_bad: int = 0
    n_voxels: int = 0
    _peak: NDArray[np.number] | None = None
    _peaks_k: list[float] = field(default_factory=list)

    def follow(self, planes: Iterator[Plane]) -> Iterator[Plane]:
        """Hand the planes on."""
        for plane in planes:
            self._see(plane)
            yield plane

    def check(self) -> None:
        """Refuse an image that is not finite, or of one value.

        Raises:
            UnusableImageError: With the reason.
        """
        if self.n_bad:
            raise_not_finite(self.n_bad, self.n_voxels)
        if not self.n_voxels or self.low == self.high:
            raise_constant(self.low if self.n_voxels else None)

    def find_box(self) -> Box:
        """Return the box around the foreground, (first, end) along (i, j, k).

        Raises:
            UnusableImageError: No voxel is above the threshold.
        """
        limit = np.float32(self.above or 0.0)
        if self._peak is None or not self.high > limit:
            raise_empty_crop(self.high, above=float(limit))
        mask = self._peak.astype(np.float32) > limit
        held = (mask.any(axis=0), mask.any(axis=1), np.array(self._peaks_k, np.float32) > limit)
        ends = [np.flatnonzero(line)[[0, -1]].tolist() for line in held]
        return tuple((first, last + 1) for first, last in ends)

    def _see(self, plane: Plane) -> None:
        """Take one plane into account."""
        low, high = float(plane.min()), float(plane.max())
        self.n_voxels += plane.size
        if not (np.isfinite(low) and np.isfinite(high)):
            self.n_bad += int(plane.size - np.isfinite(plane).sum())
        self.low, self.high = min(self.low, low), max(self.high, high)
        if self.above is None:
            return
        peak = plane.max(axis=0)
        self._peaks_k.append(high)
        self._peak = peak if self._peak is None else np.maximum(self._peak, peak)
