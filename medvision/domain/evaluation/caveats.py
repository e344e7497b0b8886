"""What a reader of an evaluation must know first: absent classes, constant and mixed answers."""

from collections.abc import Mapping, Sequence

import numpy as np

from medvision.domain.arms import rank_arm
from medvision.domain.labels.findings import parse_findings
from medvision.domain.labels.rows import Classes
from medvision.domain.prediction import group_rows, read_cell
from medvision.domain.splits.mixed import count_mixed, say_mixed

_Rows = Sequence[Mapping[str, str]]


def list_caveats(rows: _Rows, classes: Classes) -> tuple[str, ...]:
    """Say what is so unusual about the test images, or predictions, that figures look odd for it.

    Args:
        rows: Rows of `predict/predictions.tsv`, checked.
        classes: Classes, findings, or the value's name.

    Returns:
        Sentences: which class or finding no test image is of, which arm predicts all images of a
        fold alike, and how many subjects have images of different labels. None is the normal case.
    """
    tested = {key: own for key, own in group_rows(rows).items() if key[2] == "test"}
    first = tested[min(tested)]
    labels = [row["label"] for row in first]
    mixed = say_mixed(
        count_mixed((row["subject"], row["label"]) for row in first), of="test subjects"
    )
    arms = sorted({arm for arm, _, _ in tested}, key=rank_arm)
    constant = [
        text
        for arm in arms
        for text in _find_constant(
            arm, [own for key, own in tested.items() if key[0] == arm], classes
        )
    ]
    return (*_find_absent(labels, classes), *constant, *((mixed,) if mixed else ()))


def _find_absent(labels: Sequence[str], classes: Classes) -> list[str]:
    """Name the classes, or the findings, of which there are no two kinds of images."""
    if classes.task == "regression":
        if len({float(label) for label in labels}) > 1:
            return []
        return [f"All test images have one {classes.names[0]}: correlation and R² are undefined."]
    if classes.task == "multilabel":
        found = parse_findings(labels, classes.names)
        sides = {1.0: "No test image has", 0.0: "Every test image has"}
        return [
            f"{words} {name}, as far as it is known: what needs both kinds is undefined for it."
            for n, name in enumerate(classes.names)
            for side, words in sides.items()
            if not (found[:, n] == side).any()
        ]
    absent = [name for name in classes.names if name not in labels]
    if not absent:
        return []
    names = f"class {absent[0]}" if len(absent) == 1 else f"classes {', '.join(absent)}"
    return [f"No test image is of {names}: what needs all classes is undefined."]


def _find_constant(arm: str, rounds: Sequence[_Rows], classes: Classes) -> list[str]:
    """Say where every network of an arm gives all images of a fold one answer."""
    if classes.task == "regression":
        is_one = _is_constant(rounds, ["predicted"])
        said = (
            f"{arm}: every network predicts one {classes.names[0]} for all test images of a fold."
        )
        return [said] if is_one else []
    if classes.task == "multilabel":
        return [
            f"{arm}: every network gives all test images of a fold one probability of {name}, so "
            "that its AUC is one half by definition."
            for name in classes.names
            if _is_constant(rounds, [f"logit_{name}"])
        ]
    said = f"{arm}: every network gives all test images of a fold the same probabilities, so that "
    is_one = _is_constant(rounds, [f"logit_{name}" for name in classes.names])
    return [f"{said}its AUC is one half by definition."] if is_one else []


def _is_constant(rounds: Sequence[_Rows], columns: Sequence[str]) -> bool:
    """Tell whether these columns have one value in each fold of each round, of several images."""
    sizes = []
    for rows in rounds:
        folds = np.array([read_cell(row, "fold") for row in rows])
        cells = np.array([[float(read_cell(row, name)) for name in columns] for row in rows])
        for fold in np.unique(folds):
            own = cells[folds == fold]
            if (own != own[0]).any():
                return False
            sizes.append(len(own))
    return max(sizes, default=0) > 1
