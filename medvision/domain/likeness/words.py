"""How one image differs from another, in words."""

import numpy as np
from numpy.typing import NDArray

_LEAST_DEGREES = 2.0
_LEAST_SCALE = 0.03
_LEAST_SHIFT = 0.03


def describe_motion(matrix: NDArray[np.float64], shift: NDArray[np.float64]) -> str:
    """Say how an image was altered.

    Args:
        matrix: (D, D) of the map from one image's places to the other's, D = 2 or 3.
        shift: (D,) of it, edges at -1 and 1.

    Returns:
        Such as `flipped, rotated 15°, scaled 0.90, shifted 5 %`; `same place` where nothing moved.
    """
    n_axes = len(matrix)
    left, sizes, right = np.linalg.svd(matrix)
    turn = left @ right
    parts = []
    if np.linalg.det(turn) < 0:
        parts.append("flipped")
        # A flip along one axis is one along another, turned: the least turn is what was done.
        flips = np.eye(n_axes) - 2 * np.eye(n_axes)[:, :, None] * np.eye(n_axes)[:, None]
        turn = min((turn @ flip for flip in flips), key=_measure_turn)
    degrees = _measure_turn(turn)
    if degrees >= _LEAST_DEGREES:
        parts.append(f"rotated {degrees:.0f}°")
    scale = float(np.prod(sizes) ** (1 / n_axes))
    if abs(scale - 1) >= _LEAST_SCALE:
        parts.append(f"scaled {scale:.2f}")
    moved = float(np.abs(shift).max()) / 2
    if moved >= _LEAST_SHIFT:
        parts.append(f"shifted {100 * moved:.0f} %")
    return ", ".join(parts) or "same place"


def _measure_turn(turn: NDArray[np.float64]) -> float:
    """Return the angle of a rotation in degrees, 0 to 180."""
    cosine = turn[0, 0] if len(turn) == 2 else (np.trace(turn) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
