"""Diffusion gradients as BIDS holds them: .bval and .bvec, in the image's own axes."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine

Directions = NDArray[np.float64]
"""(T, 3) float64: unit vectors, or zeros where a volume has no direction."""

_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
_LARGEST_WITHOUT = 50.0
"""b-value in s/mm² up to which a volume needs no direction."""


def parse_directions(b_values: Sequence[object], directions: Sequence[object]) -> Directions | None:
    """Return the directions of a series, None where it is not one of directions.

    Args:
        b_values: One per volume, s/mm².
        directions: One per volume: `x,y,z`, LPS+, or empty.

    Returns:
        (T, 3) LPS+ unit vectors, zeros where a volume needs none.
    """
    if len(b_values) != len(directions) or not b_values:
        return None
    result = np.zeros((len(b_values), 3))
    for row, (b_value, text) in enumerate(zip(b_values, directions, strict=True)):
        if not isinstance(b_value, int | float) or not math.isfinite(b_value) or b_value < 0:
            return None
        vector = _parse(text)
        if vector is None and b_value > _LARGEST_WITHOUT:
            return None
        if vector is not None:
            result[row] = vector
    return result


def rotate_directions(directions: Directions, affine: Affine) -> Directions:
    """Turn directions of the subject into those of the image, as FSL's bvec has them.

    Args:
        directions: (T, 3), LPS+.
        affine: (4, 4), voxel index to RAS+ mm.

    Returns:
        (T, 3) along i, j and k; i points the other way where the affine keeps handedness.

    Source:
        BIDS 1.10, diffusion imaging data; FSL, "what conventions do the bvecs use".
    """
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    result: Directions = directions * _LPS_TO_RAS @ axes
    if np.linalg.det(axes) > 0:
        result[:, 0] *= -1
    return result + 0.0


def restore_directions(vectors: Directions, affine: Affine) -> Directions:
    """Turn directions of the image, as FSL's bvec has them, into those of the subject.

    Args:
        vectors: (T, 3) along i, j and k.
        affine: (4, 4), voxel index to RAS+ mm.

    Returns:
        (T, 3), LPS+; the inverse of `rotate_directions` where the axes are perpendicular.
    """
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    own = vectors * (-1.0 if np.linalg.det(axes) > 0 else 1.0, 1.0, 1.0)
    result: Directions = own @ np.linalg.inv(axes) * _LPS_TO_RAS
    return result + 0.0


def format_bval(b_values: Sequence[float]) -> str:
    """Return the content of a .bval file."""
    return " ".join(f"{value:g}" for value in b_values) + "\n"


def format_bvec(directions: Directions) -> str:
    """Return the content of a .bvec file: a line per axis."""
    return "".join(" ".join(f"{value:.6g}" for value in line) + "\n" for line in directions.T)


def _parse(text: object) -> NDArray[np.float64] | None:
    """Return a unit vector, None where a text is none."""
    try:
        vector = np.array([float(part) for part in str(text).split(",")])
    except ValueError:
        return None
    length = float(np.linalg.norm(vector))
    if vector.shape != (3,) or not math.isfinite(length) or length == 0:
        return None
    unit: NDArray[np.float64] = vector / length
    return unit
