"""First guesses of how two thumbnails lie to each other: turned, flipped, a part of the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.describe import N_ANGLES, Window, sample_rings, weigh_rings
from medvision.domain.likeness.sampling import (
    Places,
    Stack,
    sample_stack,
    spread_places,
    standardise,
)

_TURNS_DEG = (0.0, -15.0, 15.0, -30.0, 30.0, 45.0)
_AT_ONCE = 16
_N_FINE = 4 * N_ANGLES
"""Angles at which the correlation of rings is read, between those sampled."""

_N_TRIED, _TRIED_REACH = 9, 0.9
"""Places along each axis at which the 3D guesses are compared."""


@dataclass(frozen=True)
class Motion:
    """Affine maps of places, one per pair: matrix (N, D, D) and shift (N, D), edges at ±1."""

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]

    def apply(self, places: Places) -> Places:
        """Return (N, P, D), the places (P, D) under each map."""
        matrix = self.matrix.astype(np.float32).transpose(0, 2, 1)
        result: Places = places @ matrix + self.shift.astype(np.float32)[:, None]
        return result

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Motion":
        """Return some of the maps."""
        return Motion(self.matrix[rows], self.shift[rows])


def join_motions(parts: Sequence[Motion]) -> Motion:
    """Return the maps of several as one, in order."""
    matrix, shift = ([getattr(part, name) for part in parts] for name in ("matrix", "shift"))
    return Motion(np.concatenate(matrix), np.concatenate(shift))


def guess_motion(first: Stack, second: Stack, window: Window) -> tuple[Motion, NDArray[np.float64]]:
    """Guess how each second thumbnail's window shows the first thumbnail.

    Args:
        first: Coarse detail of N whole thumbnails.
        second: Of N thumbnails, one for each.
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
    """Try the 48 ways to lay a cube, each turned by some angles about its last axis.

    A cube laid another way is the same grid of places in another order, so that each thumbnail
    is read once and not once for every way.
    """
    cubes, turns = _list_cubes(), [_turn_about_last(degrees) for degrees in _TURNS_DEG]
    ways = np.array([cube @ turn for turn in turns for cube in cubes])
    # A few pairs at a time, whose values in every order the processor's cache holds.
    parts = [slice(start, start + _AT_ONCE) for start in range(0, len(first), _AT_ONCE)]
    table = np.concatenate([_try_ways(first[part], second[part], window) for part in parts])
    return ways[table.argmax(axis=1)], table.max(axis=1).astype(np.float64)


def _try_ways(first: Stack, second: Stack, window: Window) -> NDArray[np.float32]:
    """Return the correlation of a few pairs under each turn and way to lay a cube."""
    places = spread_places(_N_TRIED, 3, reach=_TRIED_REACH)
    weights = np.ones(len(places), dtype=np.float32)
    centre = np.array(window.centre, dtype=np.float32)
    held = standardise(sample_stack(second, places * np.float32(window.scale) + centre), weights)
    laid = held[:, _list_orders()]
    scores = []
    for turn in (_turn_about_last(degrees) for degrees in _TURNS_DEG):
        target = standardise(sample_stack(first, (places @ turn).astype(np.float32)), weights)
        scores.append(np.einsum("np,ncp->nc", target, laid) / len(places))
    return np.concatenate(scores, axis=1)


@cache
def _list_orders() -> NDArray[np.int64]:
    """Return the order (48, places) that each way to lay a cube gives the places."""
    places = spread_places(_N_TRIED, 3, reach=_TRIED_REACH)
    return np.stack([_order_by(cube, places) for cube in _list_cubes()])


def _list_cubes() -> list[NDArray[np.float64]]:
    """Return the 48 signed permutations of three axes."""
    return [
        np.eye(3)[list(order)] * np.array(signs)
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]


def _turn_about_last(degrees: float) -> NDArray[np.float64]:
    """Return the rotation about the last of three axes."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])


def _order_by(cube: NDArray[np.float64], places: Places) -> NDArray[np.int64]:
    """Return which of the places of a regular grid each place comes to lie on."""
    steps = np.rint((places / _TRIED_REACH + 1) * (_N_TRIED - 1) / 2).astype(int)
    turned = np.rint((places @ cube.T / _TRIED_REACH + 1) * (_N_TRIED - 1) / 2).astype(int)
    number = np.array([_N_TRIED**2, _N_TRIED, 1])
    keys = steps @ number
    by_key = np.argsort(keys)
    order: NDArray[np.int64] = by_key[np.searchsorted(keys[by_key], turned @ number)]
    return order
