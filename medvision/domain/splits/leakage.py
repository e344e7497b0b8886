"""Leakage: equal images, studies or patients on two sides of a split, found and dealt with."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from medvision.domain.cohort import CohortImage
from medvision.domain.labels.rows import EXTERNAL
from medvision.errors import CohortError

_Key = Callable[[CohortImage], str]

MOST_SHARING = 4
"""Subjects that may share a frame of reference or a person's key before it counts as a constant.

One person seldom has more pseudonyms; some devices and de-identifiers write one value for all.
"""

_WEAK = ("same-frame-of-reference", "same-person")

HARMLESS_ACTIONS = ("same-subject", "same-split", "untrusted")
"""Actions of pairs that call for nothing."""


@dataclass(frozen=True)
class LeakagePair:
    """Two images that must not be told apart by a split.

    Args:
        kind: same-pixels, near-pixels, same-study, same-series, same-frame-of-reference,
            same-person, same-subject or conflicting-label.
        image_a: The image first in order.
        image_b: The other.
        action: grouped (kept in one split), stopped, reported (gone on with), untrusted (shared
            by too many subjects to mean one), same-subject or same-split (harmless as it stands).
        similarity: Of near-pixels, the correlation of detail, up to 1.
        alteration: Of near-pixels, how one image differs from the other, in words.
    """

    kind: str
    image_a: CohortImage
    image_b: CohortImage
    action: str
    similarity: float | None = None
    alteration: str = ""


@dataclass(frozen=True)
class NearPair:
    """Two images that show the same, one of them altered.

    Args:
        image_a: Id of one.
        image_b: Id of the other.
        similarity: Correlation of their detail, up to 1.
        alteration: How one differs from the other, in words.
    """

    image_a: str
    image_b: str
    similarity: float
    alteration: str


def find_leakage(
    images: Sequence[CohortImage], *, on_leakage: str, near: Sequence[NearPair] = ()
) -> list[LeakagePair]:
    """List the pairs of images through which a split could leak.

    One pass over an index of each key, so the time grows with the number of images and not of
    pairs: each image is paired with the first one on another side, not with every one. Two subjects
    on one side of a given split are paired too: harmless there, but no two independent ones.

    Args:
        images: The cohort; given splits, where present, are the sides, else the subjects are,
            apart in the external cohort.
        on_leakage: group, stop or report; decides each pair's action.
        near: Images of the cohort that show the same, one of them altered; those of one subject
            on one side are left out, since a subject's own images may look alike.

    Returns:
        Pairs sorted by kind and images.

    Source:
        none: own definition. Equal means equal digests of the decoded arrays, so re-compressed
        copies are caught; altered copies are those of `near`.
    """
    given = any(image.given_split and not image.is_external for image in images)
    has_external = any(image.is_external for image in images)
    side: _Key = _by_split if given else _by_subject
    keys: list[tuple[str, _Key]] = [
        ("same-pixels", attrgetter("pixel_digest")),
        ("same-study", attrgetter("study")),
        ("same-series", attrgetter("series")),
        ("same-frame-of-reference", attrgetter("frame_of_reference")),
        ("same-person", attrgetter("person_key")),
        ("same-subject", attrgetter("patient")),
    ]
    if given or has_external:
        keys.append(("same-subject", attrgetter("subject")))
    pairs = [p for kind, key in keys for p in _pair(images, kind=kind, key=key, side=side)]
    pairs += [p for kind, key in keys for p in _pair_within(images, kind=kind, key=key, side=side)]
    pairs += _pair(
        images, kind="conflicting-label", key=attrgetter("pixel_digest"), side=attrgetter("label")
    )
    pairs += _pair_near(images, near, side=side)
    distinct = {(p.kind, p.image_a.image_id, p.image_b.image_id): p for p in pairs}
    return [
        p if p.action else replace(p, action=_choose_action(p, on_leakage))
        for _, p in sorted(distinct.items())
    ]


def check_leakage(pairs: Sequence[LeakagePair]) -> None:
    """Refuse to go on where a pair's action is to stop.

    Raises:
        CohortError: With the count of each kind and the first pair's identifiers.
    """
    stopped = [pair for pair in pairs if pair.action == "stopped"]
    if not stopped:
        return
    counts = Counter(pair.kind for pair in stopped)
    found = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
    first = stopped[0]
    raise CohortError(
        f"cohort: images on two sides must differ, got {found} "
        f"(first: {first.image_a.image_id} and {first.image_b.image_id}).",
        _choose_hint(stopped),
    )


def join_groups(
    images: Sequence[CohortImage], pairs: Sequence[LeakagePair]
) -> tuple[CohortImage, ...]:
    """Give subjects that share an image, study or patient one group.

    Args:
        images: The cohort.
        pairs: What `find_leakage` found in it.

    Returns:
        The same images, each with its group: the subject itself, or a joint name that depends
        on the joined subjects alone.
    """
    parent = {image.subject: image.subject for image in images}
    for pair in pairs:
        if pair.action in ("grouped", "same-split"):
            first = _find_root(parent, pair.image_a.subject)
            second = _find_root(parent, pair.image_b.subject)
            parent[max(first, second)] = min(first, second)
    members: dict[str, list[str]] = defaultdict(list)
    for subject in sorted(parent):
        members[_find_root(parent, subject)].append(subject)
    name = {subject: _name_group(group) for group in members.values() for subject in group}
    return tuple(replace(image, group=name[image.subject]) for image in images)


def _pair(
    images: Sequence[CohortImage], *, kind: str, key: _Key, side: _Key
) -> Iterator[LeakagePair]:
    """Pair each image with the first of equal key on another side, or the first of its own."""
    for members in _gather(images, key):
        first = members[0]
        if _is_constant(kind, members):
            last = next(m for m in members if m.subject != first.subject)
            yield LeakagePair(kind, first, last, action="untrusted")
            continue
        other = next((m for m in members if side(m) != side(first)), first)
        for member in members:
            partner = other if side(member) == side(first) and other is not first else first
            # Copies on one side are worth a row; a subject's further images of a study are not.
            crosses = side(partner) != side(member)
            if partner is not member and (crosses or kind == "same-pixels"):
                a, b = sorted((member, partner), key=lambda image: image.image_id)
                yield LeakagePair(kind, a, b, action="")


def _pair_within(
    images: Sequence[CohortImage], *, kind: str, key: _Key, side: _Key
) -> Iterator[LeakagePair]:
    """Pair the first image of equal key on a side with those of other subjects on that side."""
    for members in _gather(images, key):
        if _is_constant(kind, members):
            continue
        first: dict[str, CohortImage] = {}
        for member in members:
            own = first.setdefault(side(member), member)
            if own.subject != member.subject:
                yield LeakagePair(kind, own, member, action="")


def _gather(images: Sequence[CohortImage], key: _Key) -> list[list[CohortImage]]:
    """Return the images of each key that is not empty, in order of their identifiers."""
    held: dict[str, list[CohortImage]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.image_id):
        if key(image):
            held[key(image)].append(image)
    return list(held.values())


def _is_constant(kind: str, members: Sequence[CohortImage]) -> bool:
    """Tell whether so many subjects share a weak key that it means nobody."""
    return kind in _WEAK and len({image.subject for image in members}) > MOST_SHARING


def _pair_near(
    images: Sequence[CohortImage], near: Sequence[NearPair], *, side: _Key
) -> Iterator[LeakagePair]:
    """Turn look-alikes of two subjects or sides into pairs, unless their pixels are equal."""
    held = {image.image_id: image for image in images}
    for pair in near:
        a, b = held[min(pair.image_a, pair.image_b)], held[max(pair.image_a, pair.image_b)]
        is_equal = bool(a.pixel_digest) and a.pixel_digest == b.pixel_digest
        if (side(a), a.subject) != (side(b), b.subject) and not is_equal:
            yield LeakagePair("near-pixels", a, b, "", pair.similarity, pair.alteration)


def check_group_sizes(images: Sequence[CohortImage], *, folds: int) -> None:
    """Refuse a joint group of more subjects than one fold may test: near pairs have chained.

    Args:
        images: The cohort, each image with its group.
        folds: Number of folds.

    Raises:
        CohortError: With the size of the largest group.
    """
    subjects: dict[str, set[str]] = defaultdict(set)
    for image in images:
        subjects[image.group].add(image.subject)
    largest = max(len(held) for held in subjects.values())
    limit = max(2, sum(len(held) for held in subjects.values()) // folds)
    if folds > 1 and largest > limit:
        raise CohortError(
            f"cohort: subjects that must stay together must number at most {limit} for {folds} "
            f"folds, got a group of {largest}.",
            "cohort/leakage.tsv says through which images they hang together; lower cohort.folds, "
            "or, for its pairs of near-pixels, raise cohort.similarity where they only look alike.",
        )


def _choose_action(pair: LeakagePair, on_leakage: str) -> str:
    """Say what becomes of a pair."""
    a, b = pair.image_a, pair.image_b
    if pair.kind == "conflicting-label":
        # No split can cure a wrong label, so grouping does not either.
        return "reported" if on_leakage == "report" else "stopped"
    if a.given_split or b.given_split:
        if a.given_split == b.given_split:
            return "same-split" if a.subject != b.subject else "same-subject"
        # A given split, or external cohort, is honoured, so nothing can be moved to mend it.
        return "reported" if on_leakage == "report" else "stopped"
    if a.subject == b.subject:
        return "same-subject"
    return {"group": "grouped", "stop": "stopped", "report": "reported"}[on_leakage]


def _choose_hint(stopped: Sequence[LeakagePair]) -> str:
    """Say how to go on after a stop."""
    override = "or set cohort.on_leakage to report to go on; the report's first page says so."
    if any(pair.kind == "conflicting-label" for pair in stopped):
        return f"cohort/leakage.tsv lists equal images with unequal labels: correct one, {override}"
    if any(pair.image_a.is_external != pair.image_b.is_external for pair in stopped):
        return (
            "the external cohort must share nothing with the images that are trained on: take the "
            "images that cohort/leakage.tsv names out of one of the two in the labels, raise "
            f"cohort.similarity where near-pixels only look alike, {override}"
        )
    if any(pair.image_a.given_split for pair in stopped):
        return f"correct the given split by cohort/leakage.tsv, {override}"
    return f"set cohort.on_leakage to group to keep them in one split, {override}"


def _find_root(parent: dict[str, str], name: str) -> str:
    """Return the representative of a joined set, shortening the way there."""
    while parent[name] != name:
        parent[name] = parent[parent[name]]
        name = parent[name]
    return name


def _name_group(subjects: Sequence[str]) -> str:
    """Name a group after its one subject, or after the digest of several."""
    if len(subjects) == 1:
        return subjects[0]
    return "joint-" + hashlib.sha256("\n".join(subjects).encode()).hexdigest()[:10]


def _by_split(image: CohortImage) -> str:
    """Side of a given split."""
    return image.given_split or ""


def _by_subject(image: CohortImage) -> str:
    """Side of a subject, another where the image is external."""
    return f"{EXTERNAL} {image.subject}" if image.is_external else image.subject
