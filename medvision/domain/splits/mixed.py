"""Subjects whose images are labelled differently: right for time points and slices, and told."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Mixed:
    """Subjects with images of more than one label.

    Args:
        n_subjects: How many they are.
        n_images: Their images.
        n_all: All subjects.
    """

    n_subjects: int
    n_images: int
    n_all: int


def count_mixed(pairs: Iterable[tuple[str, str]]) -> Mixed:
    """Count the subjects whose images have different labels.

    Args:
        pairs: Subject and label of each image.
    """
    held: defaultdict[str, list[str]] = defaultdict(list)
    for subject, label in pairs:
        held[subject].append(label)
    mixed = [labels for labels in held.values() if len(set(labels)) > 1]
    return Mixed(len(mixed), sum(len(labels) for labels in mixed), len(held))


def say_mixed(found: Mixed, *, of: str = "subjects") -> str:
    """Say how many there are; nothing where there is none.

    Args:
        found: The counts.
        of: What is counted.
    """
    if not found.n_subjects:
        return ""
    verb = "has" if found.n_subjects == 1 else "have"
    return (
        f"{found.n_subjects} of {found.n_all} {of} {verb} images with different labels "
        f"({found.n_images} images). That is right for time points, slices or sides, and wrong "
        "where the label is the subject's. Splits and resamples keep a subject's images together "
        "either way."
    )
