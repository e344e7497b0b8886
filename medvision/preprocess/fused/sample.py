"""Separable linear sampling: two taps an axis, plane by plane as the planes come."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.volume import NumberGrid
from medvision.preprocess.fused.grid import Coordinates

Plane = NumberGrid
"""(C, J, I) of any number type: one plane of constant k."""

FloatPlane = NDArray[np.float32]
"""(C, J, I) float32."""


@dataclass(frozen=True)
class Taps:
    """The two source indices that each voxel is read from, and the weight of the second."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    weight: NDArray[np.float32]


def build_taps(line: Coordinates, length: int) -> Taps:
    """Return the taps of fractional indices within [0, length - 1]."""
    low = np.clip(np.floor(line).astype(np.intp), 0, length - 1)
    high = np.minimum(low + 1, length - 1)
    return Taps(low, high, (line - low).astype(np.float32))


def sample_planes(planes: Iterable[Plane], lines: Sequence[Coordinates]) -> NDArray[np.float32]:
    """Sample a volume whose planes come in order; two of them are held at a time.

    Args:
        planes: (C, J, I) of k = 0, 1, ...; all are read.
        lines: Source indices wanted along (k, j, i); they rise or fall throughout.

    Returns:
        (C, K', J', I') float32.

    Source:
        Trilinear interpolation is the product of three linear ones.
    """
    result: NDArray[np.float32] | None = None
    order = np.argsort(lines[0], kind="stable")
    position, previous = 0, None
    length_k = 1 + int(np.ceil(lines[0].max()))
    taps_k = build_taps(lines[0], length_k)
    weights = np.where(taps_k.low == taps_k.high, np.float32(1), taps_k.weight)
    sampler = _PlaneSampler(lines[1], lines[2])
    for index, plane in enumerate(planes):
        if result is None:
            result = np.empty((len(plane), *map(len, lines)), dtype=np.float32)
        while position < len(order) and taps_k.high[order[position]] == index:
            n = order[position]
            # Infinity less infinity: the image is refused when its last plane has been seen.
            with np.errstate(invalid="ignore", over="ignore"):
                result[:, n] = sampler.sample(previous, plane, weights[n])
            position += 1
        previous = plane
    return np.empty((1, 0, 0, 0), dtype=np.float32) if result is None else result


class _PlaneSampler:
    """The taps of one plane, shared by all, within the part of it that they touch."""

    def __init__(self, line_j: Coordinates, line_i: Coordinates) -> None:
        self._part, taps = [slice(None)], []
        for line in (line_j, line_i):
            first, end = int(np.floor(line.min())), int(np.ceil(line.max())) + 1
            self._part.append(slice(first, end))
            taps.append(build_taps(line - first, end - first))
        self._j, self._i = taps

    def sample(self, previous: Plane | None, plane: Plane, weight: np.float32) -> FloatPlane:
        """Return what lies between two planes, at the wanted places."""
        part = tuple(self._part)
        held = None if previous is None else previous[part]
        rows = _take(_blend(held, plane[part], weight), self._j, axis=1)
        return _take(rows, self._i, axis=2)


def _take(plane: FloatPlane, taps: Taps, *, axis: int) -> FloatPlane:
    """Interpolate along one axis."""
    low: FloatPlane = plane.take(taps.low, axis=axis)
    if not taps.weight.any():
        return low
    high = plane.take(taps.high, axis=axis)
    high -= low
    high *= taps.weight[:, np.newaxis] if axis == 1 else taps.weight
    low += high
    return low


def _blend(previous: Plane | None, plane: Plane, weight: np.float32) -> FloatPlane:
    """Interpolate between two planes."""
    if previous is None or weight == 1:
        return plane.astype(np.float32)
    result: FloatPlane = previous.astype(np.float32)
    if weight == 0:
        return result
    result *= np.float32(1) - weight
    result += plane.astype(np.float32) * weight
    return result
