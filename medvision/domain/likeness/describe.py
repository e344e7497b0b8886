"""A short description of a thumbnail that turning, flipping and brightness do not change."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.sampling import Stack, sample_stack, standardise

Descriptors = NDArray[np.float32]
"""(N, F) float32: one row per thumbnail."""

N_RINGS, N_ANGLES, _N_HARMONICS = 9, 32, 7
_N_SHELLS, _N_DIRECTIONS = 7, 128
_INNER, _OUTER = 0.1, 0.95


@dataclass(frozen=True)
class Window:
    """A part of a thumbnail, as a crop of it would show: centre (D,) and half side, edges at ±1."""

    centre: tuple[float, ...]
    scale: float


def list_windows(n_axes: int) -> list[Window]:
    """Return the parts of an original that are held against whole images, the whole one first.

    Crops to 95 %, 90 % and 80 %: the middle, the corners and for 80 % in 2D what lies between.

    Args:
        n_axes: 2 or 3.
    """
    windows = [Window((0.0,) * n_axes, 1.0), Window((0.0,) * n_axes, 0.95)]
    for scale, steps in ((0.9, (-1, 1)), (0.8, (-1, 0, 1) if n_axes == 2 else (-1, 1))):
        windows.append(Window((0.0,) * n_axes, scale))
        for corner in np.ndindex(*(len(steps),) * n_axes):
            shift = tuple((1 - scale) * steps[index] for index in corner)
            if any(shift):
                windows.append(Window(shift, scale))
    return windows


def describe(stack: Stack, window: Window) -> Descriptors:
    """Describe a window of each thumbnail.

    In 2D: the magnitudes of the angular harmonics on rings about the window's centre, which
    neither rotation nor reflection changes. In 3D: mean, spread and skewness on spherical
    shells and the correlation of neighbouring shells, which no rotation or reflection changes.
    Values are standardised first, so that brightness and contrast do not count.

    Args:
        stack: (N, S, S) or (N, S, S, S).
        window: Which part.

    Returns:
        (N, F) float32.

    Source:
        Rotation invariance by magnitudes of angular Fourier coefficients: Casasent and Psaltis
        1976, doi:10.1364/AO.15.001795; the choice of rings and shells is our own.
    """
    return _describe_rings(stack, window) if stack.ndim == 3 else _describe_shells(stack, window)


def sample_rings(stack: Stack, window: Window) -> NDArray[np.float32]:
    """Return the standardised values on rings, (N, rings, angles), of 2D thumbnails."""
    radii = np.linspace(_INNER, _OUTER, N_RINGS)
    angles = 2 * np.pi * np.arange(N_ANGLES) / N_ANGLES
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    places = (radii[:, None, None] * unit).reshape(-1, 2) * window.scale + window.centre
    weights = np.repeat(radii, N_ANGLES).astype(np.float32)
    values = standardise(sample_stack(stack, places), weights)
    return values.reshape(len(stack), N_RINGS, N_ANGLES)


def weigh_rings() -> NDArray[np.float32]:
    """Return the share of the disc that each ring stands for, (rings,), summing to 1."""
    radii = np.linspace(_INNER, _OUTER, N_RINGS)
    shares: NDArray[np.float32] = (radii / radii.sum()).astype(np.float32)
    return shares


def _describe_rings(stack: Stack, window: Window) -> Descriptors:
    """Describe 2D thumbnails."""
    waves = np.fft.rfft(sample_rings(stack, window), axis=2)[..., :_N_HARMONICS] / N_ANGLES
    features = np.abs(waves)
    features[..., 0] = waves[..., 0].real
    features[..., 1:] *= np.sqrt(2)
    weighted = features * np.sqrt(weigh_rings())[:, None]
    return weighted.reshape(len(stack), -1).astype(np.float32)


def _describe_shells(stack: Stack, window: Window) -> Descriptors:
    """Describe volumes."""
    radii = np.linspace(0.15, _OUTER, _N_SHELLS)
    places = (radii[:, None, None] * _spread_directions()).reshape(-1, 3)
    weights = np.repeat(radii**2, _N_DIRECTIONS).astype(np.float32)
    values = standardise(sample_stack(stack, places * window.scale + window.centre), weights)
    shells = values.reshape(len(stack), _N_SHELLS, _N_DIRECTIONS)
    mean = shells.mean(axis=2)
    centred = shells - mean[..., None]
    spread = np.sqrt((centred**2).mean(axis=2))
    skew = (centred**3).mean(axis=2)
    between = (centred[:, 1:] * centred[:, :-1]).mean(axis=2)
    share = np.sqrt(radii**2 / (radii**2).sum()).astype(np.float32)
    parts = [mean * share, spread * share, skew * share, between * share[1:]]
    return np.concatenate(parts, axis=1).astype(np.float32)


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
