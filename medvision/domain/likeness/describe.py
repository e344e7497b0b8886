"""A short description of a thumbnail that turning, flipping and brightness do not change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from medvision.domain.likeness.sampling import (
    Columns,
    Places,
    Stack,
    list_columns,
    sample_columns,
    sample_stack,
    standardise,
)

Descriptors = NDArray[np.float32]
"""(N, F) float32: one row per thumbnail."""

Rings = NDArray[np.float32]
"""(N, rings, angles) float32: standardised values on circles about a window's centre."""

N_RINGS, N_ANGLES, _N_HARMONICS = 10, 32, 9
_N_SHELLS, _N_DIRECTIONS, _MAX_DEGREE = 10, 128, 6
_INNER, _OUTER = 0.1, 0.95

_AT_ONCE = 128

_STEPS = {2: ((0.95, 2), (0.9, 3), (0.85, 4), (0.8, 5)), 3: ((0.95, 3), (0.9, 5), (0.8, 7))}
"""Size of the parts of an original and how many lie along each axis."""


@dataclass(frozen=True)
class Window:
    """A part of a thumbnail, as a crop of it would show: centre (D,) and half side, edges at ±1."""

    centre: tuple[float, ...]
    scale: float


def list_windows(n_axes: int) -> list[Window]:
    """Return the parts of an original that are held against whole images, the whole one first.

    Args:
        n_axes: 2 or 3.
    """
    middle = (0.0,) * n_axes
    windows = [Window(middle, 1.0)]
    for scale, n_steps in _STEPS[n_axes]:
        line = np.linspace(-1, 1, n_steps) * (1 - scale)
        places = [tuple(float(line[i]) for i in at) for at in np.ndindex(*(n_steps,) * n_axes)]
        windows += [Window(place, scale) for place in places]
        if middle not in places:
            windows.append(Window(middle, scale))
    return windows


def describe(stack: Stack, window: Window) -> Descriptors:
    """Describe a window of each thumbnail.

    In 2D: the magnitudes of the angular harmonics on rings about the window's centre, which
    neither rotation nor reflection changes. In 3D: for each degree of the spherical harmonics, the
    energy on spherical shells and how far it runs alike on shells next to each other, which no
    rotation or reflection changes.

    Args:
        stack: (N, S, S) or (N, S, S, S).
        window: Which part.

    Returns:
        (N, F) float32.

    Source:
        Rotation invariance by magnitudes of angular Fourier coefficients: Casasent and Psaltis
        1976, doi:10.1364/AO.15.001795; by the energy of spherical harmonics: Kazhdan et al. 2003,
        doi:10.2312/SGP/SGP03/156-165. The choice of rings, shells and pairs is our own.
    """
    return _describe_rings(stack, window) if stack.ndim == 3 else _describe_shells(stack, window)


def sample_rings(stack: Stack, window: Window) -> Rings:
    """Return the values on rings of 2D thumbnails, mean 0 and spread 1 over the disc."""
    radii = np.linspace(_INNER, _OUTER, N_RINGS)
    angles = 2 * np.pi * np.arange(N_ANGLES) / N_ANGLES
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    places = _place((radii[:, None, None] * unit).reshape(-1, 2), window)
    weights = np.repeat(radii, N_ANGLES).astype(np.float32)
    values = standardise(sample_stack(stack, places), weights)
    return values.reshape(len(stack), N_RINGS, N_ANGLES)


def weigh_rings() -> NDArray[np.float32]:
    """Return the share of the disc that each ring stands for, (rings,), summing to 1."""
    radii = np.linspace(_INNER, _OUTER, N_RINGS)
    shares: NDArray[np.float32] = (radii / radii.sum()).astype(np.float32)
    return shares


def _place(unit: NDArray[np.float64], window: Window) -> Places:
    """Move places of a whole thumbnail into a window of it."""
    places: Places = (unit * window.scale + np.array(window.centre)).astype(np.float32)
    return places


def _describe_rings(stack: Stack, window: Window) -> Descriptors:
    """Describe 2D thumbnails."""
    waves = np.fft.rfft(sample_rings(stack, window), axis=2)[..., :_N_HARMONICS] / N_ANGLES
    features = np.abs(waves)
    features[..., 0] = waves[..., 0].real
    features[..., 1:] *= np.sqrt(2)
    weighted = features * np.sqrt(weigh_rings())[:, None]
    return weighted.reshape(len(stack), -1).astype(np.float32)


def describe_windows(stack: Stack, windows: Sequence[Window]) -> Iterator[Descriptors]:
    """Yield what `describe` returns for each of several windows, volumes laid out once for all.

    Args:
        stack: (N, S, S) or (N, S, S, S).
        windows: Which parts.
    """
    if stack.ndim == 3:
        yield from (describe(stack, window) for window in windows)
        return
    parts = [list_columns(stack[at : at + _AT_ONCE]) for at in range(0, len(stack), _AT_ONCE)]
    for window in windows:
        yield np.concatenate([_describe_columns(c, window, side=stack.shape[1]) for c in parts])


def _describe_shells(stack: Stack, window: Window) -> Descriptors:
    """Describe volumes."""
    return next(describe_windows(stack, [window]))


def _describe_columns(columns: Columns, window: Window, *, side: int) -> Descriptors:
    """Describe a few volumes that were laid out."""
    radii = np.linspace(0.15, _OUTER, _N_SHELLS)
    places = _place((radii[:, None, None] * _spread_directions()).reshape(-1, 3), window)
    weights = np.repeat(radii**2, _N_DIRECTIONS).astype(np.float32)
    values = standardise(sample_columns(columns, places, side=side), weights)
    share = np.sqrt(radii**2 / (radii**2).sum()).astype(np.float32)
    shells = values.reshape(len(values), _N_SHELLS, _N_DIRECTIONS) * share[:, None]
    parts = [shells.mean(axis=2)]
    for harmonics in _list_harmonics():
        waves = shells @ harmonics
        size = np.linalg.norm(waves, axis=2)
        parts += [size, *(_compare_shells(waves, size, apart) for apart in (1, 2))]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _compare_shells(
    waves: NDArray[np.float32], size: NDArray[np.float32], apart: int
) -> NDArray[np.float32]:
    """Return how far the harmonics of one degree run alike on shells some steps apart."""
    product = (waves[:, apart:] * waves[:, :-apart]).sum(axis=2)
    shared = np.sqrt(np.maximum(size[:, apart:] * size[:, :-apart], 1e-9))
    alike: NDArray[np.float32] = product / shared
    return alike


@cache
def _list_harmonics() -> list[NDArray[np.float32]]:
    """Return (directions, 2 l + 1) of the spherical harmonics of degree l = 1, 2, ...

    By the addition theorem, the Legendre polynomial of the cosines between directions is a sum
    of products of harmonics of its degree: its leading eigenvectors span them.
    """
    directions = _spread_directions()
    cosines = directions @ directions.T
    found = []
    for degree in range(1, _MAX_DEGREE + 1):
        _, vectors = np.linalg.eigh(legendre.legval(cosines, [0] * degree + [1]))
        held = vectors[:, -(2 * degree + 1) :] / np.sqrt(len(directions))
        found.append(held.astype(np.float32))
    return found


def _spread_directions() -> NDArray[np.float64]:
    """Return (directions, 3) unit vectors that lie evenly on the sphere, each with its opposite.

    Source:
        Fibonacci lattice, Gonzalez 2010, doi:10.1007/s11004-009-9257-x.
    """
    n_half = _N_DIRECTIONS // 2
    height = (np.arange(n_half) + 0.5) / n_half
    turn = np.pi * (1 + 5**0.5) * np.arange(n_half)
    flat = np.sqrt(1 - height**2)
    half = np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)
    return np.concatenate([half, -half])
