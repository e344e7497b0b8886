"""The second look: one thumbnail laid over another, and how alike their detail is there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.sampling import Places, Stack, sample_stack, standardise
from medvision.domain.likeness.start import Motion

_LEVELS = ((4, 7, 5), (2, 12, 5), (1, 20, 4))
"""Pooling, grid points from centre to edge in 2D, steps: coarse to fine."""

_N_COMPARED = 24
_REACH = 0.95
_DAMPING = 1e-3
_MIN_OVERLAP = 0.6
_FINE, _COARSE = 1 / 80, 1 / 14
"""Standard deviations of the band-pass, as a share of the side."""


@dataclass(frozen=True)
class Fit:
    """How pairs were laid over each other.

    Args:
        motion: Places of the first thumbnail to places of the second.
        similarity: (N,) correlation of detail where both overlap, -1 to 1; 0 where too little does.
    """

    motion: Motion
    similarity: NDArray[np.float64]


def settle(first: Stack, second: Stack, start: Motion) -> Fit:
    """Fit small versions of the thumbnails: enough to see that most pairs are not alike.

    Args:
        first: N thumbnails.
        second: N thumbnails, one for each.
        start: First guess of the maps.

    Returns:
        The fit of each pair; its similarity is that of the small images themselves.
    """
    pooling, n_points, n_steps = _LEVELS[0]
    small_first, small_second = _pool(first, pooling), _pool(second, pooling)
    places = _spread_points(_count(n_points, first), first.ndim - 1)
    motion = start
    for _ in range(n_steps):
        motion = _step(small_first, small_second, motion, places=places)
    return Fit(motion, _correlate(small_first, small_second, motion, places=places))


def refine(first: Stack, second: Stack, start: Motion) -> Fit:
    """Move the second thumbnails until they fit the first, and compare their detail.

    Gauss-Newton on an affine map from coarse to fine, brightness and contrast taken out at each
    step; the correlation is of what remains between a fine and a coarse blur, so that equal
    outlines of two different bodies count little.

    Args:
        first: N thumbnails.
        second: N thumbnails, one for each.
        start: The maps of `settle`.

    Returns:
        The fit of each pair.

    Source:
        Lucas and Kanade 1981; Baker and Matthews 2004, doi:10.1023/B:VISI.0000011205.11775.fd.
    """
    motion = start
    for pooling, n_points, n_steps in _LEVELS[1:]:
        places = _spread_points(_count(n_points, first), first.ndim - 1)
        one, other = _pool(first, pooling), _pool(second, pooling)
        for _ in range(n_steps):
            motion = _step(one, other, motion, places=places)
    places = _spread_points(_count(_N_COMPARED, first), first.ndim - 1)
    similarity = _correlate(_band_pass(first), _band_pass(second), motion, places=places)
    return Fit(motion, similarity)


def _count(n_points: int, stack: Stack) -> int:
    """Return the grid points from centre to edge: fewer in 3D."""
    return n_points if stack.ndim == 3 else max(n_points // 3, 3)


def _band_pass(stack: Stack) -> Stack:
    """Return what remains between a fine and a coarse blur."""
    return _blur(stack, _FINE) - _blur(stack, _COARSE)


def _step(first: Stack, second: Stack, motion: Motion, *, places: Places) -> Motion:
    """Improve every map by one damped Gauss-Newton step."""
    n_axes = places.shape[1]
    moved = motion.apply(places)
    weights = _find_overlap(moved)
    target = standardise(sample_stack(first, places), weights)
    values = sample_stack(second, moved)
    spread = np.maximum(_measure_spread(values, weights), 1e-3)[:, None]
    residual = (target - standardise(values, weights)) * weights
    step = 1.0 / second.shape[1]
    slopes = np.stack(
        [
            (sample_stack(second, moved + shift) - sample_stack(second, moved - shift))
            / (2 * step * spread)
            for shift in np.eye(n_axes) * step
        ],
        axis=-1,
    )
    ones = np.concatenate([places, np.ones((len(places), 1))], axis=1)
    jacobian = (slopes[..., :, None] * ones[None, :, None, :]).reshape(*slopes.shape[:2], -1)
    jacobian *= weights[..., None]
    normal = np.einsum("npa,npb->nab", jacobian, jacobian, optimize=True)
    right = np.einsum("npa,np->na", jacobian, residual, optimize=True)
    scale = np.trace(normal, axis1=1, axis2=2)[:, None, None] / normal.shape[1]
    damped = normal + (_DAMPING * scale + 1e-9) * np.eye(normal.shape[1])
    change = np.linalg.solve(damped, right[..., None]).reshape(-1, n_axes, n_axes + 1)
    change = np.clip(change, -0.15, 0.15)
    return Motion(motion.matrix + change[..., :-1], motion.shift + change[..., -1])


def _correlate(
    first: Stack, second: Stack, motion: Motion, *, places: Places
) -> NDArray[np.float64]:
    """Return the correlation of detail where the thumbnails overlap."""
    moved = motion.apply(places)
    weights = _find_overlap(moved)
    a = standardise(sample_stack(first, places), weights)
    b = standardise(sample_stack(second, moved), weights)
    overlap = weights.mean(axis=1)
    correlation = (a * b * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
    size = np.abs(np.linalg.det(motion.matrix))
    is_sane = (overlap >= _MIN_OVERLAP) & (size > 0.25) & (size < 2.0)
    return np.where(is_sane, correlation, 0.0).astype(np.float64)


def _find_overlap(moved: Places) -> NDArray[np.float32]:
    """Return 1 for the places that lie within the second thumbnail, else 0."""
    is_inside: NDArray[np.bool_] = np.all(np.abs(moved) <= 1.0, axis=-1)
    return is_inside.astype(np.float32)


def _measure_spread(
    values: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return each row's weighted standard deviation."""
    total = np.maximum(weights.sum(axis=1), 1)
    mean = (values * weights).sum(axis=1) / total
    spread: NDArray[np.float32] = np.sqrt(
        (((values - mean[:, None]) ** 2) * weights).sum(axis=1) / total
    )
    return spread


def _spread_points(n_points: int, n_axes: int) -> Places:
    """Return a regular grid of places within the disc or ball."""
    line = np.linspace(-_REACH, _REACH, 2 * n_points + 1)
    grid = np.stack(np.meshgrid(*[line] * n_axes, indexing="ij"), axis=-1).reshape(-1, n_axes)
    places: Places = grid[(grid**2).sum(axis=1) <= _REACH**2 + 1e-9]
    return places


def _pool(stack: Stack, pooling: int) -> Stack:
    """Average blocks of pooling voxels along each axis."""
    result = stack
    for axis in range(1, stack.ndim):
        shape = result.shape
        split = (*shape[:axis], shape[axis] // pooling, pooling, *shape[axis + 1 :])
        result = result.reshape(split).mean(axis=axis + 1)
    return result


def _blur(stack: Stack, share: float) -> Stack:
    """Blur by a Gaussian whose standard deviation is a share of the side."""
    side = stack.shape[1]
    away = np.arange(side)[:, None] - np.arange(side)
    matrix = np.exp(-0.5 * (away / (share * side)) ** 2)
    matrix = (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)
    result = stack
    for axis in range(1, stack.ndim):
        result = np.moveaxis(np.tensordot(result, matrix, axes=(axis, 1)), -1, axis)
    return np.ascontiguousarray(result)
