"""Noise, sharpness and ghosts of an image, from its planes alone."""

import numpy as np
from scipy import ndimage

from medvision.domain.volume import FloatGrid
from medvision.preprocess.quality.planes import Mask, Planes

_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
"""Immerkaer's mask: the difference of two Laplacians, blind to constant and linear structure."""

_NORM = 6.0
_MEDIAN_OF_NORMAL = 0.6744897501960817
_BOX = 5
_SMALLEST_SIDE = 5
_FEWEST = 16


def estimate_noise(planes: Planes) -> float | None:
    """Estimate the standard deviation of the noise within the body.

    Args:
        planes: What is looked at.

    Returns:
        In the image's own units; None where a side is shorter than 5 or there is hardly any body.

    Source:
        Immerkaer 1996, doi:10.1006/cviu.1996.0060, with the median of the absolute response
        (Donoho 1995, doi:10.1109/18.382009) instead of its mean, so that edges do not count as
        noise, and over the foreground, so that a background set to zero does not count as quiet.
    """
    if min(planes.values.shape[:2]) < _SMALLEST_SIDE:
        return None
    response = np.abs(ndimage.convolve(planes.values, _KERNEL[:, :, np.newaxis], mode="nearest"))
    inner = _shrink(planes.foreground)
    if inner.sum() < _FEWEST:
        return None
    return float(np.median(response[inner]) / (_MEDIAN_OF_NORMAL * _NORM))


def estimate_sharpness(planes: Planes) -> float | None:
    """Estimate how much an image would lose if it were blurred once more.

    What is sharp loses much of the differences between its neighbours, what is blurred already
    loses little; brightness, contrast and content hardly matter. Noise counts as sharp.

    Args:
        planes: What is looked at.

    Returns:
        Share of the differences lost to a box of five pixels, 0 to 1, along the in-plane axis that
        loses less: motion blurs along one axis alone. None where a side is shorter than 5, or
        without any difference.

    Source:
        1 minus the blur metric of Crete, Dolmiere, Ladret and Nicolas 2007,
        doi:10.1117/12.702790, with five taps instead of nine; over the field alone.
    """
    if min(planes.values.shape[:2]) < _SMALLEST_SIDE:
        return None
    lost = [_lose(planes, axis=axis) for axis in (0, 1)]
    return min((share for share in lost if share is not None), default=None)


def _lose(planes: Planes, *, axis: int) -> float | None:
    """Return the share of the differences along an axis that a box of pixels takes away."""
    blurred = ndimage.uniform_filter1d(planes.values, _BOX, axis=axis, mode="nearest")
    inner = np.delete(planes.field, 0, axis=axis) & np.delete(planes.field, -1, axis=axis)
    before = np.abs(np.diff(planes.values, axis=axis))[inner]
    after = np.abs(np.diff(blurred, axis=axis))[inner]
    total = before.sum(dtype=np.float64)
    return float(np.maximum(0, before - after).sum(dtype=np.float64) / total) if total else None


def estimate_ghosting(planes: Planes) -> float | None:
    """Compare what lies beside the body along one in-plane axis with what lies along the other.

    Ghosts of motion and of echo-planar readout repeat the body along the phase axis alone; noise
    fills both sides alike.

    Args:
        planes: What is looked at.

    Returns:
        The difference of the two background means, as a share of twice the body's mean; None
        where the body leaves no background on one of the axes.

    Source:
        Percent signal ghosting, ACR MRI quality control manual 2015; the strips are all that lies
        beside the body's box.
    """
    body = planes.foreground.any(axis=2)
    along_i, along_j = (np.flatnonzero(np.any(body, axis=axis)) for axis in (1, 0))
    if not along_i.size:
        return None
    in_i, in_j = (_mark(held, n) for held, n in zip((along_i, along_j), body.shape, strict=True))
    beside_i = ~in_i[:, np.newaxis] & in_j
    beside_j = in_i[:, np.newaxis] & ~in_j
    if min(beside_i.sum(), beside_j.sum()) < _FEWEST:
        return None
    signal = _mean(planes.values, planes.foreground)
    difference = abs(planes.values[beside_i].mean() - planes.values[beside_j].mean())
    return float(difference / (2 * signal)) if signal > 0 else None


def _mark(held: np.ndarray, length: int) -> Mask:
    """Mark the box from the first to the last index held, with a margin of two."""
    index = np.arange(length)
    marked: Mask = (index >= held[0] - 2) & (index <= held[-1] + 2)
    return marked


def _shrink(mask: Mask) -> Mask:
    """Return a mask without its outline in each plane."""
    cross = np.ones((3, 3, 1), dtype=bool)
    shrunk: Mask = ndimage.binary_erosion(mask, cross, border_value=0)
    return shrunk


def _mean(values: FloatGrid, mask: Mask) -> float:
    """Return the mean within a mask."""
    return float(values[mask].mean(dtype=np.float64)) if mask.any() else 0.0
