"""The planes of an image that are looked at, and where in them the body is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.volume import FloatGrid, NumberGrid

Plane = NDArray[np.float32]
"""(I, J) float32: one plane of an image."""

Mask = NDArray[np.bool_]
"""(I, J) or (I, J, K) bool."""

MAX_PLANES = 32
"""Planes of a volume that are looked at: its cost does not grow with its length."""

_BODY_HU = -500.0
_PADDING_HU = -1100.0
_BINS = 256


@dataclass(frozen=True)
class Planes:
    """What is looked at of one image.

    Args:
        values: (I, J, K') float32, the planes chosen, finite.
        foreground: (I, J, K') bool, the body.
        field: (I, J, K') bool, what was imaged: all but the padding around a round field of CT.
    """

    values: FloatGrid
    foreground: Mask
    field: Mask


def choose_planes(array: NumberGrid, *, is_hu: bool) -> Planes:
    """Take evenly spaced planes of an image and find the body in them.

    Args:
        array: (I, J, K), any number type; what is not finite counts as the smallest value.
        is_hu: The values are Hounsfield units.

    Returns:
        At most `MAX_PLANES` planes.

    Source:
        Foreground: above -500 HU in CT (half-way between air and water), else above the threshold
        of Otsu 1979, doi:10.1109/TSMC.1979.4310076. Padding: below -1100 HU, which no tissue or
        gas has.
    """
    k = array.shape[2]
    chosen = np.unique(np.linspace(0, k - 1, min(k, MAX_PLANES)).round().astype(int))
    values = array[:, :, chosen].astype(np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        values = np.where(finite, values, values[finite].min() if finite.any() else np.float32(0))
    if is_hu:
        return Planes(values, values > _BODY_HU, values > _PADDING_HU)
    field = np.ones(values.shape, dtype=bool)
    return Planes(values, values > compute_otsu(values), field)


def compute_otsu(values: FloatGrid) -> float:
    """Return the threshold that separates values into two classes best.

    Args:
        values: Any shape, finite; the darkest and brightest 0.5 % do not widen the histogram.

    Returns:
        The threshold; the larger class is above it. The value itself where there is only one.

    Source:
        Otsu 1979, doi:10.1109/TSMC.1979.4310076: largest variance between the classes.
    """
    low, high = np.percentile(values, (0.5, 99.5))
    if not low < high:
        low, high = float(values.min()), float(values.max())
    if not low < high:
        return float(low)
    counts, edges = np.histogram(np.clip(values, low, high), bins=_BINS, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * centres)
    mean_below = sums[:-1] / np.maximum(below, 1)
    mean_above = (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = below.astype(np.float64) * above * (mean_above - mean_below) ** 2
    # Of a gap without any value between the classes the middle, not its first edge.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float(edges[1 + best[len(best) // 2]])
