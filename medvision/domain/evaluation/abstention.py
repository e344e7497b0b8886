"""Abstention: do fewer errors remain where the least certain images are left to a person?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medvision.domain.evaluation.abstention_ends import find_interval
from medvision.domain.metrics.operating import FoldThreshold
from medvision.domain.metrics.selective import COVERAGES, compute_risk_curve, sort_images
from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.metrics.uncertainty import (
    ImageUncertainty,
    RoundUncertainty,
    describe_certainty,
    list_images,
)
from medvision.domain.metrics.weighted import Replicates
from medvision.domain.resampling.bootstrap import Weights
from medvision.domain.resampling.draws import Drawn, draw_statistics
from medvision.domain.resampling.settings import Settings

_METHODS = {
    "error_rate": "share of images predicted wrongly",
    "aurc": "area under the error rate of the images kept, by the share kept; a random order gives "
    "the error rate of all",
    "aurc_excess": "that area above the least possible one: every wrong image after every right "
    "one",
    "aurc_gain": "error rate of all, which a random order gives, minus that area",
    "augrc": "area under the share of all images that are kept and wrong; a random order gives "
    "half the error rate",
    "error_auc": "share of pairs of a right and a wrong prediction of which the right one is more "
    "certain, ties half; a random order gives 0.5",
}
_ALARMS = {
    "alarm_rate": "share of images that count as unlike the train images: so far from them that no "
    "more of the validation images than the limit are as far",
    "alarm_limit": "share of images like those of validation that is expected to count so, at most",
}
"""Further figures of the order by distance."""

_DISTANCE = "distance"

SCORES = {
    "margin": "by the distance of the log-odds from the threshold",
    "entropy": "by the entropy of the probabilities",
    "disagreement": "by the disagreement of the networks of all seeds",
    "distance": "by the distance from the train images",
}
"""By what images are ordered within a fold. The first that an arm has is its main one."""


@dataclass(frozen=True)
class AbstentionFigure:
    """One figure of one order of one arm's test images.

    Args:
        arm: Arm.
        score: By what images are ordered.
        metric: error_rate, aurc, aurc_excess, aurc_gain, augrc or error_auc; of the order by
            distance alarm_rate and alarm_limit.
        value: None where it is undefined.
        low: Lower end of its interval; None where it has none.
        high: Upper end.
        n_images: Test images.
        n_subjects: Their subjects.
        n_wrong: Of the images those predicted wrongly, the mean over the rounds.
        method: How figure and interval were made.
    """

    arm: str
    score: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n_images: int
    n_subjects: int
    n_wrong: float
    method: str


@dataclass(frozen=True)
class RiskPoint:
    """The error rate of the images kept at one share; ends are None where it has no interval."""

    arm: str
    score: str
    coverage: float
    risk: float
    low: float | None
    high: float | None
    n_kept: float
    n_images: int
    n_subjects: int
    method: str


@dataclass(frozen=True)
class Abstention:
    """All that is known of the certainty of the arms.

    Args:
        images: Each test image of each arm.
        figures: In order of arm, score and metric.
        curve: In order of arm, score and coverage.
    """

    images: tuple[ImageUncertainty, ...]
    figures: tuple[AbstentionFigure, ...]
    curve: tuple[RiskPoint, ...]


def compute_abstention(
    arms: Mapping[str, ArmTest], thresholds: Sequence[FoldThreshold], *, settings: Settings
) -> Abstention:
    """Order each arm's test images by certainty, and count the errors among those kept.

    Args:
        arms: Name to test predictions, classes predicted at the thresholds.
        thresholds: Of all models, fixed on validation.
        settings: Settings of the statistics.
    """
    rounds = {name: describe_certainty(name, arms, thresholds=thresholds) for name in arms}
    first = next(iter(arms.values()))
    drawn = draw_statistics(
        {
            f"{name}/{score}": _make_statistics(rounds[name], score)
            for name in arms
            for score in rounds[name][0].certainties
        },
        first.clusters,
        folds=first.folds,
        # Within fold alone: an error rate owes to the shares of the classes.
        labels=np.zeros_like(first.labels),
        settings=settings,
    )
    keys = [(name, score) for name in arms for score in rounds[name][0].certainties]
    return Abstention(
        images=tuple(
            row for name, arm in arms.items() for row in list_images(name, arm, rounds=rounds[name])
        ),
        figures=tuple(
            _build_figure(drawn, (name, score), metric=metric, arm=arms[name], wrong=rounds[name])
            for name, score in keys
            for metric in (*_METHODS, *(_ALARMS if score == _DISTANCE else ()))
        ),
        curve=tuple(
            _build_point(drawn, (name, score), coverage=coverage, arm=arms[name])
            for name, score in keys
            for coverage in COVERAGES
        ),
    )


def _make_statistics(
    rounds: Sequence[RoundUncertainty], score: str
) -> Callable[[Weights], dict[str, Replicates]]:
    """Return what computes the figures of one order, the mean over the rounds."""
    orders = [
        sort_images(held.certainties[score], held.wrong, folds=held.each.folds) for held in rounds
    ]

    def compute(weights: Weights) -> dict[str, Replicates]:
        found: dict[str, list[Replicates]] = {}
        for held, order in zip(rounds, orders, strict=True):
            curve = compute_risk_curve(order, weights)
            own = {
                "error_rate": curve.error_rate,
                "aurc": curve.aurc,
                "aurc_excess": curve.aurc - curve.ideal,
                "aurc_gain": curve.error_rate - curve.aurc,
                "augrc": curve.augrc,
                "error_auc": curve.error_auc,
                **{f"{share}": risk for share, risk in zip(COVERAGES, curve.risks, strict=True)},
                **(_count_alarms(held, weights) if score == _DISTANCE else {}),
            }
            for name, values in own.items():
                found.setdefault(name, []).append(values)
        return {name: np.mean(values, axis=0) for name, values in found.items()}

    return compute


def _count_alarms(held: RoundUncertainty, weights: Weights) -> dict[str, Replicates]:
    """Return the share of images that count as unlike the train images, and what is expected."""
    novelty = held.each.novelty
    if novelty is None:
        return {}
    total = weights.sum(axis=1)
    return {
        "alarm_rate": weights @ novelty.is_unlike / total,
        "alarm_limit": weights @ novelty.limits / total,
    }


def _build_figure(
    drawn: Drawn,
    key: tuple[str, str],
    *,
    metric: str,
    arm: ArmTest,
    wrong: Sequence[RoundUncertainty],
) -> AbstentionFigure:
    """Put one figure together."""
    value = drawn.arms["/".join(key)][metric].value
    low, high, how = find_interval(drawn, "/".join(key), name=metric, arm=arm)
    over = f"; mean over {arm.counted}" if len(arm.rounds) > 1 else ""
    return AbstentionFigure(
        arm=key[0],
        score=key[1],
        metric=metric,
        value=None if np.isnan(value) else value,
        low=low,
        high=high,
        n_images=len(arm.labels),
        n_subjects=len(set(arm.rounds[0].subjects)),
        n_wrong=float(np.mean([held.wrong.sum() for held in wrong])),
        method=f"{_describe(metric, key[1], operating=arm.operating)}{over}; {how}",
    )


def _describe(metric: str, score: str, *, operating: str) -> str:
    """Say how a figure is made."""
    if metric in _ALARMS:
        return _ALARMS[metric]
    by = "" if metric == "error_rate" else f"; {SCORES[score]}"
    return f"{_METHODS[metric]}{by}, {operating}"


def _build_point(drawn: Drawn, key: tuple[str, str], *, coverage: float, arm: ArmTest) -> RiskPoint:
    """Put one point of the curve together."""
    low, high, how = find_interval(drawn, "/".join(key), name=f"{coverage}", arm=arm)
    return RiskPoint(
        arm=key[0],
        score=key[1],
        coverage=coverage,
        risk=drawn.arms["/".join(key)][f"{coverage}"].value,
        low=low,
        high=high,
        n_kept=round(coverage * len(arm.labels), 2),
        n_images=len(arm.labels),
        n_subjects=len(set(arm.rounds[0].subjects)),
        method=how,
    )
