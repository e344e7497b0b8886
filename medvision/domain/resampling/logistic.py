"""Logistic regression on one number, on all resamples at once."""

import numpy as np
from numpy.typing import NDArray

from medvision.domain.metrics.weighted import Flags, Replicates, Scalars, divide
from medvision.domain.resampling.bootstrap import Weights

_STEPS = 60
_CLOSE = 1e-6
"""Newton's next step would be the square of this."""
_FARTHEST = 700.0
_LONGEST = 2.0
_SHARE = 0.2
"""Steps at most this long, or this share of the slope."""
_STEEP = 8.0
"""Slope per deviation that resamples seldom reach, and separated classes pass on the way."""


def fit_slope(x: Scalars, positive: Flags, *, weights: Weights) -> Replicates:
    """Fit intercept and slope, and return the slope.

    By Newton's method in units of the deviation of `x`, from the fit of all resamples together, and
    where that leads nowhere from a slope of 0: so the scale of `x` does not matter.

    Args:
        x: (N,) what the class is regressed on.
        positive: (N,) the class.
        weights: (R, N) weight of each row in each resample.

    Returns:
        (R,) slopes without penalty; NaN where there is no finite one: a class is absent, `x` does
        not vary, or a limit parts the classes.

    Source:
        Cox 1958, doi:10.1093/biomet/45.3-4.562; that separation leaves no estimate: Albert and
        Anderson 1984, doi:10.1093/biomet/71.1.1.
    """
    unit = float(x.std())
    rows = _find_mixed(positive, weights) if unit > 0 else np.empty(0, dtype=np.intp)
    found: Replicates = np.full(len(weights), np.nan)
    if len(rows):
        z = (x - x.mean()) / unit
        found[rows] = _fit_line(z, positive, weights=_pick(weights, rows)) / unit
    return found


def fit_offset(x: Scalars, positive: Flags, *, weights: Weights) -> Replicates:
    """Fit what must be added to `x` for the mean probability to be the share of positives.

    The mean rises with what is added, so the root lies where adding to the largest, or to the
    smallest, `x` alone would put it. Newton's method, halving where a step would leave the bracket.

    Args:
        x: (N,) log-odds.
        positive: (N,) the class.
        weights: (R, N) weight of each row in each resample.

    Returns:
        (R,) offsets; NaN where a class is absent.
    """
    total = weights.sum(axis=1)
    share = divide(weights @ positive.astype(np.float64), total)
    rows = _find_mixed(positive, weights)
    found: Replicates = np.full(len(weights), np.nan)
    own, wanted = weights[rows] / total[rows, None], share[rows]
    odds = np.log(wanted / (1 - wanted))
    low, high = odds - x.max(), odds - x.min()
    at = np.clip(0.0, low, high)
    for _ in range(2 * _STEPS):
        shares = _squash(at[:, None] + x)
        gap = np.einsum("rn,rn->r", own, shares) - wanted
        low, high = np.where(gap <= 0, at, low), np.where(gap >= 0, at, high)
        moved = at - divide(gap, np.einsum("rn,rn->r", own, shares * (1 - shares)))
        is_inside = (moved > low) & (moved < high)
        following = np.where(is_inside, moved, (low + high) / 2)
        step, at = np.abs(following - at), following
        if (step < _CLOSE).all():
            break
    found[rows] = at
    return found


def _find_mixed(positive: Flags, weights: Weights) -> NDArray[np.intp]:
    """Return the resamples that have both classes."""
    return np.flatnonzero((weights @ positive > 0) & (weights @ ~positive > 0))


def _fit_line(z: Scalars, positive: Flags, *, weights: Weights) -> Replicates:
    """Return the slope on `z`, of deviation 1, where both classes are there."""
    truth, whole = positive.astype(np.float64), weights.mean(axis=0)[None]
    together = _climb(z, truth, weights=whole, start=_start(truth, whole))
    warm = together if np.isfinite(together).all() else _start(truth, whole)
    slopes = _climb(z, truth, weights=weights, start=np.tile(warm, (1, len(weights))))[1]
    # Steep fits may be none at all; only of these is it worth to look.
    steep = np.flatnonzero(~(np.abs(slopes) < _STEEP))
    if len(steep):
        is_parted = _is_parted(z, positive, weights=weights[steep])
        slopes[steep[is_parted]] = np.nan
        again = steep[~is_parted]
        own = weights[again]
        slopes[again] = _climb(z, truth, weights=own, start=_start(truth, own))[1]
    found: Replicates = slopes
    return found


def _pick(weights: Weights, rows: NDArray[np.intp]) -> Weights:
    """Return some of the resamples; all of them as they are."""
    return weights if len(rows) == len(weights) else weights[rows]


def _start(truth: Scalars, weights: Weights) -> NDArray[np.float64]:
    """Return (2, R): the odds of the positives alone, and no slope."""
    share = weights @ truth / weights.sum(axis=1)
    return np.stack([np.log(share / (1 - share)), np.zeros(len(weights))])


def _is_parted(x: Scalars, positive: Flags, *, weights: Weights) -> Flags:
    """Tell (R,) whether a limit has all positives on one side; ties at it part as well."""
    order = np.argsort(x, kind="stable")
    ordered, there = x[order], weights[:, order] > 0
    is_parted: Flags = np.zeros(len(weights), dtype=bool)
    ends = [_find_ends(ordered, there & flags) for flags in (positive[order], ~positive[order])]
    for (_, top), (bottom, _) in (ends, ends[::-1]):
        is_parted |= ~(top > bottom)
    return is_parted


def _find_ends(ordered: Scalars, there: NDArray[np.bool_]) -> tuple[Scalars, Scalars]:
    """Return the smallest and the largest (R,) of those that are there; NaN where none is."""
    has_any = there.any(axis=1)
    first, last = there.argmax(axis=1), there.shape[1] - 1 - there[:, ::-1].argmax(axis=1)
    return np.where(has_any, ordered[first], np.nan), np.where(has_any, ordered[last], np.nan)


def _climb(
    z: Scalars, truth: Scalars, *, weights: Weights, start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (2, R) intercept and slope on every resample; NaN where the steps do not end."""
    found, is_open = start.copy(), np.ones(len(weights), dtype=bool)
    for _ in range(_STEPS):
        rows = np.flatnonzero(is_open)
        if not len(rows):
            break
        step = _step(z, truth, weights=_pick(weights, rows), at=found[:, rows])
        found[:, rows] += step
        is_open[rows[np.abs(step).max(axis=0) < _CLOSE]] = False
    found[:, is_open] = np.nan
    return found


def _step(
    z: Scalars, truth: Scalars, *, weights: Weights, at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Newton's step (2, R) in intercept and slope, not too long in either."""
    shares = _squash(at[1][:, None] * z + at[0][:, None])
    told = weights * shares
    g0, g1 = weights @ truth - told.sum(axis=1), weights @ (truth * z) - told @ z
    told *= 1 - shares
    h00, h01, h11 = told.sum(axis=1), told @ z, told @ z**2
    determinant = h00 * h11 - h01**2
    step = np.stack(
        [divide(h11 * g0 - h01 * g1, determinant), divide(h00 * g1 - h01 * g0, determinant)]
    )
    # Shortened as a whole: cut in one direction alone it would lead in circles.
    longest = np.maximum(_LONGEST, _SHARE * np.abs(at[1]))
    shortened: NDArray[np.float64] = step * np.minimum(
        1.0, longest / np.maximum(np.abs(step).max(axis=0), _CLOSE)
    )
    return shortened


def _squash(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of log-odds; overwrites them."""
    np.clip(odds, -_FARTHEST, _FARTHEST, out=odds)
    np.negative(odds, out=odds)
    np.exp(odds, out=odds)
    odds += 1
    np.reciprocal(odds, out=odds)
    return odds
