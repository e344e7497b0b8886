"""Folds: who trains, validates and tests in each training, from the seed and the names alone."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.cohort import CohortImage
from medvision.domain.labels.rows import SPLITS, Classes
from medvision.domain.labels.values import name_bins
from medvision.domain.split import Assignment, check_groups_together, find_missing_class
from medvision.domain.splits.dealing import Group, Key, deal
from medvision.domain.splits.enough import check_asked, check_columns, check_enough, count_needed
from medvision.domain.splits.kinds import Kinds, build_keys, name_kinds
from medvision.errors import CohortError

_ATTEMPTS = 16


@dataclass(frozen=True)
class _Scheme:
    """How often the cohort is dealt, and into what."""

    folds: int
    validation_fraction: float
    held_out: float | None
    inner_folds: int
    repeats: int


@dataclass(frozen=True)
class _Training:
    """One training: its place in the scheme, and each group's split."""

    repeat: int
    part: int
    inner: int
    splits: Mapping[str, str]


def build_folds(
    images: Sequence[CohortImage],
    *,
    folds: int,
    validation_fraction: float,
    seed: int,
    stratify_by: Sequence[str],
    held_out: float | None,
    inner_folds: int,
    repeats: int,
    classes: Classes | None = None,
) -> list[Assignment]:
    """Split a cohort by group into folds, classes and named columns spread evenly.

    Findings are spread each by itself, those that are there and those that are absent; values by
    bins of about equal count.

    The groups are dealt into parts (`deal`). Fold f tests part f; of the rest a share validates
    and the remainder trains, or, nested, the rest is dealt into inner parts of which each
    validates once. With a held-out share one part is tested by all trainings, and the rest is
    dealt into `folds` parts of which each validates once. Repeats deal again under another
    purpose; what is held out stays. With one fold the splits that the table of labels gives are
    honoured as fold 0.

    Args:
        images: The cohort, each image with its group.
        folds: Number of folds k. 1 asks for the given splits, and needs them.
        validation_fraction: Share (0 to 1) of a fold's remaining groups that validate; without
            effect with `held_out`, or with inner folds.
        seed: Seed of the dealing.
        stratify_by: Columns of the labels to spread evenly too, alone and jointly with the label.
        held_out: Share (0 to 1) of the groups that every fold tests; None has each fold test
            its own part.
        inner_folds: Trainings per fold; 2 or more make the folds nested.
        repeats: How often all of it is done.
        classes: What the labels are of; None takes each label for a class.

    Returns:
        Assignments sorted by fold and image_id; each split of each fold holds each class, and each
        finding both there and absent.

    Raises:
        CohortError: Too few subjects, in all or of a class, or a class that cannot be in
            every split; a given split that is empty or trains without a class; given splits
            that were not asked for, or the reverse; or a column with too many values.
        LabelError: The labels have no such column.

    Source:
        Own definition; nested and repeated cross-validation as in Krstajic et al. 2014,
        doi:10.1186/1758-2946-6-10.
    """
    is_given = any(image.given_split for image in images)
    check_asked(is_given=is_given, folds=folds)
    check_columns(images, stratify_by)
    labels = [image.label for image in images]
    kinds = name_kinds(labels, classes or Classes(tuple(labels), None))
    if is_given:
        return _honour_given_split(images, kinds)
    scheme = _Scheme(folds, validation_fraction, held_out, inner_folds, repeats)
    needed = count_needed(folds=folds, held_out=held_out, inner_folds=inner_folds)
    groups = _build_groups(
        images, stratify_by, keys=build_keys(kinds, _cut(images, classes, needed=needed))
    )
    check_enough(groups, folds=folds, needed=needed)
    for attempt in range(_ATTEMPTS):
        trainings = list(_list_trainings(groups, scheme, purpose=f"{seed}/{attempt}"))
        result = _assign(images, trainings)
        if find_missing_class(result, kinds) is None:
            check_groups_together(result, {image.image_id: image.group for image in images})
            return result
    missing = find_missing_class(result, kinds)
    raise CohortError(
        f"cohort: each split must hold each class, got no split of {len(groups)} subjects into "
        f"{folds} folds that does ({missing}).",
        "lower cohort.folds, or add subjects of the rare class.",
    )


def _cut(
    images: Sequence[CohortImage], classes: Classes | None, *, needed: int
) -> dict[str, str] | None:
    """Return the bin of each value; None where labels are no values."""
    if classes is None or classes.task != "regression":
        return None
    n_groups = len({image.group for image in images})
    return name_bins([image.label for image in images], n_groups=n_groups, needed=needed)


def _honour_given_split(images: Sequence[CohortImage], kinds: Kinds) -> list[Assignment]:
    """Return the user's split as fold 0."""
    trainings = [
        Assignment(0, 0, 0, 0, image.image_id, image.subject, image.label, image.given_split or "")
        for image in sorted(images, key=lambda image: image.image_id)
    ]
    for split in SPLITS:
        if not any(item.split == split for item in trainings):
            raise CohortError(
                f"labels: given splits must include {split}, got no image in it.",
                "name train, validation and test images, or remove the column split.",
            )
    trained = {name for item in trainings if item.split == "train" for name in kinds[item.label]}
    unseen = sorted({name for item in trainings for name in kinds[item.label]} - trained)
    if unseen:
        raise CohortError(
            f"labels: the given train split must hold each class, got none of {unseen[0]}.",
            "correct the column split, or remove it.",
        )
    return trainings


def _build_groups(
    images: Sequence[CohortImage], stratify_by: Sequence[str], *, keys: Mapping[str, Sequence[Key]]
) -> list[Group]:
    """Gather the keys of each group: everybody, its classes, its values, and both at once."""
    gathered: defaultdict[str, set[Key]] = defaultdict(lambda: {()})
    for image in images:
        values = [(column, image.attributes.get(column, "")) for column in stratify_by]
        held = keys[image.label]
        both = ((*own, *value) for own in held for value in values)
        gathered[image.group] |= {*held, *values, *both}
    return [Group(name, frozenset(held)) for name, held in gathered.items()]


def _list_trainings(
    groups: Sequence[Group], scheme: _Scheme, *, purpose: str
) -> Iterator[_Training]:
    """Yield every training in order of repeat, part and inner part."""
    for repeat in range(scheme.repeats):
        again = f"{purpose}/{repeat}"
        if scheme.held_out is not None:
            yield from _hold_out(groups, scheme, repeat=repeat, purposes=(purpose, again))
            continue
        part = _deal_evenly(groups, scheme.folds, purpose=f"{again}/test")
        for fold in range(scheme.folds):
            rest = [group for group in groups if part[group.name] != fold]
            sides = _deal_rest(rest, scheme, purpose=f"{again}/validation/{fold}")
            for inner, validated in enumerate(sides):
                yield _Training(repeat, fold, inner, _name_splits(groups, rest, validated))


def _hold_out(
    groups: Sequence[Group], scheme: _Scheme, *, repeat: int, purposes: tuple[str, str]
) -> Iterator[_Training]:
    """Yield the trainings of one repeat that all test what is held out, the same in each."""
    share, (always, again) = scheme.held_out or 0.0, purposes
    side = deal(
        groups,
        shares=[share, 1 - share],
        least=[1, scheme.folds],
        purpose=f"{always}/held-out",
    )
    rest = [group for group in groups if side[group.name] == 1]
    part = _deal_evenly(rest, scheme.folds, purpose=f"{again}/part")
    for inner in range(scheme.folds):
        validated = {name for name, index in part.items() if index == inner}
        yield _Training(repeat, 0, inner, _name_splits(groups, rest, validated))


def _deal_evenly(groups: Sequence[Group], n_parts: int, *, purpose: str) -> dict[str, int]:
    """Deal groups to parts of equal size."""
    return deal(groups, shares=[1 / n_parts] * n_parts, least=[1] * n_parts, purpose=purpose)


def _deal_rest(rest: Sequence[Group], scheme: _Scheme, *, purpose: str) -> list[set[str]]:
    """Return who validates in each training of a fold."""
    if scheme.inner_folds > 1:
        side = _deal_evenly(rest, scheme.inner_folds, purpose=purpose)
        inner = range(scheme.inner_folds)
        return [{name for name, index in side.items() if index == each} for each in inner]
    share = scheme.validation_fraction
    side = deal(rest, shares=[share, 1 - share], least=[1, 1], purpose=purpose)
    return [{name for name, index in side.items() if index == 0}]


def _name_splits(
    groups: Sequence[Group], rest: Sequence[Group], validated: set[str]
) -> dict[str, str]:
    """Return every group's split: outside the rest it is tested."""
    splits = dict.fromkeys((group.name for group in groups), "test")
    return splits | {
        group.name: "validation" if group.name in validated else "train" for group in rest
    }


def _assign(images: Sequence[CohortImage], trainings: Sequence[_Training]) -> list[Assignment]:
    """Give each image its group's split in every training, which are numbered from 0."""
    ordered = sorted(images, key=lambda image: image.image_id)
    return [
        Assignment(
            fold,
            each.repeat,
            each.part,
            each.inner,
            image.image_id,
            image.subject,
            image.label,
            each.splits[image.group],
        )
        for fold, each in enumerate(trainings)
        for image in ordered
    ]
