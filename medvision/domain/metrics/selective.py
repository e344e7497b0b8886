"""Selective prediction: how often the images kept are wrong, where the least certain are left."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.metrics.weighted import Flags, Replicates, Scalars
from medvision.domain.prediction import Indices
from medvision.domain.resampling.bootstrap import Weights

COVERAGES = tuple(round(0.05 * n, 2) for n in range(1, 21))
"""Shares of the images kept: 0.05 to 1."""


@dataclass(frozen=True)
class Order:
    """The images of one fold, the most certain first.

    Args:
        members: (n,) place of each image among all.
        wrong: (n,) whether it is predicted wrongly.
        ends: (B,) last image of each block of equal certainty.
    """

    members: Indices
    wrong: Flags
    ends: Indices


@dataclass(frozen=True)
class RiskCurve:
    """What the images kept cost, on each of R resamples; all are shares of images.

    Args:
        error_rate: (R,) of all images, and of those kept in a random order, however many.
        aurc: (R,) area under the error rate of the images kept, by the share kept.
        ideal: (R,) that area where every wrong image comes after every right one of its fold.
        augrc: (R,) area under the share of all images that are kept and wrong; in a random order
            half the error rate.
        error_auc: (R,) share of pairs of a right and a wrong image of one fold of which the right
            one is more certain, ties half; NaN where there are none.
        risks: (K, R) error rate of the images kept at each of `COVERAGES`.
    """

    error_rate: Replicates
    aurc: Replicates
    ideal: Replicates
    augrc: Replicates
    error_auc: Replicates
    risks: NDArray[np.float64]


def sort_images(certainty: Scalars, wrong: Flags, *, folds: Indices) -> tuple[Order, ...]:
    """Order the images of each fold by certainty, the most certain first.

    Two networks have two scales, so that images of two folds are not held against each other.

    Args:
        certainty: (N,) more is more certain.
        wrong: (N,) whether the image is predicted wrongly.
        folds: (N,) fold of each image.
    """
    orders = []
    for fold in np.unique(folds):
        own = np.flatnonzero(folds == fold)
        members = own[np.argsort(-certainty[own], kind="stable")]
        held = certainty[members]
        ends = np.flatnonzero(np.append(held[1:] != held[:-1], [True]))
        orders.append(Order(members, wrong[members], ends))
    return tuple(orders)


def compute_risk_curve(orders: Sequence[Order], weights: Weights) -> RiskCurve:
    """Compute error rates by the share of images kept, the same share in each fold.

    The curve is continuous: of an image, or a block of equally certain ones, a part can be kept,
    with its part of the errors, which is what a random choice among them gives on average. So
    copies of all images change nothing. Where all are equally certain the area is the error rate.

    Args:
        orders: Of each fold.
        weights: (R, N) weight of each image in each resample.

    Returns:
        The curve on each resample.

    Source:
        Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206 (area and its ideal); Traub et al. 2024,
        arXiv:2407.01032 (generalised risk).
    """
    n_resamples = len(weights)
    total, wrong, area, ideal, joint, lost, pairs = np.zeros((7, n_resamples))
    kept_wrong = np.zeros((len(COVERAGES), n_resamples))
    for order in orders:
        own = weights[:, order.members]
        kept = _add_start(np.cumsum(own, axis=1)[:, order.ends])
        errors = _add_start(np.cumsum(own * order.wrong, axis=1)[:, order.ends])
        size, failed = kept[:, -1], errors[:, -1]
        total += size
        wrong += failed
        area += _integrate_risk(kept, errors)
        right = np.maximum(size - failed, 0.0)
        ideal += failed + right * np.log(np.where(right > 0, right / size, 1.0))
        over = ((errors[:, 1:] + errors[:, :-1]) / 2 * np.diff(kept, axis=1)).sum(axis=1)
        joint += over / size
        # Of the pairs of a wrong image with another those with a wrong one are half lost.
        lost += over - failed**2 / 2
        pairs += failed * right
        kept_wrong += _interpolate(kept, errors)
    shares = np.array(COVERAGES)[:, None]
    return RiskCurve(
        error_rate=wrong / total,
        aurc=area / total,
        ideal=ideal / total,
        augrc=joint / total,
        error_auc=np.where(pairs > 0, 1 - lost / np.where(pairs > 0, pairs, 1.0), np.nan),
        risks=kept_wrong / (shares * total),
    )


def _add_start(sums: Weights) -> Weights:
    """Return cumulated sums with the nothing that they start from."""
    return np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)


def _integrate_risk(kept: Weights, errors: Weights) -> Replicates:
    """Integrate errors / kept over what is kept, both linear within a block."""
    steps, rises = np.diff(kept, axis=1), np.diff(errors, axis=1)
    slopes = np.divide(rises, steps, out=np.zeros_like(rises), where=steps > 0)
    start = kept[:, :-1]
    # Below every weight there is: before anything is kept a term is 0, whatever stands here.
    logs = np.log(np.maximum(kept, np.finfo(float).tiny))
    terms = (errors[:, :-1] - slopes * start) * np.diff(logs, axis=1)
    area: Replicates = errors[:, -1] + terms.sum(axis=1)
    return area


def _interpolate(kept: Weights, errors: Weights) -> NDArray[np.float64]:
    """Return the errors (K, R) among the share of each coverage, as a line within a block."""
    n_rows, n_ends = kept.shape
    shares = kept / kept[:, -1:]
    # One search over all rows: each lies two further on than the row before.
    offsets = 2.0 * np.arange(n_rows)
    found = np.searchsorted(
        (shares + offsets[:, None]).ravel(),
        (np.array(COVERAGES)[:, None] + offsets).ravel(),
        side="left",
    )
    places = found.reshape(len(COVERAGES), n_rows) - n_ends * np.arange(n_rows)
    after = np.clip(places, 1, n_ends - 1)
    rows = np.arange(n_rows)
    low, high = shares[rows, after - 1], shares[rows, after]
    gap = high - low
    part = np.divide(np.array(COVERAGES)[:, None] - low, gap, out=np.ones_like(gap), where=gap > 0)
    before = errors[rows, after - 1]
    values: NDArray[np.float64] = before + np.clip(part, 0, 1) * (errors[rows, after] - before)
    return values
