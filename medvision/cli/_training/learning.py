"""What pretrain, train and predict share: the study's images as examples, fold by fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from medvision.cli._run import Step
from medvision.domain.labels.findings import parse_findings
from medvision.domain.labels.rows import Task
from medvision.domain.labels.values import parse_values
from medvision.domain.record import JsonValue
from medvision.domain.split import FOLD_COLUMNS, Assignment, build_assignments, check_no_leakage
from medvision.domain.synthesis.synthetic import check_only_trained
from medvision.io.tables import read_table
from medvision.runtime.arrays import ArrayStore, read_array_store
from medvision.runtime.files import hash_bytes, hash_file, read_json
from medvision.runtime.team import ALONE, Team

if TYPE_CHECKING:
    import torch

    from medvision.learn.dataset import Examples, Labels

_STATE_FORMAT = 3
"""Of what is kept of an unfinished training; one of another format is not read."""


@dataclass(frozen=True)
class LearningData:
    """A study's arrays, who is on which side of which fold, and the class names in order.

    Args:
        store: The images.
        assignments: The folds.
        classes: Names of the network's outputs: classes, findings, or the one value's.
        task: Which of the three they are.
    """

    store: ArrayStore
    assignments: tuple[Assignment, ...]
    classes: tuple[str, ...]
    task: Task = "classification"

    @property
    def channels(self) -> int:
        """Return C, the number of channels."""
        return int(self.store.array.shape[1])

    @property
    def folds(self) -> tuple[int, ...]:
        """Return the fold numbers, rising."""
        return tuple(sorted({item.fold for item in self.assignments}))

    def select(self, fold: int, split: str) -> list[Assignment]:
        """Return one split of one fold, by image id, without images that were rejected."""
        rows = self.store.rows()
        return sorted(
            (
                item
                for item in self.assignments
                if item.fold == fold and item.split == split and item.image_id in rows
            ),
            key=lambda item: item.image_id,
        )

    def examples(self, chosen: Sequence[Assignment]) -> "Examples":
        """Return assignments as what a network is given."""
        from medvision.learn.dataset import Examples

        rows = self.store.rows()
        return Examples(
            arrays=self.store.array,
            rows=np.array([rows[item.image_id] for item in chosen], dtype=np.int64),
            labels=self._encode([item.label for item in chosen]),
            subjects=tuple(item.subject for item in chosen),
        )

    def _encode(self, labels: Sequence[str]) -> "Labels":
        """Return labels as numbers: (n,) classes, (n, findings) or (n,) values."""
        if self.task == "multilabel":
            return parse_findings(labels, self.classes).astype(np.float32)
        if self.task == "regression":
            return parse_values(labels).astype(np.float32)
        return np.array([self.classes.index(label) for label in labels], dtype=np.int64)


def read_learning_data(step: Step) -> LearningData:
    """Read the arrays and folds of a study, and check the split once more.

    Args:
        step: The running step; what is read is registered with it.

    Raises:
        CohortError: A subject is on two sides of a fold, or a synthetic image is not in train.
        DataError: A file cannot be read.
    """
    layout = step.layout
    rows = read_table(step.read(layout.folds), required=FOLD_COLUMNS)
    check_only_trained(rows)
    assignments = build_assignments(rows)
    summary = cast(dict[str, JsonValue], read_json(step.read(layout.cohort_summary)))
    # Overridden: the user has been told by name of each pair, and the report's first page says so.
    if not cast(dict[str, JsonValue], summary.get("leakage", {})).get("overridden"):
        check_no_leakage(assignments)
    return LearningData(
        store=open_store(step),
        assignments=tuple(assignments),
        classes=tuple(cast(list[str], summary["classes"])),
        task=cast(Task, summary.get("task", "classification")),
    )


def read_groups(step: Step) -> dict[str, str]:
    """Return image to the group of subjects that are one; the subject itself where it has none.

    Args:
        step: The running step; what is read is registered with it.

    Raises:
        DataError: The cohort cannot be read.
    """
    wanted = ("image_id", "subject", "group")
    rows = read_table(step.read(step.layout.cohort), required=wanted)
    return {row["image_id"]: row["group"] or row["subject"] for row in rows}


def open_store(step: Step) -> ArrayStore:
    """Map the preprocessed images."""
    layout = step.layout
    shards = layout.array_shards(step.study.preprocess.shards)
    return read_array_store(
        [step.read(path) for path in shards],
        step.read(layout.array_index),
        step.read(layout.array_meta),
    )


def prepare_device(step: Step, *, team: Team = ALONE) -> "torch.device":
    """Fix threads and device as the study says, and note the device for the record.

    Args:
        step: The running step.
        team: The processes of a training, each of which has a GPU of its own.

    Raises:
        ConfigError: A GPU was asked for and there is none for this process.
    """
    from medvision.runtime.device import choose_device, describe_device, limit_threads

    compute = step.study.compute
    limit_threads(compute.threads)
    device = choose_device(compute.device, team=team)
    step.device = describe_device(device)
    return device


def hash_settings(step: Step, parts: Mapping[str, JsonValue]) -> str:
    """Return a digest of all that an unfinished training depends on.

    The records of the earlier steps stand for their files, whose digests they hold.

    Args:
        step: The running step.
        parts: What else matters, such as fold and seed.
    """
    import json

    import torch

    upstream = {name: hash_file(step.layout.record(name)) for name in step.upstream}
    value = {
        "step": step.name,
        "settings": step.study.settings(step.name),
        "upstream": upstream,
        "torch": torch.__version__,
        "device": step.device,
        "format": _STATE_FORMAT,
        "parts": dict(parts),
    }
    return hash_bytes(json.dumps(value, sort_keys=True).encode())
