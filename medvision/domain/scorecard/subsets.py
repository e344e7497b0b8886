"""Train subsets of a learning curve: nested shares of a fold's subjects, by class and by hash."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from medvision.domain.split import Assignment
from medvision.errors import CohortError


@dataclass(frozen=True)
class Subset:
    """A share of a fold's train subjects.

    Args:
        fraction: The share that was asked for, in (0, 1].
        subjects: Pseudonyms, sorted.
        image_ids: Their images.
        n_groups: Groups of subjects that stay together, which are what was drawn.
        is_exceeded: Whether one group of each class is more than the share asked for.
    """

    fraction: float
    subjects: tuple[str, ...]
    image_ids: frozenset[str]
    n_groups: int
    is_exceeded: bool


def choose_subsets(
    train: Sequence[Assignment],
    groups: Mapping[str, str],
    *,
    fractions: Sequence[float],
    purpose: str,
) -> tuple[Subset, ...]:
    """Choose nested shares of the train subjects, each class in its proportion.

    All groups are put in one order, and a share is how many come first: so that a smaller share is
    within every larger one. First comes one group of each class, which a network must have seen;
    then each kind of group (the set of its classes) is spread evenly over the order, and who of a
    kind comes first is told by a hash. So the order depends on the purpose and the names alone.

    Args:
        train: The train images of one fold.
        groups: image_id to its group of subjects that stay together; a subject is its own group
            where none is given.
        fractions: Shares of the groups, each in (0, 1], rounded to whole groups, a half upwards.
        purpose: Text that makes this choice unlike any other: a seed and the fold.

    Returns:
        One subset per fraction, in the order given.

    Source:
        none: own definition; ranks by hash as in `dealing`.
    """
    members: defaultdict[str, list[Assignment]] = defaultdict(list)
    for item in train:
        members[groups.get(item.image_id) or item.subject].append(item)
    order, n_first = _order_groups(members, purpose=purpose)
    subsets = []
    for fraction in fractions:
        n_asked = math.floor(fraction * len(order) + 0.5)
        chosen = order[: max(n_asked, n_first)]
        held = [item for name in chosen for item in members[name]]
        subsets.append(
            Subset(
                fraction=fraction,
                subjects=tuple(sorted({item.subject for item in held})),
                image_ids=frozenset(item.image_id for item in held),
                n_groups=len(chosen),
                is_exceeded=n_asked < n_first,
            )
        )
    return tuple(subsets)


def choose_evenly(images: Sequence[Assignment], n_wanted: int, *, purpose: str) -> list[Assignment]:
    """Choose some images, each class in its proportion, and who of a class by a hash.

    Args:
        images: What is chosen from.
        n_wanted: How many, in 0 to the number of images.
        purpose: Text that makes this choice unlike any other.

    Returns:
        The chosen ones, in the order given; the same each time for the purpose and the names.

    Source:
        none: own definition; ranks by hash as in `choose_subsets`.
    """
    score = {item.image_id: _score(f"{purpose}/{item.image_id}") for item in images}
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for item in sorted(images, key=lambda item: (score[item.image_id], item.image_id)):
        kinds[item.label].append(item.image_id)
    place = _spread(kinds.values())
    order = sorted(score, key=lambda name: (place[name], score[name], name))
    chosen = set(order[:n_wanted])
    return [item for item in images if item.image_id in chosen]


def check_train_only(subjects: Sequence[str], assignments: Sequence[Assignment]) -> None:
    """Refuse a train subset that holds somebody outside the fold's train split.

    Args:
        subjects: Who is trained on.
        assignments: The images of one fold.

    Raises:
        CohortError: With the fold and the subject's pseudonym.
    """
    wanted = set(subjects)
    for item in assignments:
        if item.subject in wanted and item.split != "train":
            raise CohortError(
                f"fold {item.fold}: train subset must hold train subjects only, got "
                f"{item.subject} of {item.split}."
            )


def check_nested(subsets: Mapping[float, Sequence[str]], *, fold: int) -> None:
    """Refuse shares of which a smaller one is not within a larger one.

    Args:
        subsets: Fraction to subjects.
        fold: Number of the training, for the message.

    Raises:
        CohortError: With the first two shares that do not fit.
    """
    ordered = sorted(subsets)
    for small, large in pairwise(ordered):
        lost = sorted(set(subsets[small]) - set(subsets[large]))
        if lost:
            raise CohortError(
                f"fold {fold}: train subset of {small:g} must be within that of {large:g}, got "
                f"{lost[0]} in the smaller one alone."
            )


def _order_groups(
    members: Mapping[str, Sequence[Assignment]], *, purpose: str
) -> tuple[list[str], int]:
    """Return all groups in the order in which they are taken, and how many must be."""
    score = {name: _score(f"{purpose}/{name}") for name in members}
    kinds: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    for name in sorted(members, key=lambda name: (score[name], name)):
        kinds[frozenset(item.label for item in members[name])].append(name)
    place = _spread(kinds.values())
    order = sorted(members, key=lambda name: (place[name], score[name], name))
    first: list[str] = []
    for label in sorted({label for kind in kinds for label in kind}):
        # One group may hold several classes, and then stands for all of them.
        if not any(item.label == label for name in first for item in members[name]):
            holders = [n for n in order if any(item.label == label for item in members[n])]
            first.append(holders[0])
    return [*first, *(name for name in order if name not in first)], len(first)


def _spread(kinds: Iterable[Sequence[str]]) -> dict[str, float]:
    """Return the place of each name in (0, 1), those of a kind at equal distances."""
    return {name: (rank + 0.5) / len(names) for names in kinds for rank, name in enumerate(names)}


def _score(text: str) -> float:
    """Return a number in [0, 1) from SHA-256."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48
