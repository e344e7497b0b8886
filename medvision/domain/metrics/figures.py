"""Every figure of one arm on every resample; with several rounds their mean."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np

from medvision.domain.metrics.miscalibration import (
    compute_calibration_intercept,
    compute_calibration_slope,
    compute_ece,
)
from medvision.domain.metrics.outcomes import compute_f1, compute_mcc, compute_predictive_values
from medvision.domain.metrics.prevalence import reweigh
from medvision.domain.metrics.statistic import MACROS, ArmTest, list_components
from medvision.domain.metrics.weighted import (
    Replicates,
    compute_auc,
    compute_average_precision,
    compute_log_losses,
    compute_mean,
    compute_micro_auc,
    compute_squared_errors,
)
from medvision.domain.prediction import Predictions
from medvision.domain.resampling.bootstrap import Weights

Of = Literal["classes", "shares", "all"]
"""Statistics that owe nothing to the shares of the classes, those that do, or both."""

_OF_CLASSES = ("auc", "sensitivity", "specificity")
"""Statistics of one class that are of its images and of the others', each by themselves."""


def compute_statistics(arm: ArmTest, weights: Weights, *, of: Of = "all") -> dict[str, Replicates]:
    """Compute every statistic of an arm on every resample; with several rounds their mean.

    Args:
        arm: The arm's test predictions.
        weights: (R, N) weight of each image in each resample; ones for the data themselves.
        of: Which statistics.

    Returns:
        Name to (R,) values, NaN where undefined. Two classes: auc, average_precision,
        balanced_accuracy, sensitivity, specificity, ppv, npv, f1, mcc, brier, log_loss, ece,
        calibration_slope, calibration_intercept. More: auc_macro, auc_micro,
        average_precision_macro, balanced_accuracy, specificity_macro, f1_macro, mcc, brier,
        log_loss, ece, and auc_, average_precision_, sensitivity_, specificity_, ppv_, npv_ and f1_
        of each class. Those that owe nothing to the shares of the classes are auc, sensitivity,
        specificity and their means over classes; at a given prevalence also ppv and npv.
    """
    whole = {} if of == "classes" else _compute_whole(arm, weights)
    if arm.positive is not None:
        own = _compute_class(arm, arm.positive, weights=weights, of=of)
        if "sensitivity" in own:
            own["balanced_accuracy"] = (own["sensitivity"] + own["specificity"]) / 2
        return _order(own, _BINARY) | whole
    each = {
        f"{kind}_{label}": found
        for index, label in enumerate(arm.classes)
        for kind, found in _compute_class(arm, index, weights=weights, of=of).items()
    }
    parts = {name: list_components(arm, name) for name in MACROS}
    means = {
        name: _average(each, own)
        for name, own in parts.items()
        if all(part in each for part in own)
    }
    if of != "classes":
        means["auc_micro"] = _average_rounds(
            arm,
            lambda r: compute_micro_auc(r.scores, r.labels, folds=r.folds, weights=weights),
        )
    return _order(means, _MULTICLASS) | whole | each


def compute_areas(arm: ArmTest, weights: Weights) -> dict[str, Replicates]:
    """Compute the AUC alone, as `compute_statistics` does with all else.

    Args:
        arm: The arm's test predictions.
        weights: (R, N) weight of each image in each resample; ones for the data themselves.

    Returns:
        Name to (R,) values, NaN where undefined: auc; with more than two classes auc_macro and
        auc_ of each class.
    """
    each = {
        label: _average_rounds(arm, partial(_compute_area, arm, index, weights=weights))
        for index, label in enumerate(arm.classes)
        if arm.positive in (None, index)
    }
    if arm.positive is not None:
        return {"auc": each[arm.classes[arm.positive]]}
    found = {f"auc_{label}": area for label, area in each.items()}
    return {"auc_macro": _average(found, list_components(arm, "auc_macro"))} | found


def _compute_area(arm: ArmTest, index: int, each: Predictions, *, weights: Weights) -> Replicates:
    """Compute the AUC of one class in one round."""
    inside = arm.is_class(index)
    return compute_auc(each.scores[:, index], inside, folds=each.folds, weights=weights)


_BINARY = (
    *("auc", "average_precision", "balanced_accuracy", "sensitivity", "specificity"),
    *("ppv", "npv", "f1"),
)
_MULTICLASS = (
    *("auc_macro", "auc_micro", "average_precision_macro"),
    *("balanced_accuracy", "specificity_macro", "f1_macro"),
)


def _order(found: Mapping[str, Replicates], names: Sequence[str]) -> dict[str, Replicates]:
    """Return statistics in the order in which they are told."""
    return {name: found[name] for name in names if name in found}


def _compute_class(arm: ArmTest, index: int, *, weights: Weights, of: Of) -> dict[str, Replicates]:
    """Compute one class against the rest."""
    inside = arm.is_class(index)
    makers: dict[str, Callable[[], Replicates]] = {
        "auc": lambda: _average_rounds(arm, partial(_compute_area, arm, index, weights=weights)),
        "average_precision": lambda: _average_rounds(
            arm,
            lambda r: compute_average_precision(
                r.scores[:, index], inside, folds=r.folds, weights=weights
            ),
        ),
        "sensitivity": lambda: compute_mean(arm.hit_rates(index), inside, weights=weights),
        "specificity": lambda: compute_mean(1 - arm.hit_rates(index), ~inside, weights=weights),
        "ppv": lambda: _compute_value(arm, index, weights=weights, side=0),
        "npv": lambda: _compute_value(arm, index, weights=weights, side=1),
        "f1": lambda: np.asarray(
            np.mean(
                [compute_f1(told == index, inside, weights=weights) for told in arm.predicted], 0
            )
        ),
    }
    is_given = arm.prevalence is not None
    free = (*_OF_CLASSES, "ppv", "npv") if is_given else _OF_CLASSES
    wanted = [name for name in makers if of == "all" or (name in free) == (of == "classes")]
    return {name: makers[name]() for name in wanted}


def _compute_value(arm: ArmTest, index: int, *, weights: Weights, side: int) -> Replicates:
    """Compute the positive (0) or the negative (1) predictive value of one class."""
    given, at = arm.prevalence, weights
    if isinstance(given, tuple):
        at, given = reweigh(weights, arm.labels, shares=given), None
    found = [
        compute_predictive_values(each == index, arm.is_class(index), weights=at, prevalence=given)[
            side
        ]
        for each in arm.predicted
    ]
    result: Replicates = np.mean(found, axis=0)
    return result


def _compute_whole(arm: ArmTest, weights: Weights) -> dict[str, Replicates]:
    """Compute what is about all classes at once."""
    mcc = [
        compute_mcc(each, arm.labels, n_classes=len(arm.classes), weights=weights)
        for each in arm.predicted
    ]
    return {"mcc": np.mean(mcc, axis=0), **compute_calibration_statistics(arm, weights)}


def compute_calibration_statistics(arm: ArmTest, weights: Weights) -> dict[str, Replicates]:
    """Compute how far probabilities are from what happens, on every resample.

    Args:
        arm: The arm's test predictions; no threshold has a part in this.
        weights: (R, N) weight of each image in each resample.

    Returns:
        Name to (R,) values: brier, log_loss, ece; of two classes also calibration_slope and
        calibration_intercept. With several rounds their mean.
    """
    everyone = np.ones(len(arm.labels), dtype=bool)
    squares = [compute_squared_errors(each.probabilities, arm.labels) for each in arm.rounds]
    losses = [compute_log_losses(each.scores, arm.labels) for each in arm.rounds]
    told = [arm.predict_event(each) for each in arm.rounds]
    errors = [compute_ece(*each, n_bins=arm.n_bins, weights=weights) for each in told]
    found = {
        "brier": compute_mean(np.mean(squares, axis=0), everyone, weights=weights),
        "log_loss": compute_mean(np.mean(losses, axis=0), everyone, weights=weights),
        "ece": np.mean(errors, axis=0),
    }
    if arm.positive is None:
        return found
    index, inside = arm.positive, arm.is_class(arm.positive)
    fits = {
        "calibration_slope": compute_calibration_slope,
        "calibration_intercept": compute_calibration_intercept,
    }
    for name, fit in fits.items():
        every = [fit(each.scores[:, index], inside, weights=weights) for each in arm.rounds]
        found[name] = np.mean(every, axis=0)
    return found


def _average_rounds(arm: ArmTest, compute: Callable[[Predictions], Replicates]) -> Replicates:
    """Return the mean over the rounds that have a value."""
    found = np.array([compute(each) for each in arm.rounds])
    # A resample keeps each class in the parts of the first round, not in those of other repeats.
    known = ~np.isnan(found)
    total = np.where(known, found, 0.0).sum(axis=0)
    result: Replicates = np.where(
        known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan
    )
    return result


def _average(each: Mapping[str, Replicates], names: Sequence[str]) -> Replicates:
    """Average several statistics, resample by resample."""
    result: Replicates = np.mean([each[name] for name in names], axis=0)
    return result
