"""What is explained of each test prediction, and as which outcome it counts, task by task."""

from collections.abc import Mapping, Sequence

import numpy as np

from medvision.domain.labels.findings import parse_findings
from medvision.domain.labels.rows import Classes, Task
from medvision.domain.labels.values import parse_values
from medvision.errors import ExplanationError

Prediction = Mapping[str, str]
"""One row of the predictions: arm fold repeat inner seed split image_id subject ..."""

TARGET, OUTCOME, MARGIN = "explain:target", "explain:outcome", "explain:margin"
"""Columns that are added to a row; no finding can bear these names' form in a table."""

VALUE_OUTCOMES = ("large_error", "small_error", "middling_error")

_THRESHOLD = 0.5

_DRAWN = (
    "Test predictions of one arm, its first seed, the first repeat of the folds and the first "
    "training of each part. First the prediction with the {first}, then one per stratum in turn, "
    "in an order shuffled by the seed; at most one image per subject. {strata}"
)

RULES = {
    "classification": _DRAWN.format(
        first="smallest margin between its two largest probabilities",
        strata="With more than two classes the strata are class by correctness, right and wrong "
        "ones in turn.",
    ),
    "multilabel": _DRAWN.format(
        first="probability nearest to one half",
        strata="The finding explained is the one named, or the most probable of those that are "
        "known; the strata are by whether it is there and is predicted at one half.",
    ),
    "regression": _DRAWN.format(
        first="largest absolute error",
        strata="The strata are thirds of the test images by absolute error.",
    ),
}
"""Task to how test images are chosen, in words."""

_LIMITS = {
    "classification": "The explained quantity is the logit of the predicted class, not its "
    "probability.",
    "multilabel": "The explained quantity is the logit of one finding, not its probability; the "
    "other findings of the image are not explained.",
    "regression": "The explained quantity is the network's output, the value in standard "
    "deviations of the training images' values.",
}
_EXPLAINED = {
    "classification": "logit of the predicted class",
    "multilabel": "logit of one finding",
    "regression": "predicted value, in standard deviations",
}


def say_explained(task: Task, target: str | None) -> tuple[str, str]:
    """Return what is explained, and that as a limit, in words."""
    if target is None:
        return _EXPLAINED[task], _LIMITS[task]
    return (
        f"logit of class {target}",
        f"The explained quantity is the logit of {target}, not its probability, whatever class was "
        "predicted.",
    )


def add_outcomes(
    rows: Sequence[Prediction],
    classes: Classes,
    *,
    finding: str | None,
    target: str | None,
) -> list[Prediction]:
    """Add to each row what of it is explained, and the stratum that it counts in.

    Args:
        rows: Test predictions of one arm and round.
        classes: Classes, findings, or the value's name.
        finding: The finding to explain; None explains the most probable one of each image.
        target: The class to explain; None explains the predicted one.

    Returns:
        The rows; of classes with the target where one is given; of findings without those of which
        the finding is not known.

    Raises:
        ExplanationError: There is no such finding or class.
    """
    if classes.task == "regression":
        return _add_errors(rows, classes.names[0])
    if classes.task == "classification":
        return _add_target(rows, classes, target)
    if finding is not None and finding not in classes.names:
        raise ExplanationError(
            f"explain.finding: must be one of {', '.join(classes.names)}, got {finding}."
        )
    names = classes.names if finding is None else (finding,)
    truth = parse_findings([row["label"] for row in rows], classes.names)
    added = []
    for row, known in zip(rows, truth, strict=True):
        held = dict(zip(classes.names, known.tolist(), strict=True))
        open_names = [name for name in names if not np.isnan(held[name])]
        if open_names:
            target = max(open_names, key=lambda name: float(row[f"probability_{name}"]))
            added.append(_add_finding(row, target, is_there=held[target] == 1))
    return added


def _add_target(
    rows: Sequence[Prediction], classes: Classes, target: str | None
) -> list[Prediction]:
    """Name the class that is explained, where it is not the predicted one."""
    if target is None:
        return list(rows)
    if target not in classes.names:
        raise ExplanationError(
            f"explain.target: must be one of {', '.join(classes.names)}, got {target}."
        )
    return [{**row, TARGET: target} for row in rows]


def _add_finding(row: Prediction, target: str, *, is_there: bool) -> Prediction:
    """Name the outcome of one finding."""
    probability = float(row[f"probability_{target}"])
    says = probability >= _THRESHOLD
    outcome = f"{'true' if says == is_there else 'false'}_{'positive' if says else 'negative'}"
    margin = abs(probability - _THRESHOLD)
    return {**row, TARGET: target, OUTCOME: outcome, MARGIN: repr(margin)}


def _add_errors(rows: Sequence[Prediction], name: str) -> list[Prediction]:
    """Part the rows into thirds by absolute error."""
    true = parse_values([row["label"] for row in rows])
    errors = np.abs(parse_values([row["predicted"] for row in rows]) - true)
    ranks = np.argsort(np.argsort(errors, kind="stable"), kind="stable")
    thirds = ("small_error", "middling_error", "large_error")
    return [
        {
            **row,
            TARGET: name,
            OUTCOME: thirds[3 * rank // len(rows)],
            MARGIN: repr(-error),
        }
        for row, rank, error in zip(rows, ranks.tolist(), errors.tolist(), strict=True)
    ]
