"""First guesses of how two thumbnails lie to each other: turned, flipped, a part of the other."""

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.describe import N_ANGLES, Window, sample_rings, weigh_rings
from medvision.domain.likeness.sampling import Places, Stack, sample_stack, standardise

_TURNS_DEG = (0.0, -15.0, 15.0)
_N_FINE = 4 * N_ANGLES
"""Angles at which the correlation of rings is read, between those sampled."""

_N_TRIED = 6
"""Places along each axis at which the 3D guesses are compared."""


@dataclass(frozen=True)
class Motion:
    """Affine maps of places, one per pair: matrix (N, D, D) and shift (N, D), edges at ±1."""

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]

    def apply(self, places: Places) -> Places:
        """Return (N, P, D), the places (P, D) under each map."""
        result: Places = places @ self.matrix.transpose(0, 2, 1) + self.shift[:, None]
        return result


def guess_motion(first: Stack, second: Stack, window: Window) -> tuple[Motion, NDArray[np.float64]]:
    """Guess how each second thumbnail's window shows the first thumbnail.

    Args:
        first: N whole thumbnails.
        second: N thumbnails, one for each.
        window: The part of the second that is held against the whole of the first.

    Returns:
        (maps, (N,) correlation at the guess).
    """
    guess = _guess_flat if first.ndim == 3 else _guess_deep
    turns, correlation = guess(first, second, window)
    shift = np.broadcast_to(np.array(window.centre), (len(first), len(window.centre)))
    return Motion(turns * window.scale, shift.copy()), correlation


def _guess_flat(
    first: Stack, second: Stack, window: Window
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find rotation and reflection in 2D by correlating rings along the angle."""
    share = weigh_rings()[:, None]
    one = np.fft.rfft(sample_rings(first, Window((0.0, 0.0), 1.0)), axis=2)
    other = np.fft.rfft(sample_rings(second, window), axis=2)
    norm = _N_FINE / N_ANGLES**2
    plain = np.fft.irfft((one.conj() * other * share).sum(axis=1), _N_FINE) * norm
    flipped = np.fft.irfft((one * other * share).sum(axis=1), _N_FINE) * norm
    both = np.concatenate([plain, flipped], axis=1)
    best = both.argmax(axis=1)
    angle = 2 * np.pi * (best % _N_FINE) / _N_FINE
    cosine, sine = np.cos(angle), np.sin(angle)
    sign = np.where(best >= _N_FINE, -1.0, 1.0)
    turns = np.stack(
        [np.stack([cosine, -sine * sign], axis=1), np.stack([sine, cosine * sign], axis=1)], axis=1
    )
    return turns, both.max(axis=1).astype(np.float64)


def _guess_deep(
    first: Stack, second: Stack, window: Window
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Try the 48 ways to lay a cube, each turned a little about its last axis."""
    turns = list_turns()
    line = np.linspace(-0.8, 0.8, _N_TRIED)
    places = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    places = places[(places**2).sum(axis=1) <= 0.9]
    weights = np.ones(len(places), dtype=np.float32)
    target = standardise(sample_stack(first, places), weights)
    centre = np.array(window.centre)
    scores = [
        (
            target
            * standardise(sample_stack(second, places @ turn.T * window.scale + centre), weights)
        ).mean(axis=1)
        for turn in turns
    ]
    table = np.stack(scores, axis=1)
    best = table.argmax(axis=1)
    return turns[best], table.max(axis=1).astype(np.float64)


def list_turns() -> NDArray[np.float64]:
    """Return (T, 3, 3): the 48 signed permutations, each with small turns in the i-j plane."""
    cubes = [
        np.eye(3)[list(order)] * np.array(signs)
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]
    turned = []
    for degrees in _TURNS_DEG:
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        about_k = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
        turned += [cube @ about_k for cube in cubes]
    return np.array(turned)
