"""Statistics of one arm on its test images: which there are, and why one may be undefined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medvision.domain.bootstrap import Weights
from medvision.domain.metrics import (
    Flags,
    Replicates,
    Scalars,
    compute_auc,
    compute_mean,
    compute_squared_errors,
)
from medvision.domain.prediction import Indices, Predictions

_AUC = "share of positive-negative pairs of one fold that are ranked rightly, ties half"
_METHODS = {
    "auc": _AUC,
    "auc_macro": f"mean over classes, one against the rest: {_AUC}",
    "balanced_accuracy": "mean over classes of the share predicted rightly",
    "sensitivity": "share of positives predicted positive",
    "specificity": "share of negatives predicted negative",
    "specificity_macro": "mean over classes of the share of others predicted other",
    "brier": "mean squared error of the probabilities",
}


@dataclass(frozen=True)
class ArmTest:
    """One arm's predictions of the test images, round by round.

    Args:
        rounds: Predictions of each round, on the same images in the same order. Rounds are
            replicates: seeds, repeats of the folds, inner trainings. They add no subjects.
        predicted: For each round (N,) the predicted class.
        classes: Class names in order.
        positive: Index of the positive class; None with more than two classes.
        clusters: (N,) what is independent: subject, or group of subjects, by position.
        operating: How a probability becomes a predicted class, in words.
        counted: The rounds in words, such as "3 seeds".
        seeds: Seed of each round; `ALL_SEEDS` in an ensemble.
    """

    rounds: tuple[Predictions, ...]
    predicted: tuple[Indices, ...]
    classes: tuple[str, ...]
    positive: int | None
    clusters: Indices
    operating: str
    counted: str
    seeds: tuple[int, ...]

    @property
    def labels(self) -> Indices:
        """(N,) index of the true class."""
        return self.rounds[0].labels

    @property
    def folds(self) -> Indices:
        """(N,) part of each image in the first round, in which it is resampled."""
        return self.rounds[0].folds

    def is_class(self, index: int) -> Flags:
        """(N,) whether the true class is this one."""
        flags: Flags = self.labels == index
        return flags

    def hit_rates(self, index: int) -> Scalars:
        """(N,) share of rounds that predict this class."""
        rates: Scalars = np.mean([each == index for each in self.predicted], axis=0)
        return rates


def compute_statistics(arm: ArmTest, weights: Weights) -> dict[str, Replicates]:
    """Compute every statistic of an arm on every resample; with several rounds their mean.

    Args:
        arm: The arm's test predictions.
        weights: (R, N) weight of each image in each resample; ones for the data themselves.

    Returns:
        Name to (R,) values, NaN where undefined. Two classes: auc, balanced_accuracy,
        sensitivity, specificity, brier. More: auc_macro, balanced_accuracy,
        specificity_macro, brier, and auc_, sensitivity_ and specificity_ of each class.
    """
    errors = [compute_squared_errors(each.probabilities, arm.labels) for each in arm.rounds]
    everyone = np.ones(len(arm.labels), dtype=bool)
    brier = compute_mean(np.mean(errors, axis=0), everyone, weights=weights)
    if arm.positive is not None:
        return _compute_binary(arm, arm.positive, weights=weights) | {"brier": brier}
    return _compute_multiclass(arm, weights=weights, brier=brier)


def list_components(arm: ArmTest, name: str) -> tuple[str, ...]:
    """Return the statistics that `name` is the mean of; none where it stands for itself."""
    if name == "balanced_accuracy" and arm.positive is not None:
        return "sensitivity", "specificity"
    prefix = {
        "auc_macro": "auc",
        "balanced_accuracy": "sensitivity",
        "specificity_macro": "specificity",
    }.get(name)
    return tuple(f"{prefix}_{label}" for label in arm.classes) if prefix else ()


def find_class(arm: ArmTest, name: str) -> int | None:
    """Return the class that a statistic calls positive; None where it is about all classes."""
    if name in ("auc_macro", "balanced_accuracy", "specificity_macro", "brier"):
        return arm.positive
    if arm.positive is not None:
        return arm.positive
    return arm.classes.index(name.partition("_")[2])


def count_trials(arm: ArmTest, name: str) -> int | None:
    """Count the independent trials behind a share, for an interval where resampling fails.

    A subject is one trial. For an AUC the trials are disjoint pairs of a positive and a
    negative subject of the same fold: as many as the smaller class has, fold by fold.

    Returns:
        The count; None for a statistic that is no share.
    """
    index = find_class(arm, name)
    kind = name.partition("_")[0]
    if index is None or kind not in ("auc", "sensitivity", "specificity"):
        return None
    inside = arm.is_class(index)
    if kind != "auc":
        where = inside if kind == "sensitivity" else ~inside
        return len(np.unique(arm.clusters[where]))
    total = 0
    for fold in np.unique(arm.folds):
        here = arm.folds == fold
        n_positive = len(np.unique(arm.clusters[here & inside]))
        total += min(n_positive, len(np.unique(arm.clusters[here & ~inside])))
    return total


def describe_method(arm: ArmTest, name: str) -> str:
    """Say in words how a statistic is computed, ties and seeds included."""
    kind = name if name in _METHODS else name.partition("_")[0]
    text = _METHODS[kind]
    if name not in _METHODS:
        text = f"{name.partition('_')[2]} against the rest: {text}"
    if kind.startswith(("sens", "spec", "bal")):
        text += f", {arm.operating}"
    if kind.startswith("auc") and _is_constant(arm):
        text += "; all scores of a fold are equal, so it is 0.5 by the definition of ties"
    if len(arm.rounds) > 1:
        text += f"; mean over {arm.counted}"
    return text


def explain_undefined(arm: ArmTest, name: str) -> str:
    """Say why a statistic is undefined on these test images."""
    absent = [label for i, label in enumerate(arm.classes) if not arm.is_class(i).any()]
    if absent:
        return f"undefined: no test image is of class {', '.join(absent)}"
    if name.startswith("auc"):
        return "undefined: no fold has test images of both classes"
    return "undefined: no test image counts"


def _compute_binary(arm: ArmTest, positive: int, *, weights: Weights) -> dict[str, Replicates]:
    """Compute ranking and operating point of two classes."""
    sensitivity = _compute_recall(arm, positive, weights=weights)
    specificity = _compute_recall(arm, 1 - positive, weights=weights)
    return {
        "auc": _compute_area(arm, positive, weights=weights),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
    }


def _compute_multiclass(
    arm: ArmTest, *, weights: Weights, brier: Replicates
) -> dict[str, Replicates]:
    """Compute each class against the rest, and the means over classes."""
    each: dict[str, Replicates] = {}
    for index, label in enumerate(arm.classes):
        each[f"auc_{label}"] = _compute_area(arm, index, weights=weights)
        each[f"sensitivity_{label}"] = _compute_recall(arm, index, weights=weights)
        each[f"specificity_{label}"] = compute_mean(
            1 - arm.hit_rates(index), ~arm.is_class(index), weights=weights
        )
    means = {
        name: _average(each, list_components(arm, name))
        for name in ("auc_macro", "balanced_accuracy", "specificity_macro")
    }
    return means | {"brier": brier} | each


def _compute_recall(arm: ArmTest, index: int, *, weights: Weights) -> Replicates:
    """Compute the share of a class that is predicted as that class."""
    return compute_mean(arm.hit_rates(index), arm.is_class(index), weights=weights)


def _compute_area(arm: ArmTest, index: int, *, weights: Weights) -> Replicates:
    """Compute the AUC of a class against the rest, as the mean over the rounds that have one."""
    areas = np.array(
        [
            compute_auc(
                each.scores[:, index], arm.is_class(index), folds=each.folds, weights=weights
            )
            for each in arm.rounds
        ]
    )
    # A resample keeps each class in the parts of the first round, not in those of other repeats.
    known = ~np.isnan(areas)
    total = np.where(known, areas, 0.0).sum(axis=0)
    result: Replicates = np.where(
        known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan
    )
    return result


def _average(each: Mapping[str, Replicates], names: Sequence[str]) -> Replicates:
    """Average several statistics, resample by resample."""
    result: Replicates = np.mean([each[name] for name in names], axis=0)
    return result


def _is_constant(arm: ArmTest) -> bool:
    """Tell whether no model tells any two images apart."""
    return all(
        len(np.unique(each.scores[each.folds == fold], axis=0)) == 1
        for each in arm.rounds
        for fold in np.unique(each.folds)
    )
