"""Labels and images dealt anew for trainings that must fail: permuted labels, mixed images."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from medvision.domain.split import Assignment, find_missing_class

_MOST_DRAWS = 50

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
    So labels are as common as they were, images of one subject still go together, and what is left
    to be learnt is who is who. Of several draws the first is taken that has every class on every
    side, the last where none has.

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


def deal_images(own: Sequence[Assignment], *, purpose: str) -> Dealt:
    """Deal images to the sides as if each were of a subject of its own: what must never be done.

    Every side keeps its number of images of each label; which ones is told by a hash.

    Args:
        own: One training's images.
        purpose: Text that makes this draw unlike any other: a seed and the fold.
    """
    by_label: defaultdict[str, list[Assignment]] = defaultdict(list)
    for item in own:
        by_label[item.label].append(item)
    dealt = []
    for label in sorted(by_label):
        held = sorted(by_label[label], key=lambda item: _hash(f"{purpose}/{item.image_id}"))
        sides = sorted(item.split for item in held)
        dealt += [replace(item, split=side) for item, side in zip(held, sides, strict=True)]
    return Dealt(tuple(sorted(dealt, key=lambda item: item.image_id)), 1)


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
