"""Statistics of one arm on its test images: which there are, and why one may be undefined."""

from dataclasses import dataclass

import numpy as np

from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.miscalibration import expect_ece
from medvision.domain.metrics.prevalence import Shares, describe_shares
from medvision.domain.metrics.weighted import Flags, Scalars
from medvision.domain.prediction import Indices, Predictions

_AUC = "share of positive-negative pairs of one fold that are ranked rightly, ties half"
_PRECISION = "mean over positives of the share of positives among those of its fold ranked as high"
_METHODS = {
    "auc": _AUC,
    "average_precision": _PRECISION,
    "sensitivity": "share of positives predicted positive",
    "specificity": "share of negatives predicted negative",
    "ppv": "share of positives among those predicted positive",
    "npv": "share of negatives among those predicted negative",
    "f1": "harmonic mean of sensitivity and positive predictive value",
    "auc_macro": f"mean over classes, one against the rest: {_AUC}",
    "auc_micro": "share of pairs of an image with its own class and one with another's that are "
    "ranked rightly within a fold, ties half",
    "average_precision_macro": f"mean over classes, one against the rest: {_PRECISION}",
    "balanced_accuracy": "mean over classes of the share predicted rightly",
    "specificity_macro": "mean over classes of the share of others predicted other",
    "f1_macro": "mean over classes of F1, one against the rest",
    "mcc": "Matthews' correlation of predicted and true class",
    "brier": "mean squared error of the probabilities",
    "ece": "mean distance of the bins of the calibration curve from the diagonal",
    "calibration_slope": "slope of a logistic regression of the class on the predicted log-odds; 1 "
    "is right, below 1 probabilities are too sure",
    "calibration_intercept": "what must be added to the predicted log-odds for the mean "
    "probability to be right; 0 is right, below 0 probabilities are too high",
    "log_loss": "mean of minus the logarithm of the true class's probability, in nats",
}
_KINDS = ("auc", "average_precision", "sensitivity", "specificity", "ppv", "npv", "f1")
_OF_DECISIONS = (
    *("sensitivity", "specificity", "specificity_macro", "balanced_accuracy"),
    *("ppv", "npv", "f1", "f1_macro", "mcc"),
)

MACROS = {
    "auc_macro": "auc",
    "average_precision_macro": "average_precision",
    "balanced_accuracy": "sensitivity",
    "specificity_macro": "specificity",
    "f1_macro": "f1",
}
"""Mean over more than two classes, and what it is the mean of."""


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
        prevalence: Share of positives, with more than two classes of each class, that predictive
            values are for; None takes the images' own.
        n_bins: Bins of the calibration.
    """

    rounds: tuple[Predictions, ...]
    predicted: tuple[Indices, ...]
    classes: tuple[str, ...]
    positive: int | None
    clusters: Indices
    operating: str
    counted: str
    seeds: tuple[int, ...]
    prevalence: Shares = None
    n_bins: int = 5

    @property
    def named(self) -> Classes:
        """The classes by name, and the positive one of two."""
        return Classes(self.classes, None if self.positive is None else self.classes[self.positive])

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

    def predict_event(self, each: Predictions) -> tuple[Scalars, Flags]:
        """Return the probability of an event, and whether it happened.

        Args:
            each: One round. The event is the positive class; with more than two classes, that the
                most probable one is right.
        """
        if self.positive is not None:
            return each.probabilities[:, self.positive], self.is_class(self.positive)
        return each.probabilities.max(axis=1), each.probabilities.argmax(axis=1) == self.labels

    def hit_rates(self, index: int) -> Scalars:
        """(N,) share of rounds that predict this class."""
        rates: Scalars = np.mean([each == index for each in self.predicted], axis=0)
        return rates


def split_name(name: str) -> tuple[str, str | None]:
    """Part a statistic's name in its kind and its class; None where it names none.

    Args:
        name: Such as `auc`, `ppv_glioma` or `auc_macro`.
    """
    if name in _METHODS:
        return name, None
    kind = next(kind for kind in _KINDS if name.startswith(f"{kind}_"))
    return kind, name.removeprefix(f"{kind}_")


def list_components(arm: ArmTest, name: str) -> tuple[str, ...]:
    """Return the statistics that `name` is the mean of; none where it stands for itself."""
    if arm.positive is not None:
        return ("sensitivity", "specificity") if name == "balanced_accuracy" else ()
    kind = MACROS.get(name)
    return tuple(f"{kind}_{label}" for label in arm.classes) if kind else ()


def find_class(arm: ArmTest, name: str) -> int | None:
    """Return the class that a statistic calls positive; None where it is about all classes."""
    label = split_name(name)[1]
    return arm.positive if label is None else arm.classes.index(label)


def count_trials(arm: ArmTest, name: str) -> int | None:
    """Count the independent trials behind a share, for an interval where resampling fails.

    A subject is one trial. For an AUC the trials are disjoint pairs of a positive and a
    negative subject of the same fold: as many as the smaller class has, fold by fold.

    Returns:
        The count; None for a statistic that is no share.
    """
    index, kind = find_class(arm, name), split_name(name)[0]
    if index is None or kind not in ("auc", "sensitivity", "specificity", "ppv", "npv"):
        return None
    inside = arm.is_class(index)
    if kind in ("sensitivity", "specificity"):
        return len(np.unique(arm.clusters[inside if kind == "sensitivity" else ~inside]))
    if kind in ("ppv", "npv"):
        told = [(each == index) == (kind == "ppv") for each in arm.predicted]
        is_share = arm.prevalence is None
        return min(len(np.unique(arm.clusters[held])) for held in told) if is_share else None
    total = 0
    for fold in np.unique(arm.folds):
        here = arm.folds == fold
        n_positive = len(np.unique(arm.clusters[here & inside]))
        total += min(n_positive, len(np.unique(arm.clusters[here & ~inside])))
    return total


def describe_method(arm: ArmTest, name: str) -> str:
    """Say in words how a statistic is computed, ties, prevalence and seeds included."""
    kind, label = split_name(name)
    text = _METHODS[kind]
    if label is not None:
        text = f"{label} against the rest: {text}"
    if kind in ("ppv", "npv"):
        text += f", {_describe_prevalence(arm, name)}"
    if kind in _OF_DECISIONS:
        text += f", {arm.operating}"
    if kind in ("auc", "auc_macro") and is_constant(arm):
        text += "; all scores of a fold are equal, so it is 0.5 by the definition of ties"
    if kind == "ece":
        chance = np.mean([expect_ece(arm.predict_event(r)[0], arm.n_bins) for r in arm.rounds])
        text += f"; biased upwards: perfect probabilities would show about {chance:.3f} here"
    if len(arm.rounds) > 1:
        text += f"; mean over {arm.counted}"
    return text


def explain_undefined(arm: ArmTest, name: str) -> str:
    """Say why a statistic is undefined on these test images."""
    absent = [label for i, label in enumerate(arm.classes) if not arm.is_class(i).any()]
    if absent:
        return f"undefined: no test image is of class {', '.join(absent)}"
    kind = split_name(name)[0]
    if kind in ("auc", "auc_macro", "average_precision", "average_precision_macro"):
        return "undefined: no fold has test images of both classes"
    if kind in ("ppv", "npv"):
        side = "positive" if kind == "ppv" else "negative"
        return f"undefined: no test image is predicted {side} by one of the networks"
    if kind == "mcc":
        return "undefined: one of the networks predicts one class for every test image"
    if kind.startswith("calibration_"):
        return "undefined: the predicted log-odds part the classes, or are all equal"
    return "undefined: no test image counts"


def _describe_prevalence(arm: ArmTest, name: str) -> str:
    """Say at which share of positives a predictive value holds."""
    if arm.prevalence is not None:
        return describe_shares(arm.prevalence, arm.classes)
    index = find_class(arm, name)
    share = 0.0 if index is None else float(arm.is_class(index).mean())
    return f"at the test images' own prevalence of {share:.3g}"


def is_constant(arm: ArmTest) -> bool:
    """Tell whether no model tells any two images of a fold apart.

    Args:
        arm: Its test predictions.
    """
    return all(
        len(np.unique(each.scores[each.folds == fold], axis=0)) == 1
        for each in arm.rounds
        for fold in np.unique(each.folds)
    )
