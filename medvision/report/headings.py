"""The headings under which checks of explanations stand, and which check stands under which."""

from collections.abc import Iterable
from dataclasses import dataclass

from medvision.report.sources import list_unique


@dataclass(frozen=True)
class CheckGroup:
    """One heading of the checks.

    Args:
        key: `consistency`, `plausibility`, `fidelity`, `usefulness` or `other`.
        words: The heading.
        question: What its checks ask.
        claim: What may be said of a map that passes them all.
        checks: Codes of the checks of this study that stand under it.
    """

    key: str
    words: str
    question: str
    claim: str
    checks: tuple[str, ...]


HEADINGS = {
    "consistency": (
        "Consistency",
        "Does the map come from what the network learned, and stay the same where nothing that "
        "matters changed?",
        "the map depends on what the network learned",
    ),
    "plausibility": (
        "Plausibility",
        "Does the map agree with where a reader marked the lesion? A plausible map may still not "
        "be what the network used.",
        "the map lies on the lesion",
    ),
    "fidelity": (
        "Fidelity",
        "Do the voxels that the map marks move the network's output as it says?",
        "the voxels marked move the network's output",
    ),
    "other": ("Further checks", "What else was asked of the maps?", "the further checks hold"),
    "usefulness": (
        "Usefulness",
        "Does the map help a reader decide? Not assessed: no reader study exists.",
        "",
    ),
}
"""Key of a heading to its words, its question, and what a map that passes may be said to do."""

_PLACES = (
    *(("weight_randomisation", "consistency"), ("class_sensitivity", "consistency")),
    *(("cascade", "consistency"), ("stability", "consistency"), ("noise", "consistency")),
    *(("reseed", "consistency"), ("agreement", "consistency"), ("entropy", "consistency")),
    *(("pointing", "plausibility"), ("relevance_", "plausibility"), ("rank_", "plausibility")),
    *(("iou", "plausibility"), ("localisation", "plausibility")),
    *(("completeness", "fidelity"), ("deletion", "fidelity"), ("insertion", "fidelity")),
    *(("faithfulness", "fidelity"), ("reader", "usefulness")),
)
"""Beginning of a check's code, and its heading."""


def find_heading(check: str) -> str:
    """Return the key of the heading of a check; `other` for a check that nobody placed."""
    return next((key for start, key in _PLACES if check.startswith(start)), "other")


def group_checks(checks: Iterable[str]) -> tuple[CheckGroup, ...]:
    """Return the headings with their checks, in the order in which a reader should ask.

    Args:
        checks: Codes, repeats allowed.

    Returns:
        The four headings, also where no check stands under one; further checks only where
        there are some.
    """
    places = {check: find_heading(check) for check in list_unique(checks)}
    groups = [
        CheckGroup(key, *texts, tuple(check for check, place in places.items() if place == key))
        for key, texts in HEADINGS.items()
    ]
    return tuple(group for group in groups if group.checks or group.key != "other")
