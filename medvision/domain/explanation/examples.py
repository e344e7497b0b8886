"""A few images that stand for all: spread over the classes, each of another subject."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple


class Candidate(NamedTuple):
    """An image that may be chosen; the label is empty where it is not known."""

    image_id: str
    subject: str
    label: str


def choose_examples(candidates: Iterable[Candidate], n_wanted: int) -> list[str]:
    """Choose images to look at, the same for the same cohort.

    Args:
        candidates: All images.
        n_wanted: How many; fewer are returned where there are fewer subjects.

    Returns:
        Image ids, sorted. Classes take turns; within one, images are evenly spaced in the order
        of their ids, and of each subject only the first counts.

    Source:
        none: own definition.
    """
    by_label: defaultdict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for candidate in sorted(candidates):
        if candidate.subject not in seen:
            seen.add(candidate.subject)
            by_label[candidate.label].append(candidate.image_id)
    shares = dict.fromkeys(sorted(by_label), 0)
    for _ in range(min(n_wanted, len(seen))):
        open_labels = [name for name in shares if shares[name] < len(by_label[name])]
        shares[min(open_labels, key=lambda name: shares[name])] += 1
    chosen = [
        by_label[name][(2 * n + 1) * len(by_label[name]) // (2 * share)]
        for name, share in shares.items()
        for n in range(share)
    ]
    return sorted(chosen)
