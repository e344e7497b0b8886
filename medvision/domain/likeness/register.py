"""The second look: one thumbnail laid over another until the detail of both fits."""

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.sampling import Places, Stack, sample_stack
from medvision.domain.likeness.start import Motion, join_motions

_DAMPING = 1e-3
_LONGEST_STEP = 0.12
_AT_ONCE = 16


def fit_motion(
    first: Stack, second: Stack, start: Motion, *, places: Places, n_steps: int
) -> Motion:
    """Move the second thumbnails until they fit the first.

    Gauss-Newton on an affine map, inverse compositional: slopes are those of the first
    thumbnail, and so are taken once.

    Args:
        first: Detail of N thumbnails.
        second: Of N thumbnails, one for each.
        start: First guess of the maps from places of the first to places of the second.
        places: (P, D) at which they are compared.
        n_steps: How often the maps are improved.

    Returns:
        The improved maps.

    Source:
        Baker and Matthews 2004, doi:10.1023/B:VISI.0000011205.11775.fd.
    """
    fitted = []
    # A few pairs at a time, whose slopes the processor's cache holds.
    for at in range(0, len(first), _AT_ONCE):
        part = slice(at, at + _AT_ONCE)
        target = sample_stack(first[part], places)
        jacobian = _compute_jacobian(first[part], places)
        motion = Motion(start.matrix[part], start.shift[part])
        for _ in range(n_steps):
            motion = _step(target, jacobian, second[part], motion, places=places)
        fitted.append(motion)
    return join_motions(fitted) if fitted else start


def correlate(
    first: Stack, second: Stack, motion: Motion, *, places: Places
) -> NDArray[np.float64]:
    """Return the correlation (N,) of detail where the thumbnails overlap, -1 to 1."""
    moved = motion.apply(places)
    weights = find_overlap(moved)
    a, b = sample_stack(first, places) * weights, sample_stack(second, moved) * weights
    power = np.einsum("np,np->n", a, a) * np.einsum("np,np->n", b, b)
    correlation: NDArray[np.float64] = np.einsum("np,np->n", a, b) / np.sqrt(
        np.maximum(power.astype(np.float64), 1e-9)
    )
    return correlation


def find_overlap(moved: Places) -> NDArray[np.float32]:
    """Return 1 for the places that lie within the second thumbnail, else 0."""
    is_inside: NDArray[np.bool_] = np.all(np.abs(moved) <= 1.0, axis=-1)
    return is_inside.astype(np.float32)


def _compute_jacobian(first: Stack, places: Places) -> NDArray[np.float32]:
    """Return how each value of the first changes with each number of the map, (N, P, D(D+1))."""
    n_axes = places.shape[1]
    step = np.float32(1 / first.shape[1])
    shifts = np.eye(n_axes, dtype=np.float32) * step
    slopes = np.stack(
        [
            (sample_stack(first, places + shift) - sample_stack(first, places - shift)) / (2 * step)
            for shift in shifts
        ],
        axis=-1,
    )
    ones = np.concatenate([places, np.ones((len(places), 1), dtype=np.float32)], axis=1)
    jacobian: NDArray[np.float32] = slopes[..., :, None] * ones[None, :, None, :]
    return jacobian.reshape(*slopes.shape[:2], -1)


def _step(
    target: NDArray[np.float32],
    jacobian: NDArray[np.float32],
    second: Stack,
    motion: Motion,
    *,
    places: Places,
) -> Motion:
    """Improve every map by one damped step."""
    n_axes = places.shape[1]
    moved = motion.apply(places)
    weights = find_overlap(moved)
    values = sample_stack(second, moved) * weights
    power = np.maximum(np.einsum("np,np->n", values, values), 1e-6)
    gain = np.clip(np.einsum("np,np->n", target, values) / power, 0.3, 3)
    residual = values * gain[:, None] - target * weights
    weighted = jacobian * weights[..., None]
    normal = (weighted.transpose(0, 2, 1) @ weighted).astype(np.float64)
    right = (weighted.transpose(0, 2, 1) @ residual[..., None]).astype(np.float64)
    size = np.trace(normal, axis1=1, axis2=2)[:, None, None] / normal.shape[1]
    damped = normal + (_DAMPING * size + 1e-9) * np.eye(normal.shape[1])
    change = np.linalg.solve(damped, right).reshape(-1, n_axes, n_axes + 1)
    change = np.clip(change, -_LONGEST_STEP, _LONGEST_STEP)
    matrix = motion.matrix @ np.linalg.inv(np.eye(n_axes) + change[..., :-1])
    return Motion(matrix, motion.shift - (matrix @ change[..., -1:])[..., 0])
