"""Probes on a study's own folds: fitted on the train images, told of the test images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.labels.findings import parse_findings
from medvision.domain.labels.rows import Classes
from medvision.domain.labels.values import parse_values
from medvision.domain.shortcut.encode import Probe, encode_probe
from medvision.domain.shortcut.ridge import fit_probe
from medvision.domain.split import Assignment

Targets = NDArray[np.float64]
"""(N, T) float64: what is to be told of each image, NaN where it is not known."""


@dataclass(frozen=True)
class Answer:
    """What one probe answers of one test image in one training.

    Args:
        probe: Name of the probe.
        place: The image's place in the folds.
        scores: (T,) more is more of the class, finding or value.
    """

    probe: str
    place: Assignment
    scores: tuple[float, ...]


def list_targets(labels: Sequence[str], classes: Classes) -> Targets:
    """Return what a probe is to tell of each image.

    Args:
        labels: N labels.
        classes: Classes, findings, or the value's name.

    Returns:
        (N, T): one column per class (1 where it is the image's), per finding, or the value.
    """
    if classes.task == "multilabel":
        return parse_findings(labels, classes.names)
    if classes.task == "regression":
        return parse_values(labels)[:, np.newaxis]
    index = [classes.names.index(label) for label in labels]
    return np.eye(len(classes.names))[index]


def ask_probe(
    probe: Probe, image_ids: Sequence[str], assignments: Sequence[Assignment], *, classes: Classes
) -> list[Answer]:
    """Fit a probe on each training's train images and ask it about the test images.

    Args:
        probe: What is shown of the images.
        image_ids: (N,) the images that the probe's rows are of.
        assignments: The folds; images that are not among `image_ids` are left out.
        classes: Classes, findings, or the value's name.

    Returns:
        One answer per test image and training, in order of training and image.
    """
    rows = {name: row for row, name in enumerate(image_ids)}
    answers: list[Answer] = []
    for fold in sorted({item.fold for item in assignments}):
        own = [item for item in assignments if item.fold == fold and item.image_id in rows]
        answers += _ask_fold(probe, rows, own, classes=classes)
    return answers


def _ask_fold(
    probe: Probe, rows: Mapping[str, int], own: Sequence[Assignment], *, classes: Classes
) -> list[Answer]:
    """Fit and ask in one training."""
    targets = np.full((len(rows), len(classes.names)), np.nan)
    targets[[rows[item.image_id] for item in own]] = list_targets(
        [item.label for item in own], classes
    )
    sides = {
        split: _flag([rows[item.image_id] for item in own if item.split == split], len(rows))
        for split in ("train", "validation")
    }
    tested = sorted((i for i in own if i.split == "test"), key=lambda item: item.image_id)
    if not sides["train"].any() or not tested:
        return []
    features = encode_probe(probe, sides["train"])
    chosen = features[[rows[item.image_id] for item in tested]]
    scores = np.column_stack(
        [
            fit_probe(features, column, **sides).predict(chosen)
            for column in np.ascontiguousarray(targets.T)
        ]
    )
    return [
        Answer(probe.name, item, tuple(held.tolist()))
        for item, held in zip(tested, scores, strict=True)
    ]


def _flag(rows: Sequence[int], n_rows: int) -> NDArray[np.bool_]:
    """Return (N,) flags of the rows named."""
    flags = np.zeros(n_rows, dtype=bool)
    flags[list(rows)] = True
    return flags
