"""Folds: groups of subjects dealt to splits, classes spread evenly, from the seed alone."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.cohort import CohortImage
from medvision.domain.labels import SPLITS
from medvision.domain.split import Assignment, check_groups_together, find_missing_class
from medvision.errors import CohortError

_ATTEMPTS = 64


@dataclass(frozen=True)
class _Group:
    """Subjects that stay together: their classes, and how many images they have."""

    name: str
    labels: frozenset[str]
    n_images: int


def build_folds(
    images: Sequence[CohortImage], *, folds: int, validation_fraction: float, seed: int
) -> list[Assignment]:
    """Split a cohort by group into folds, classes spread as evenly as groups allow.

    In fold f the test images are those of part f; of the rest, a share validates and the
    remainder trains. Groups are taken in the order of SHA-256(seed, purpose, group), so that
    the result depends on the seed and the groups' names, not on the order of rows. With one
    fold the splits that the table of labels gives are honoured as fold 0.

    Args:
        images: The cohort, each image with its group.
        folds: Number of folds k; each subject is tested in exactly one. 1 asks for the given
            splits, and needs them.
        validation_fraction: Share (0 to 1) of a fold's remaining groups that validate.
        seed: Seed of the order.

    Returns:
        Assignments sorted by fold and image_id; each split of each fold holds each class.

    Raises:
        CohortError: Too few subjects, in all or of a class, or a class that cannot be in
            every split; a given split that is empty or trains without a class; or given
            splits that were not asked for, or the reverse.

    Source:
        Iterative stratification, Sechidis, Tsoumakas and Vlahavas 2011,
        doi:10.1007/978-3-642-23808-6_10, applied to groups, with the rarity of a class fixed
        at the start and ties broken by hash instead of at random.
    """
    is_given = any(image.given_split for image in images)
    _check_asked(is_given=is_given, folds=folds)
    if is_given:
        return _honour_given_split(images)
    groups = _build_groups(images)
    _check_enough(groups, folds=folds)
    for attempt in range(_ATTEMPTS):
        parts = _deal_folds(
            groups,
            folds=folds,
            validation_fraction=validation_fraction,
            purpose=f"{seed}/{attempt}",
        )
        result = _assign(images, parts)
        if find_missing_class(result) is None:
            check_groups_together(result, {image.image_id: image.group for image in images})
            return result
    missing = find_missing_class(result)
    raise CohortError(
        f"cohort: each split must hold each class, got no split of {len(groups)} subjects into "
        f"{folds} folds that does ({missing}).",
        "lower cohort.folds, or add subjects of the rare class.",
    )


def _check_asked(*, is_given: bool, folds: int) -> None:
    """Refuse given splits that were not asked for, and a wish for splits that are not given."""
    if is_given and folds != 1:
        raise CohortError(
            f"cohort.folds: must be 1 where the labels have a column split, got {folds}.",
            "set cohort.folds to 1 to honour the column, or remove the column to have folds made.",
        )
    if not is_given and folds == 1:
        raise CohortError(
            "labels: must have a column split where cohort.folds is 1, got none.",
            "add the column (train, validation, test), or set cohort.folds to 2 or more.",
        )


def _honour_given_split(images: Sequence[CohortImage]) -> list[Assignment]:
    """Return the user's split as fold 0."""
    result = [
        Assignment(0, image.image_id, image.subject, image.label, image.given_split or "")
        for image in sorted(images, key=lambda image: image.image_id)
    ]
    for split in SPLITS:
        if not any(item.split == split for item in result):
            raise CohortError(
                f"labels: given splits must include {split}, got no image in it.",
                "name train, validation and test images, or remove the column split.",
            )
    trained = {item.label for item in result if item.split == "train"}
    unseen = sorted({item.label for item in result} - trained)
    if unseen:
        raise CohortError(
            f"labels: the given train split must hold each class, got none of {unseen[0]}.",
            "correct the column split, or remove it.",
        )
    return result


def _build_groups(images: Sequence[CohortImage]) -> list[_Group]:
    """Gather the images of each group."""
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        labels[image.group].add(image.label)
    n_images = Counter(image.group for image in images)
    return [_Group(name, frozenset(held), n_images[name]) for name, held in labels.items()]


def _check_enough(groups: Sequence[_Group], *, folds: int) -> None:
    """Refuse fewer subjects than the folds need, in all or of one class."""
    if len(groups) < folds:
        raise CohortError(
            f"cohort: subjects must number at least cohort.folds = {folds}, got {len(groups)} "
            "that can be separated.",
            "lower cohort.folds or add subjects.",
        )
    # Besides the tested part, one subject must validate and one must train.
    needed = max(folds, 4 if folds == 2 else 3)
    counts = Counter(label for group in groups for label in group.labels)
    label, n = min(sorted(counts.items()), key=lambda item: item[1])
    if n < needed:
        raise CohortError(
            f"cohort: subjects of each class must number at least {needed} for {folds} folds, "
            f"got {n} of class {label}.",
            "lower cohort.folds, add subjects of this class, or leave the class out.",
        )


def _deal_folds(
    groups: Sequence[_Group], *, folds: int, validation_fraction: float, purpose: str
) -> list[dict[str, str]]:
    """Return, for each fold, every group's split."""
    part = _deal(groups, shares=[1 / folds] * folds, purpose=f"{purpose}/test")
    result = []
    for fold in range(folds):
        rest = [group for group in groups if part[group.name] != fold]
        side = _deal(
            rest,
            shares=[validation_fraction, 1 - validation_fraction],
            purpose=f"{purpose}/validation/{fold}",
        )
        splits = dict.fromkeys(part, "test")
        splits |= {name: ("validation", "train")[index] for name, index in side.items()}
        result.append(splits)
    return result


def _deal(groups: Sequence[_Group], *, shares: Sequence[float], purpose: str) -> dict[str, int]:
    """Deal groups to parts: the rarest class first, each to the part that wants it most."""
    n_groups = Counter(label for group in groups for label in group.labels)
    wanted = {label: _apportion(n, shares) for label, n in n_groups.items()}
    room = [share * sum(group.n_images for group in groups) for share in shares]
    result: dict[str, int] = {}
    for group in sorted(groups, key=lambda g: (_rank(g, n_groups), _hash(purpose, g.name))):
        rarest = _rank(group, n_groups)[1]
        order = sorted(
            range(len(shares)),
            key=lambda p: (-wanted[rarest][p], -room[p], _hash(purpose, f"{group.name}/{p}")),
        )
        part = order[0]
        result[group.name] = part
        room[part] -= group.n_images
        for label in group.labels:
            wanted[label][part] -= 1
    return result


def _assign(images: Sequence[CohortImage], folds: Sequence[Mapping[str, str]]) -> list[Assignment]:
    """Give each image its group's split in every fold."""
    ordered = sorted(images, key=lambda image: image.image_id)
    return [
        Assignment(fold, image.image_id, image.subject, image.label, splits[image.group])
        for fold, splits in enumerate(folds)
        for image in ordered
    ]


def _rank(group: _Group, n_groups: Mapping[str, int]) -> tuple[int, str]:
    """Return the group's rarest class, with how many groups hold it."""
    return min((n_groups[label], label) for label in group.labels)


def _apportion(n: int, shares: Sequence[float]) -> list[float]:
    """Return how many of n groups each part wants; at least one where there are enough."""
    if len(set(shares)) == 1 or n < len(shares):
        return [n * share for share in shares]
    first = min(max(round(n * shares[0]), 1), n - 1)
    return [float(first), float(n - first)]


def _hash(purpose: str, name: str) -> str:
    """Return a number-like text that orders names differently for each purpose."""
    return hashlib.sha256(f"{purpose}/{name}".encode()).hexdigest()
