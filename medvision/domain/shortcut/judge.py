"""How well each probe tells the label of held-out images, beside the network; what that says."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from medvision.domain.evaluation.estimate import (
    Difference,
    Estimate,
    Resampled,
    build_differences,
    build_estimates,
)
from medvision.domain.evaluation.regression import ValuePredictions
from medvision.domain.metrics.figures import compute_areas
from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.metrics.value_statistics import METHODS, compute_value_statistics
from medvision.domain.metrics.weighted import Replicates
from medvision.domain.prediction import Indices, check_same_images, number_clusters
from medvision.domain.resampling.bootstrap import Weights
from medvision.domain.resampling.draws import Drawn, Draws, draw_statistics
from medvision.domain.resampling.multiplicity import adjust_holm
from medvision.domain.resampling.resampled import Counts, Joined, list_differences, list_estimates
from medvision.domain.resampling.settings import Settings
from medvision.domain.shortcut.null import (
    Null,
    compute_null,
    compute_permuted_areas,
    draw_permutations,
)

Verdict = Literal["found", "hint", "none", "not-judged", "undefined"]
"""found: above chance, also after correction for the number of looks; hint: the interval alone lies
above chance; none: it does not; not-judged: the figure does, without an interval;
undefined: there is no figure."""

ValueMetric = Literal["r2", "pearson_r"]

_UNDEFINED = {
    "r2": "all true values are equal",
    "pearson_r": "all true or all predicted values are equal",
}

NETWORK = "network"
"""Name of the study's own network among what is judged."""


@dataclass(frozen=True)
class Judgement:
    """What one probe is worth on one target.

    Args:
        probe: Its name.
        target: The finding; empty where there is one question only.
        figure: Its AUC (macro for more than two classes) or R2 on held-out images.
        gain: The network's figure minus the probe's, on the same subjects; None without a network.
        p: That it tells nothing, as `Null.compute_p`.
        p_holm: The same corrected for all probes and targets.
        verdict: What that says.
        chance: The figure where nothing is told.
    """

    probe: str
    target: str
    figure: Estimate
    gain: Difference | None
    p: float | None
    p_holm: float | None
    verdict: Verdict
    chance: float

    @property
    def is_below(self) -> bool:
        """Whether the interval lies below chance."""
        return self.figure.high is not None and self.figure.high < self.chance


@dataclass(frozen=True)
class Question:
    """One target with the figures of all who were asked, on the same images and resamples.

    Args:
        target: The finding; empty where there is one question only.
        metric: Name of the figure: auc, auc_macro, r2 or pearson_r.
        chance: Its value where nothing is told.
        drawn: The resamples, and what they are of.
        estimates: Each one's figure.
        gains: Each probe's name to the network's figure minus its own.
        nulls: Each one's figure where it tells nothing; not the network's.
    """

    target: str
    metric: str
    chance: float
    drawn: Drawn
    estimates: Mapping[str, Estimate]
    gains: Mapping[str, Difference]
    nulls: Mapping[str, Null]

    @property
    def draws(self) -> dict[str, Draws]:
        """Each one's resamples of the figure."""
        return {name: held[self.metric] for name, held in self.drawn.arms.items()}


def ask_classes(arms: Mapping[str, ArmTest], *, target: str, settings: Settings) -> Question:
    """Compute the AUC of each probe, and of the network.

    Args:
        arms: Test predictions of all, of the same images; the network first, if there is one.
        target: The finding; empty where there is one question only.
        settings: Settings of the statistics.

    Raises:
        DataError: They are not of the same images.
    """
    check_same_images([arm.rounds[0] for arm in arms.values()])
    first = next(iter(arms.values()))
    drawn = draw_statistics(
        {name: partial(compute_areas, arm) for name, arm in arms.items()},
        first.clusters,
        folds=first.folds,
        labels=first.labels,
        settings=settings,
    )
    held, metric = Resampled(arms, drawn), "auc" if first.positive is not None else "auc_macro"
    rows = draw_permutations(first.clusters, folds=first.folds, seed=settings.seed)
    nulls = {
        name: compute_null(compute_permuted_areas(arm, rows))
        for name, arm in arms.items()
        if name != NETWORK
    }
    told = build_estimates(held), build_differences(held)
    return _gather(target, metric, drawn, nulls=nulls, of=told)


def ask_values(
    arms: Mapping[str, Sequence[ValuePredictions]],
    *,
    groups: Mapping[str, str],
    metric: ValueMetric,
    settings: Settings,
) -> Question:
    """Compute a figure of values predicted by each probe, and by the network.

    Args:
        arms: Predictions of all, round by round, of the same images; the network first, if there
            is one.
        groups: image_id to the group of subjects that is resampled as one.
        metric: The figure; r2 of what has learnt something that is not true lies well below its
            chance of 0, so that whether anything is known must be asked of pearson_r.
        settings: Settings of the statistics.

    Raises:
        DataError: They are not of the same images.
    """
    first = next(iter(arms.values()))[0]
    check_same_images([rounds[0] for rounds in arms.values()])
    clusters = number_clusters(first.image_ids, first.subjects, groups=groups)
    drawn = draw_statistics(
        {name: partial(_compute_values, rounds, metric) for name, rounds in arms.items()},
        clusters,
        folds=first.folds,
        labels=np.zeros(len(clusters), dtype=np.intp),
        settings=settings,
    )
    counts = Counts(len(clusters), len(set(first.subjects)), len(np.unique(clusters)))
    joined = Joined(drawn, counts, {metric: METHODS[metric]}, {metric: _UNDEFINED[metric]})
    rows = draw_permutations(clusters, folds=first.folds, seed=settings.seed)
    nulls = {
        name: compute_null(_compute_permuted(rounds, rows, metric=metric))
        for name, rounds in arms.items()
        if name != NETWORK
    }
    told = list_estimates(joined), list_differences(joined)
    return _gather("", metric, drawn, nulls=nulls, of=told)


def judge_probes(questions: Sequence[Question], *, confidence: float) -> list[Judgement]:
    """Say of each probe and target whether the label shows in it, corrected for their number.

    Args:
        questions: All targets.
        confidence: Level of the intervals.

    Source:
        Permutation test, as `compute_null`; Holm 1979, Scandinavian Journal of
        Statistics 6:65-70, over all probes and targets.
    """
    pairs = [(asked, name) for asked in questions for name in asked.draws if name != NETWORK]
    levels = [_compute_p(asked, name) for asked, name in pairs]
    adjusted = iter(adjust_holm([p for p in levels if p is not None]))
    judged = []
    for (asked, name), p in zip(pairs, levels, strict=True):
        p_holm = None if p is None else next(adjusted)
        figure = asked.estimates[name]
        judged.append(
            Judgement(
                probe=name,
                target=asked.target,
                figure=figure,
                gain=asked.gains.get(name),
                p=p,
                p_holm=p_holm,
                verdict=_decide(figure, asked.chance, p_holm=p_holm, confidence=confidence),
                chance=asked.chance,
            )
        )
    return judged


def _decide(figure: Estimate, chance: float, *, p_holm: float | None, confidence: float) -> Verdict:
    """Tell what a figure says."""
    if figure.value is None:
        return "undefined"
    if figure.low is None:
        return "not-judged" if figure.value > chance else "none"
    if figure.low <= chance:
        return "none"
    return "found" if p_holm is not None and p_holm < 1 - confidence else "hint"


def _compute_p(asked: Question, name: str) -> float | None:
    """Return the one-sided p-value of a figure; None where there is none."""
    value = asked.draws[name].value
    return None if math.isnan(value) else asked.nulls[name].compute_p(value)


def _compute_permuted(
    rounds: Sequence[ValuePredictions], rows: Indices, *, metric: ValueMetric
) -> Replicates:
    """Compute a figure of values, each image given another one's value, for (R, N) rows."""
    once = np.ones((1, rows.shape[1]))
    dealt = ([replace(each, true=each.true[row]) for each in rounds] for row in rows)
    return np.array([_compute_values(held, metric, once)[metric][0] for held in dealt])


def _compute_values(
    rounds: Sequence[ValuePredictions], metric: ValueMetric, weights: Weights
) -> dict[str, Replicates]:
    """Compute the mean of a figure over the rounds."""
    found = [
        compute_value_statistics(each.true, each.predicted, weights=weights)[metric]
        for each in rounds
    ]
    return {metric: np.mean(found, axis=0)}


def _gather(
    target: str,
    metric: str,
    drawn: Drawn,
    *,
    nulls: Mapping[str, Null],
    of: tuple[Sequence[Estimate], Sequence[Difference]],
) -> Question:
    """Keep the main figure of each."""
    estimates, differences = of
    return Question(
        target=target,
        metric=metric,
        chance=0.0 if metric in _UNDEFINED else 0.5,
        drawn=drawn,
        estimates={item.arm: item for item in estimates if item.metric == metric},
        gains={
            item.arm_b: item
            for item in differences
            if item.metric == metric and item.arm_a == NETWORK
        },
        nulls=nulls,
    )
