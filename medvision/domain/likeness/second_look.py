"""The second look at candidates: guess, fit coarse detail, fit fine detail, measure agreement."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.agreement import measure_agreement
from medvision.domain.likeness.describe import Window
from medvision.domain.likeness.detail import bring_out_fine, fill_field, find_clear
from medvision.domain.likeness.index import Candidates
from medvision.domain.likeness.register import correlate, fit_motion
from medvision.domain.likeness.room import Arrays, CoarseStack, Room
from medvision.domain.likeness.sampling import Stack, spread_places
from medvision.domain.likeness.start import Motion, guess_motion

_MIN_GUESS = {2: 0.6, 3: 0.5}
_MIN_COARSE = {2: 0.8, 3: 0.8}
_COARSE_PLACES, _FINE_PLACES = {2: 21, 3: 11}, {2: 41, 3: 19}
_REACH = 0.95
_COARSE_STEPS, _FINE_STEPS = 6, 6
_BATCH = 256


@dataclass(frozen=True)
class Seen:
    """Pairs that were laid over each other.

    Args:
        pairs: Which; their motion leads from places of the query to places of the image.
        motion: How they lie.
        agreement: (N,) how far their detail agrees, up to 1.
    """

    pairs: Candidates
    motion: Motion
    agreement: NDArray[np.float64]

    def take(self, rows: NDArray[np.bool_]) -> "Seen":
        """Return some of the pairs."""
        return Seen(self.pairs.take(rows), self.motion.take(rows), self.agreement[rows])


def choose_likely(
    room: Room, candidates: Candidates, windows: Sequence[Window], *, n_kept: int
) -> Candidates:
    """Keep the candidates of each query that a first guess already lays well over it.

    Args:
        room: Has the coarse detail of all thumbnails.
        candidates: Pairs from the index.
        windows: What each view shows.
        n_kept: Most pairs of one query.

    Returns:
        The likely pairs by view; whole against whole, one pair once.
    """
    guess = np.zeros(len(candidates.query))
    batches = list(_list_batches(candidates))
    found = room.spread(
        partial(_guess, windows=windows), (candidates.take(rows) for rows in batches)
    )
    for rows, correlation in zip(batches, found, strict=True):
        guess[rows] = correlation
    order = np.lexsort((candidates.image, -guess, candidates.query))
    ordered = candidates.query[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    chosen = order[(rank < n_kept) & (guess[order] >= _MIN_GUESS[room.arrays.coarse.ndim - 1])]
    return _drop_mirrored(candidates.take(np.sort(chosen)))


def look_again(
    room: Room, candidates: Candidates, windows: Sequence[Window], *, similarity: float
) -> Iterator[Seen]:
    """Lay candidates over each other, and find those that agree.

    Args:
        room: Has all thumbnails, which of them are compared, and their coarse detail.
        candidates: Pairs of them.
        windows: What each view shows.
        similarity: Least agreement.

    Yields:
        What agrees, in batches.
    """
    work = partial(_look, windows=windows, similarity=similarity)
    batches = (candidates.take(rows) for rows in _list_batches(candidates))
    yield from (seen for seen in room.spread(work, batches) if seen is not None)


def _guess(arrays: Arrays, pairs: Candidates, *, windows: Sequence[Window]) -> NDArray[np.float64]:
    """Return the correlation of pairs of one view at a first guess how they lie."""
    return guess_motion(*_load(arrays.coarse, pairs), windows[pairs.view[0]])[1]


def _look(
    arrays: Arrays, pairs: Candidates, *, windows: Sequence[Window], similarity: float
) -> Seen | None:
    """Lay pairs of one view over each other; return those that agree, if any may."""
    likely, motion = _settle(arrays.coarse, pairs, windows[pairs.view[0]])
    if not likely.query.size:
        return None
    seen = _refine(arrays, likely, motion)
    return seen.take(seen.agreement >= similarity)


def _list_batches(candidates: Candidates) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of candidates of one view, some at a time."""
    order = np.argsort(candidates.view, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(candidates.view[order])) + 1):
        for start in range(0, len(rows), _BATCH):
            yield rows[start : start + _BATCH]


def _drop_mirrored(candidates: Candidates) -> Candidates:
    """Drop the second of two pairs that hold the same two whole thumbnails against each other."""
    low = np.minimum(candidates.query, candidates.image)
    high = np.maximum(candidates.query, candidates.image)
    key = np.stack([low, high, candidates.view], axis=1)
    # A part of one against the whole of the other is another question in each direction.
    key[candidates.view > 0, :2] = np.stack([candidates.query, candidates.image], axis=1)[
        candidates.view > 0
    ]
    _, first = np.unique(key, axis=0, return_index=True)
    return candidates.take(np.sort(first))


def _load(coarse: CoarseStack, pairs: Candidates) -> tuple[Stack, Stack]:
    """Return the coarse detail of both thumbnails of each pair."""
    return coarse[pairs.query].astype(np.float32), coarse[pairs.image].astype(np.float32)


def _settle(coarse: CoarseStack, pairs: Candidates, window: Window) -> tuple[Candidates, Motion]:
    """Fit coarse detail: enough to see that most pairs are not alike."""
    n_axes = coarse.ndim - 1
    first, second = _load(coarse, pairs)
    motion, _ = guess_motion(first, second, window)
    places = spread_places(_COARSE_PLACES[n_axes], n_axes, reach=_REACH)
    motion = fit_motion(first, second, motion, places=places, n_steps=_COARSE_STEPS)
    is_likely = correlate(first, second, motion, places=places) >= _MIN_COARSE[n_axes]
    return pairs.take(is_likely), motion.take(is_likely)


def _refine(arrays: Arrays, pairs: Candidates, motion: Motion) -> Seen:
    """Fit fine detail, and measure how far it agrees."""
    n_axes = arrays.thumbnails.ndim - 1
    rows, place = np.unique(np.stack([pairs.query, pairs.image]), return_inverse=True)
    filled = fill_field(arrays.thumbnails[arrays.rows[rows]])
    detail, clear = bring_out_fine(filled), find_clear(filled)
    one, other = detail[place[0]], detail[place[1]]
    places = spread_places(_FINE_PLACES[n_axes], n_axes, reach=_REACH)
    fitted = fit_motion(one, other, motion, places=places, n_steps=_FINE_STEPS)
    is_clear = clear[place[0]], clear[place[1]]
    return Seen(pairs, fitted, measure_agreement(one, other, fitted, is_clear=is_clear))
