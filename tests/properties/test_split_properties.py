"""Whatever the cohort: subjects stay whole, are tested once, and classes are in every split."""

import itertools
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import cohorts, leaking_cohorts, make_image, split_cohort

from medvision.domain.cohort import CohortImage
from medvision.domain.split import Assignment, check_no_leakage, find_missing_class
from medvision.domain.splits.leakage import find_leakage, join_groups
from medvision.errors import CohortError

FOLDS = st.integers(2, 5)
FRACTIONS = st.floats(0.05, 0.95)


def split_or_none(
    images: list[CohortImage], *, folds: int, fraction: float, seed: int = 1
) -> list[Assignment] | None:
    """Return the folds, or nothing where the cohort is refused."""
    try:
        return split_cohort(images, folds=folds, validation_fraction=fraction, seed=seed)
    except CohortError:
        return None


@settings(max_examples=60, deadline=None)
@given(cohorts(), FOLDS, FRACTIONS)
def test_any_split_is_sound_or_refused(
    images: list[CohortImage], folds: int, fraction: float
) -> None:
    result = split_or_none(images, folds=folds, fraction=fraction)
    if result is None:
        return
    sides = defaultdict(set)
    for item in result:
        sides[item.fold, item.subject].add(item.split)
    assert all(len(splits) == 1 for splits in sides.values())
    tested = Counter(item.image_id for item in result if item.split == "test")
    assert tested == Counter(image.image_id for image in images)
    assert Counter(item.fold for item in result) == dict.fromkeys(range(folds), len(images))
    assert find_missing_class(result) is None
    check_no_leakage(result)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), st.integers(0, 12), min_size=2), FOLDS, FRACTIONS)
def test_enough_subjects_of_each_class_are_never_refused(
    counts: dict[str, int], folds: int, fraction: float
) -> None:
    images = [
        CohortImage(f"img-{label}-{n}", f"sub-{label}-{n}", label, f"sub-{label}-{n}")
        for label, n_subjects in counts.items()
        for n in range(n_subjects)
    ]
    present = [n for n in counts.values() if n]
    needed = max(folds, 4 if folds == 2 else 3)
    if not present:
        return
    result = split_or_none(images, folds=folds, fraction=fraction)
    assert (result is not None) == (min(present) >= needed)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), st.integers(5, 40), min_size=2), FOLDS)
def test_classes_are_spread_to_within_one_subject(counts: dict[str, int], folds: int) -> None:
    images = [
        CohortImage(f"img-{label}-{n}", f"sub-{label}-{n}", label, f"sub-{label}-{n}")
        for label, n_subjects in counts.items()
        for n in range(n_subjects)
    ]
    result = split_cohort(images, folds=folds, validation_fraction=0.25, seed=1)
    tested = Counter((i.fold, i.label) for i in result if i.split == "test")
    for label in counts:
        sizes = [tested[fold, label] for fold in range(folds)]
        assert max(sizes) - min(sizes) <= 1


@settings(max_examples=30, deadline=None)
@given(cohorts(), FOLDS, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(
    images: list[CohortImage], folds: int, random: "object"
) -> None:
    shuffled = list(images)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' own Random
    expected = split_or_none(images, folds=folds, fraction=0.25)
    assert split_or_none(shuffled, folds=folds, fraction=0.25) == expected


SITES = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), min_size=12)


def make_sites(drawn: list[tuple[str, str]]) -> list[CohortImage]:
    """Return one subject per pair of label and site."""
    return [
        make_image(f"img-{n:03d}", f"sub-{n:03d}", label, attributes={"site": site})
        for n, (label, site) in enumerate(drawn)
    ]


@settings(max_examples=60, deadline=None)
@given(SITES, st.integers(2, 4))
def test_labels_and_sites_are_spread_to_within_one_subject_at_once(
    drawn: list[tuple[str, str]], folds: int
) -> None:
    images = make_sites(drawn)
    try:
        result = split_cohort(images, folds=folds, stratify_by=("site",))
    except CohortError:
        return
    site = {image.image_id: image.attributes["site"] for image in images}
    tested = [item for item in result if item.split == "test"]
    for key in ("all", "label", "site", "both"):
        held: Counter[tuple[int, str]] = Counter()
        for item in tested:
            value = {"all": "", "label": item.label, "site": site[item.image_id]}.get(
                key, item.label + site[item.image_id]
            )
            held[item.part, value] += 1
        for value in {value for _, value in held}:
            sizes = [held[part, value] for part in range(folds)]
            assert max(sizes) - min(sizes) <= 1, key


SCHEMES = st.sampled_from(
    [
        {"held_out": 0.2},
        {"held_out": 0.3, "repeats": 2},
        {"inner_folds": 3},
        {"inner_folds": 2, "repeats": 2},
        {"repeats": 3},
    ]
)


@settings(max_examples=60, deadline=None)
@given(cohorts(), st.integers(2, 4), SCHEMES, st.randoms(use_true_random=False))
def test_any_scheme_is_sound_or_refused_whatever_the_order_of_rows(
    images: list[CohortImage], folds: int, scheme: dict[str, object], random: "object"
) -> None:
    try:
        result = split_cohort(images, folds=folds, **scheme)
    except CohortError:
        return
    check_no_leakage(result)
    assert find_missing_class(result) is None
    groups = {image.subject: image.group for image in images}
    sides = {(item.fold, groups[item.subject]): item.split for item in result}
    assert all(sides[item.fold, groups[item.subject]] == item.split for item in result)
    fits = folds * int(str(scheme.get("inner_folds", 1))) * int(str(scheme.get("repeats", 1)))
    assert Counter(item.fold for item in result) == dict.fromkeys(range(fits), len(images))
    shuffled = list(images)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' own Random
    assert split_cohort(shuffled, folds=folds, **scheme) == result


@settings(max_examples=60, deadline=None)
@given(leaking_cohorts())
def test_equal_keys_always_end_in_one_group(images: list[CohortImage]) -> None:
    conflict = any(
        a.pixel_digest == b.pixel_digest and a.label != b.label for a in images for b in images
    )
    pairs = find_leakage(images, on_leakage="group")
    assert conflict == any(pair.kind == "conflicting-label" for pair in pairs)
    grouped = join_groups(images, pairs)
    for key in ("pixel_digest", "study", "patient", "subject"):
        groups = defaultdict(set)
        for image in grouped:
            groups[getattr(image, key)].add(image.group)
        assert all(len(held) == 1 for name, held in groups.items() if name)


@settings(max_examples=40, deadline=None)
@given(leaking_cohorts())
def test_groups_join_nothing_that_shares_nothing(images: list[CohortImage]) -> None:
    """Plain transitive closure as the oracle."""
    grouped = join_groups(images, find_leakage(images, on_leakage="group"))
    group = {image.subject: image.group for image in grouped}
    closure = {subject: {subject} for subject in group}
    for a, b in itertools.combinations(images, 2):
        keys = [(a.pixel_digest, b.pixel_digest), (a.study, b.study), (a.patient, b.patient)]
        if any(x and x == y for x, y in keys):
            union = closure[a.subject] | closure[b.subject]
            closure |= dict.fromkeys(union, union)
    for (a, group_a), (b, group_b) in itertools.product(group.items(), repeat=2):
        assert (group_a == group_b) == (b in closure[a])


def test_a_split_by_image_is_refused() -> None:
    """The planted fault: one image of a subject trains and another is tested."""
    leaking = [
        Assignment(0, 0, 0, 0, "img-1", "sub-1", "a", "train"),
        Assignment(0, 0, 0, 0, "img-2", "sub-1", "a", "test"),
    ]
    with pytest.raises(CohortError, match="fold 0: subject must be in one split, got sub-1"):
        check_no_leakage(leaking)
