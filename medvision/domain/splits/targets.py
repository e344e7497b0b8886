"""Targets: how many groups of each kind each part gets, so that every count comes out even."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.intp]
"""(C,) or (C, P) whole numbers: groups by kind, or by kind and part."""

Table = NDArray[np.float64]
"""(K, P) float64: one row per key, one column per part."""

_OUTSIDE = 1e4
"""Price of one group outside the bounds, against the squared distance from the ideal."""

_ROUNDING = 1e-9
_MAX_PAIRED_KINDS = 400


@dataclass(frozen=True)
class Bounds:
    """What the counts of a key should be: between low and high, near the ideal; (K, P) each."""

    low: Table
    high: Table
    ideal: Table
    weight: NDArray[np.float64]

    def price(self, totals: Table) -> Table:
        """Return the price (K, P) of the counts: what lies outside first, then the distance."""
        outside = np.maximum(self.low - totals, 0) + np.maximum(totals - self.high, 0)
        result: Table = self.weight[:, None] * _OUTSIDE * outside + (totals - self.ideal) ** 2
        return result

    def is_kept(self, totals: Table) -> bool:
        """Say whether every count lies within its bounds."""
        return bool(((totals >= self.low) & (totals <= self.high)).all())


@dataclass(frozen=True)
class _Move:
    """One unit of a kind goes from one part to another; a partner may go the other way."""

    gain: float
    kind: int
    source: int
    target: int
    partner: int | None = None


def build_bounds(
    n_groups: Counts, shares: Sequence[float], *, weight: NDArray[np.float64], least: Table
) -> Bounds:
    """Bound the count of each key in each part: its share, rounded down or up.

    Args:
        n_groups: (K,) groups that hold the key.
        shares: (P,) share of each part, summing to 1.
        weight: (K,) price of a count outside its bounds; more is dearer.
        least: (K, P) groups that a part must hold, where there are enough for all parts.

    Returns:
        Bounds (K, P).
    """
    total: Table = n_groups[:, None].astype(np.float64)
    ideal: Table = total * np.asarray(shares, dtype=np.float64)
    wanted = np.where((n_groups >= least.sum(axis=1))[:, None], least, 0.0)
    low = np.maximum(np.floor(ideal + _ROUNDING), wanted)
    others = wanted.sum(axis=1, keepdims=True) - wanted
    high = np.maximum(np.ceil(ideal - _ROUNDING), wanted)
    return Bounds(
        np.minimum(low, total - others),
        np.minimum(high, total - others),
        ideal,
        weight,
    )


def apportion(
    n_groups: Counts,
    shares: Sequence[float],
    *,
    members: NDArray[np.bool_],
    bounds: Bounds,
    ranking: Counts,
) -> Counts:
    """Give each kind of group its number of places in each part.

    Each kind gets its share of each part rounded down; the places left over go to the parts
    that the kind's own ranking names first. Where that leaves a key outside its bounds, single
    places change parts, alone or against another kind's, the most useful change first, until
    every key is inside or no change helps.

    Args:
        n_groups: (C,) groups of each kind.
        shares: (P,) share of each part, summing to 1.
        members: (C, K) whether a kind holds a key.
        bounds: What each key's counts should be.
        ranking: (C, P) place of each part in the kind's own order, from 0.

    Returns:
        (C, P) places, summing to `n_groups` by kind.

    Source:
        Controlled rounding, Cox 1987, doi:10.1080/01621459.1987.10478456, here by local search
        because a table of more than two ways need not have an exact solution.
    """
    base = np.floor(n_groups[:, None] * np.asarray(shares) + _ROUNDING).astype(np.intp)
    extra = ranking < (n_groups - base.sum(axis=1))[:, None]
    counted = members.astype(np.float64)
    totals = counted.T @ (base + extra)
    while not bounds.is_kept(totals):
        move = _find_move(extra, counted, totals=totals, bounds=bounds)
        if move is None:
            break
        extra = _apply(extra, move)
        totals = counted.T @ (base + extra)
    result: Counts = base + extra
    return result


def _apply(extra: NDArray[np.bool_], move: _Move) -> NDArray[np.bool_]:
    """Return the places left over after a move."""
    result = extra.copy()
    result[move.kind, [move.source, move.target]] = False, True
    if move.partner is not None:
        result[move.partner, [move.source, move.target]] = True, False
    return result


def _find_move(
    extra: NDArray[np.bool_], counted: Table, *, totals: Table, bounds: Bounds
) -> _Move | None:
    """Return the most useful move, alone if one helps, else of two kinds; None if none does."""
    now = bounds.price(totals)
    fewer, more = bounds.price(totals - 1) - now, bounds.price(totals + 1) - now
    places = [(p, q) for p in range(extra.shape[1]) for q in range(extra.shape[1]) if p != q]
    moves = [_find_single(extra, counted @ (fewer[:, [p]] + more[:, [q]]), p, q) for p, q in places]
    best = min(moves, key=lambda move: move.gain)
    if best.gain < -_ROUNDING:
        return best
    if len(extra) > _MAX_PAIRED_KINDS:
        return None
    moves = [
        _find_pair(
            extra, counted, out=fewer[:, p] + more[:, q], back=fewer[:, q] + more[:, p], p=p, q=q
        )
        for p, q in places
    ]
    best = min(moves, key=lambda move: move.gain)
    return best if best.gain < -_ROUNDING else None


def _find_single(extra: NDArray[np.bool_], change: Table, p: int, q: int) -> _Move:
    """Return the best move of one kind from part p to part q."""
    free = extra[:, p] & ~extra[:, q]
    price = np.where(free, change[:, 0], np.inf)
    kind = int(price.argmin())
    return _Move(float(price[kind]), kind, p, q)


def _find_pair(
    extra: NDArray[np.bool_],
    counted: Table,
    *,
    out: NDArray[np.float64],
    back: NDArray[np.float64],
    p: int,
    q: int,
) -> _Move:
    """Return the best exchange of two kinds between parts p and q; shared keys stay as they are."""
    shared = (counted * (out + back)) @ counted.T
    price = (counted @ out)[:, None] + (counted @ back)[None, :] - shared
    leaves, comes = extra[:, p] & ~extra[:, q], extra[:, q] & ~extra[:, p]
    price = np.where(leaves[:, None] & comes[None, :], price, np.inf)
    kind, partner = np.unravel_index(int(price.argmin()), price.shape)
    return _Move(float(price[kind, partner]), int(kind), p, q, int(partner))
