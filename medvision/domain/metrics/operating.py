"""Operating points: one threshold per training, fixed on its own validation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.prevalence import choose_shares
from medvision.domain.metrics.threshold import (
    BY_YOUDEN,
    FALLBACK,
    YOUDEN,
    OperatingRule,
    Threshold,
    fit_threshold,
)
from medvision.domain.prediction import Indices, Predictions, Round
from medvision.domain.resampling.settings import Settings


@dataclass(frozen=True)
class FoldThreshold:
    """The threshold of one model."""

    arm: str
    fold: int
    seed: int
    threshold: Threshold


def choose_rule(settings: Settings) -> OperatingRule:
    """Return what thresholds are fitted for.

    Args:
        settings: Settings of the statistics.
    """
    return OperatingRule(
        kind=settings.operating_point,
        target=settings.operating_target,
        miss_cost=settings.miss_cost,
        prevalence=settings.prevalence,
    )


def fit_thresholds(
    predictions: Mapping[tuple[str, Round, str], Predictions],
    classes: Classes,
    *,
    rule: OperatingRule = BY_YOUDEN,
) -> tuple[FoldThreshold, ...]:
    """Fix one threshold per arm, fold and seed on its validation predictions.

    Args:
        predictions: (arm, round, split) to predictions.
        classes: Class names and the positive one.
        rule: What they are fitted for.

    Returns:
        Thresholds in order of arm, seed and fold; none with more than two classes, where the
        most probable class is predicted.
    """
    if classes.positive is None:
        return ()
    index = classes.names.index(classes.positive)
    own = choose_shares(rule.prevalence, classes)
    rule = replace(rule, prevalence=own if isinstance(own, float) else None)
    return tuple(
        FoldThreshold(
            arm,
            fold,
            place.seed,
            _fit_fold(predictions.get((arm, place, "validation")), fold, index=index, rule=rule),
        )
        for (arm, place, split), each in predictions.items()
        if split == "test"
        for fold in np.unique(each.trainings).tolist()
    )


def _fit_fold(
    validation: Predictions | None, fold: int, *, index: int, rule: OperatingRule
) -> Threshold:
    """Fix the threshold of one model, or say that it has no validation predictions."""
    if validation is None or not (validation.trainings == fold).any():
        return Threshold(FALLBACK, f"{FALLBACK}, no validation predictions")
    here = validation.trainings == fold
    positive = validation.labels[here] == index
    return fit_threshold(validation.probabilities[here, index], positive, rule=rule)


def describe_operating(thresholds: Sequence[Threshold]) -> str:
    """Say how a probability becomes a class, and how often validation had no say.

    Args:
        thresholds: Those of one arm; none with more than two classes.
    """
    if not thresholds:
        return "by the most probable class"
    n_unfitted = sum(not threshold.is_fitted for threshold in thresholds)
    rule = next((held.rule for held in thresholds if held.is_fitted), YOUDEN)
    text = "at thresholds fixed on validation" + ("" if rule == YOUDEN else f" by {rule}")
    return f"{text} ({FALLBACK} for {n_unfitted} of {len(thresholds)})" if n_unfitted else text


def predict_classes(
    each: Predictions, positive: int | None, *, limits: Sequence[float | None]
) -> Indices:
    """Return the predicted class of each image: by its model's limit, or the most probable.

    Args:
        each: N predictions.
        positive: Index of the positive class; None with more than two.
        limits: (N,) threshold of the model that predicted each image.

    Returns:
        (N,) class by position.
    """
    if positive is None:
        return np.asarray(each.probabilities.argmax(axis=1), dtype=np.intp)
    above = each.probabilities[:, positive] >= np.array(limits, dtype=np.float64)
    predicted: Indices = np.where(above, positive, 1 - positive).astype(np.intp)
    return predicted
