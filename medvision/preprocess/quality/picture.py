"""A small grey picture of an image, for people to look at."""

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine, compute_orientation
from medvision.domain.volume import NumberGrid

Picture = NDArray[np.uint8]
"""(96, 96) uint8, rows from top to bottom."""

SIDE = 96

_PERCENTILES = (1, 99)
_AXES = {"L": 0, "R": 0, "P": 1, "A": 1, "I": 2, "S": 2}


def can_stand_upright(array: NumberGrid, affine: Affine) -> bool:
    """Say whether an image can be turned upright: a single plane only where it is axial.

    Args:
        array: (I, J, K).
        affine: (4, 4), index to RAS+ mm.
    """
    return array.shape[2] > 1 or compute_orientation(affine)[2] in "IS"


def put_upright(array: NumberGrid, affine: Affine) -> tuple[NumberGrid, tuple[int, int, int]]:
    """Turn and flip the axes of an image to left-to-right, posterior-to-anterior, upwards.

    Two files of one anatomy may store it from any corner; upright, they look alike.

    Args:
        array: (I, J, K), any number type; not changed.
        affine: (4, 4), index to RAS+ mm.

    Returns:
        (upright, order): a view (I', J', K') that runs to R, A and S as nearly as whole axes can;
        the axis of `array` that each of its axes is.
    """
    code = compute_orientation(affine)
    order = sorted(range(3), key=lambda axis: _AXES[code[axis]])
    flips = tuple(slice(None, None, 1 if code[axis] in "RAS" else -1) for axis in order)
    i, j, k = order
    return array.transpose(order)[flips], (i, j, k)


def draw_picture(
    array: NumberGrid, *, spacing_mm: tuple[float, float, float], is_upright: bool
) -> Picture:
    """Draw an image, or the middle axial plane of a volume, at its true aspect.

    Args:
        array: (I, J, K), any number type.
        spacing_mm: Voxel size (i, j, k).
        is_upright: The axes run to R, A and S: drawn as radiologists look at it, the front on
            top and the right on the left. Otherwise columns are i and rows are j, downwards.

    Returns:
        Grey levels: the 1st to the 99th percentile of the plane, on black where it is narrower
        than the picture.

    Source:
        none: own definition.
    """
    plane = array[:, :, array.shape[2] // 2].astype(np.float32).T
    if is_upright:
        plane = plane[::-1, ::-1]
    finite = np.isfinite(plane)
    if not finite.any():
        return np.zeros((SIDE, SIDE), dtype=np.uint8)
    low, high = np.percentile(plane[finite], _PERCENTILES)
    if not low < high:
        low, high = float(plane[finite].min()), float(plane[finite].max())
    scaled = (np.where(finite, plane, low) - low) / (high - low if low < high else 1)
    grey = (255 * np.clip(scaled, 0, 1)).round().astype(np.uint8)
    return _fit(grey, spacing_mm=(spacing_mm[1], spacing_mm[0]))


def _fit(grey: NDArray[np.uint8], *, spacing_mm: tuple[float, float]) -> Picture:
    """Sample a plane onto the square, centred, its aspect kept."""
    extent = [n * mm for n, mm in zip(grey.shape, spacing_mm, strict=True)]
    sides = [max(1, round(SIDE * length / max(extent))) for length in extent]
    rows, columns = (
        ((np.arange(side) + 0.5) * n / side).astype(int)
        for side, n in zip(sides, grey.shape, strict=True)
    )
    picture = np.zeros((SIDE, SIDE), dtype=np.uint8)
    top, left = ((SIDE - side) // 2 for side in sides)
    picture[top : top + sides[0], left : left + sides[1]] = grey[np.ix_(rows, columns)]
    return picture
