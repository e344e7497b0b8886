"""Operating points: thresholds fixed on validation predictions, never on test ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.metrics.prevalence import Prevalence
from medvision.domain.metrics.weighted import Flags, Scalars
from medvision.domain.resampling.settings import Rule

FALLBACK = 0.5
"""The threshold where validation predictions give none; its rule says so."""

YOUDEN = "Youden"
"""The rule of a threshold that was fitted for the largest Youden index."""

_DIGITS = 12
_ABOVE_ALL = 1.00000001


@dataclass(frozen=True)
class OperatingRule:
    """What a threshold is fitted for.

    Args:
        kind: youden, sensitivity, specificity or cost.
        target: Sensitivity or specificity that validation must reach.
        miss_cost: Cost of a missed positive, where a false alarm costs 1.
        prevalence: Share of positives that costs are weighed by, one number where thresholds are
            fitted; None takes validation's.
    """

    kind: Rule
    target: float
    miss_cost: float
    prevalence: Prevalence

    @property
    def name(self) -> str:
        """The rule as a table holds it."""
        return {
            "youden": YOUDEN,
            "sensitivity": f"sensitivity of at least {self.target:g}",
            "specificity": f"specificity of at least {self.target:g}",
            "cost": f"least cost, a miss costs {self.miss_cost:g} false alarms{self._at}",
        }[self.kind]

    @property
    def _at(self) -> str:
        """Name the prevalence that costs are weighed by, where one is given."""
        return f" at prevalence {self.prevalence:g}" if isinstance(self.prevalence, float) else ""


BY_YOUDEN = OperatingRule("youden", target=0.5, miss_cost=1.0, prevalence=None)
"""The rule that needs no number."""


@dataclass(frozen=True)
class Threshold:
    """An image is predicted positive where its probability is at least `value`."""

    value: float
    rule: str

    @property
    def is_fitted(self) -> bool:
        """Whether validation gave it; otherwise the rule says why not."""
        return not self.rule.startswith(f"{FALLBACK},")


@dataclass(frozen=True)
class _Candidates:
    """Every way to part the validation images, thresholds ascending.

    Args:
        low: (K,) largest probability that is below; 0 where there is none.
        high: (K,) smallest probability that is at or above; just above 1 where there is none.
        hits: (K,) positives at or above.
        alarms: (K,) negatives at or above.
        n_positive: Positives in all.
        n_negative: Negatives in all.
    """

    low: Scalars
    high: Scalars
    hits: NDArray[np.int64]
    alarms: NDArray[np.int64]
    n_positive: int
    n_negative: int


def fit_threshold(
    probabilities: Scalars, positive: Flags, *, rule: OperatingRule = BY_YOUDEN
) -> Threshold:
    """Choose a threshold on validation predictions.

    Candidates lie midway between neighbouring distinct probabilities; for a target or a cost also
    below and above all. By `youden` the largest Youden index wins; by `sensitivity` the highest
    threshold that reaches the target; by `specificity` the lowest; by `cost` the least expected
    cost. Of equally good ones the nearest to 0.5 is taken, then the lower. Where one class is
    absent, all probabilities are equal, or no Youden index is above 0, the threshold is 0.5 and
    the rule says why.

    Args:
        probabilities: (N,) of the positive class, on validation images.
        positive: (N,) the true class.
        rule: What it is fitted for.

    Returns:
        The threshold, with nine significant digits so that the table reproduces it, and its
        rule in words.

    Source:
        Youden 1950, doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3; costs and
        targets: Greiner, Pfeiffer and Smith 2000, doi:10.1016/S0167-5877(00)00115-X.
    """
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return Threshold(FALLBACK, f"{FALLBACK}, validation images hold one class")
    values = np.unique(probabilities)
    if len(values) == 1:
        return Threshold(FALLBACK, f"{FALLBACK}, validation predictions are constant")
    every = _list_candidates(probabilities, positive, values=values)
    best = _choose(every, rule)
    if not len(best):
        return Threshold(FALLBACK, f"{FALLBACK}, no validation threshold is better than chance")
    middles = (every.low[best] + every.high[best]) / 2
    nearest = int(best[np.argmin(np.abs(middles - FALLBACK))])
    return Threshold(_round_between(every.low[nearest], every.high[nearest]), rule.name)


def _list_candidates(probabilities: Scalars, positive: Flags, *, values: Scalars) -> _Candidates:
    """Count hits and alarms of every threshold, from below all to above all."""
    low = np.concatenate([[0.0], values])
    high = np.concatenate([values, [_ABOVE_ALL]])
    hits, alarms = (
        np.concatenate([[own.sum()], _count_from(np.sort(probabilities[own]), values), [0]])
        for own in (positive, ~positive)
    )
    return _Candidates(low, high, hits, alarms, int(positive.sum()), int((~positive).sum()))


def _choose(every: _Candidates, rule: OperatingRule) -> NDArray[np.intp]:
    """Return the best candidates by the rule; none where Youden finds none above chance."""
    if rule.kind == "youden":
        # Whole numbers, so that equal indices are equal.
        youden = every.hits * every.n_negative - every.alarms * every.n_positive
        return np.flatnonzero(youden == youden.max()) if youden.max() > 0 else np.array([], np.intp)
    sensitivity, specificity = every.hits / every.n_positive, 1 - every.alarms / every.n_negative
    if rule.kind == "sensitivity":
        return np.flatnonzero(sensitivity >= rule.target)[-1:]
    if rule.kind == "specificity":
        return np.flatnonzero(specificity >= rule.target)[:1]
    share = every.n_positive / (every.n_positive + every.n_negative)
    share = rule.prevalence if isinstance(rule.prevalence, float) else share
    misses, alarms = share * (1 - sensitivity), (1 - share) * (1 - specificity)
    cost = np.round(rule.miss_cost * misses + alarms, _DIGITS)
    return np.flatnonzero(cost == cost.min())


def _count_from(ordered: Scalars, values: Scalars) -> NDArray[np.int64]:
    """Count how many are at least as large as each value but the smallest."""
    return (len(ordered) - np.searchsorted(ordered, values[1:], side="left")).astype(np.int64)


def _round_between(low: float, high: float) -> float:
    """Return the middle as nine digits have it, or `high` where that would leave the gap."""
    middle = float(f"{(low + high) / 2:.9g}")
    return middle if low < middle <= high else float(high)
