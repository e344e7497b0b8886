"""Labels and images dealt anew for trainings that must fail: permuted labels, mixed images."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from medvision.domain.labels.rows import Classes
from medvision.domain.labels.values import name_bins
from medvision.domain.split import Assignment, find_missing_class
from medvision.domain.splits.kinds import list_present

_MOST_DRAWS = 50
_COMMON = 10
"""Images of a combination of findings from which on it is dealt by itself."""

_OTHERS = ""
"""Stratum of all that is rare."""

Pair = tuple[str, str]
"""Two image_ids."""


@dataclass(frozen=True)
class Dealt:
    """A training's images, dealt anew.

    Args:
        assignments: Who is on which side, with which label.
        n_draws: Draws made; 1 where the first one served.
    """

    assignments: tuple[Assignment, ...]
    n_draws: int


def join_units(groups: Mapping[str, str], pairs: Iterable[Pair]) -> dict[str, str]:
    """Join images that must have one label: those of a group, and copies of one another.

    Args:
        groups: image_id to the group of subjects that stay together.
        pairs: Images that are copies, or of one person, whoever they are said to be of.

    Returns:
        image_id to the name of its unit, that of the first of its groups.
    """
    parent = {group: group for group in groups.values()}

    def find(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for one, other in pairs:
        if one in groups and other in groups:
            first, second = sorted((find(groups[one]), find(groups[other])))
            parent[second] = first
    return {image: find(group) for image, group in groups.items()}


def permute_labels(
    own: Sequence[Assignment],
    units: Mapping[str, str],
    *,
    purpose: str,
    kinds: Mapping[str, tuple[str, ...]] | None = None,
) -> Dealt:
    """Deal the labels of whole units anew among all units of a training's cohort.

    Each unit is given the labels of another one, drawn by hash, its images in order of their names.
    So labels are as common among units as they were (among images only where units are of one
    size), images of one subject still go together, and what is left to be learnt is who is who.
    Units of unlike size change labels too: kept apart, a label of large units would stay with
    them. Of several draws the first is taken that has every class on every side,
    the last where none has.

    Args:
        own: One training's images.
        units: image_id to its unit.
        purpose: Text that makes this draw unlike any other: a seed and the fold.
        kinds: Label to the names under which it counts, as for `find_missing_class`.

    Source:
        Permutation of labels as a check of the whole pipeline: Ojala and Garriga 2010, Journal of
        Machine Learning Research 11:1833-1863; within groups that are exchangeable as wholes:
        Winkler et al. 2015, doi:10.1016/j.neuroimage.2015.05.092.
    """
    members: defaultdict[str, list[Assignment]] = defaultdict(list)
    for item in sorted(own, key=lambda item: item.image_id):
        members[units[item.image_id]].append(item)
    names = sorted(members)
    for draw in range(1, _MOST_DRAWS + 1):
        donors = sorted(names, key=lambda name: _hash(f"{purpose}/{draw}/{name}"))
        given = {
            item.image_id: members[donor][n % len(members[donor])].label
            for name, donor in zip(names, donors, strict=True)
            for n, item in enumerate(members[name])
        }
        dealt = tuple(replace(item, label=given[item.image_id]) for item in own)
        if find_missing_class(dealt, kinds) is None:
            break
    return Dealt(dealt, draw)


def name_strata(labels: Sequence[str], classes: Classes) -> dict[str, str]:
    """Name the kinds of labels of which an image-level split keeps each side's number.

    Args:
        labels: Label of each image.
        classes: What they are of.

    Returns:
        Label to its stratum: a class; a fifth of the values; a combination of findings, or, where
        fewer than 10 images have it, the rarest finding in it, or else all that is rare.
    """
    if classes.task == "classification":
        return {label: label for label in labels}
    if classes.task == "regression":
        return name_bins(labels, n_groups=len(labels), needed=1)
    present = {label: list_present(label, classes.task) for label in labels}
    shown = Counter(name for label in labels for name in present[label])
    held = Counter(labels)
    strata = {
        label: label
        if held[label] >= _COMMON
        else min(names, key=lambda name: (shown[name], name), default=_OTHERS)
        for label, names in present.items()
    }
    sizes = Counter(strata[label] for label in labels)
    return {label: name if sizes[name] >= _COMMON else _OTHERS for label, name in strata.items()}


def deal_images(own: Sequence[Assignment], *, strata: Mapping[str, str], purpose: str) -> Dealt:
    """Deal images to the sides as if each were of a subject of its own: what must never be done.

    Every side keeps its number of images of each stratum; which ones is told by a hash.

    Args:
        own: One training's images.
        strata: Label to its stratum, as `name_strata`.
        purpose: Text that makes this draw unlike any other: a seed and the fold.
    """
    by_stratum: defaultdict[str, list[Assignment]] = defaultdict(list)
    for item in own:
        by_stratum[strata[item.label]].append(item)
    dealt = []
    for name in sorted(by_stratum):
        held = sorted(by_stratum[name], key=lambda item: _hash(f"{purpose}/{item.image_id}"))
        sides = sorted(item.split for item in held)
        dealt += [replace(item, split=side) for item, side in zip(held, sides, strict=True)]
    return Dealt(tuple(sorted(dealt, key=lambda item: item.image_id)), 1)


def count_moved(own: Sequence[Assignment], dealt: Sequence[Assignment]) -> int:
    """Count the images that changed sides.

    Args:
        own: One training's images.
        dealt: The same, dealt anew.
    """
    sides = {item.image_id: item.split for item in own}
    return sum(sides[item.image_id] != item.split for item in dealt)


def count_siblings(dealt: Sequence[Assignment], units: Mapping[str, str]) -> tuple[int, int]:
    """Count the test images of whose unit another image is trained on.

    Args:
        dealt: One training's images.
        units: image_id to its unit.

    Returns:
        (those with such a sibling, all test images).
    """
    trained = Counter(units[item.image_id] for item in dealt if item.split == "train")
    tested = [item for item in dealt if item.split == "test"]
    return sum(trained[units[item.image_id]] > 0 for item in tested), len(tested)


def list_copies(digests: Mapping[str, str]) -> list[Pair]:
    """Return pairs that join all images of equal pixels.

    Args:
        digests: image_id to the digest of its pixels; empty where there is none.
    """
    first: dict[str, str] = {}
    return [
        (first.setdefault(digest, image), image)
        for image, digest in sorted(digests.items())
        if digest
    ]


def _hash(text: str) -> bytes:
    """Return a text's rank among others."""
    return hashlib.sha256(text.encode()).digest()
