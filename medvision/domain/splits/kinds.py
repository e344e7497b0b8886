"""Under which names an image counts in folds, tables and checks: what stands for its class."""

from collections.abc import Mapping, Sequence

from medvision.domain.labels.findings import NO_FINDING, UNKNOWN, split
from medvision.domain.labels.rows import Classes, Task
from medvision.domain.labels.values import name_bins
from medvision.domain.splits.dealing import LABEL, Key

Kinds = Mapping[str, tuple[str, ...]]
"""Label to the names under which an image with it counts; every split must hold each name."""

VALUE = "value"
"""The column of a key that counts a bin of values."""


def name_kinds(labels: Sequence[str], classes: Classes) -> dict[str, tuple[str, ...]]:
    """Return the names under which each label counts.

    Args:
        labels: Labels, each as often as it likes.
        classes: What they are of.

    Returns:
        A class under its own name; findings under `Nodule` or `no Nodule`, each that is known; a
        value under none, since no split needs to hold it.
    """
    if classes.task == "classification":
        return {label: (label,) for label in labels}
    if classes.task == "regression":
        return dict.fromkeys(labels, ())
    return {label: _name_findings(label, classes.names) for label in dict.fromkeys(labels)}


def list_present(label: str, task: Task) -> tuple[str, ...]:
    """Return what an image shows, for checks that nothing is lost: its class, or its findings.

    Args:
        label: Its label.
        task: What it is a label of; a value is nothing that could be lost.

    Returns:
        Nothing where no finding is there and one of them is not known.
    """
    if task == "classification":
        return (label,)
    if task == "regression":
        return ()
    if label == NO_FINDING:
        return (NO_FINDING,)
    return tuple(part for part in split(label) if not part.endswith(UNKNOWN))


def count_names(labels: Sequence[str], classes: Classes) -> dict[str, tuple[str, ...]] | None:
    """Return the names under which tables count each label, in the order that they are shown.

    Args:
        labels: Label of each image.
        classes: What they are of.

    Returns:
        Label to the findings that it names, or to its fifth of the values, rising; None for
        classes, which count under their own names.
    """
    if classes.task == "classification":
        return None
    if classes.task == "regression":
        bins = name_bins(labels, n_groups=len(labels), needed=1)
        return {label: (bins[label],) for label in sorted(bins, key=float)}
    order = [*classes.names, NO_FINDING]
    names = {label: list_present(label, classes.task) for label in labels}
    return dict(sorted(names.items(), key=lambda item: [order.index(name) for name in item[1]]))


def build_keys(kinds: Kinds, bins: Mapping[str, str] | None = None) -> dict[str, tuple[Key, ...]]:
    """Return the keys under which folds count each label.

    Args:
        kinds: Names of each label; each is a class to the folds.
        bins: Label to its bin of values, which is spread evenly and may be missing somewhere.
    """
    held = bins or {}
    return {
        label: (
            *((LABEL, name) for name in names),
            *([(VALUE, held[label])] if label in held else []),
        )
        for label, names in kinds.items()
    }


def _name_findings(label: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return a name per finding of which it is known whether it is there."""
    parts = split(label)
    return tuple(
        name if name in parts else f"no {name}" for name in names if f"{name}{UNKNOWN}" not in parts
    )
