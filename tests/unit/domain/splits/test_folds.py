"""Folds: what is refused, what is honoured, and that the seed alone decides."""

from collections import Counter
from dataclasses import replace

import pytest
from strategies import make_cohort, make_image, split_cohort

from medvision.domain.cohort import CohortImage
from medvision.domain.split import (
    Assignment,
    build_assignments,
    check_groups_together,
    check_no_leakage,
    find_missing_class,
)
from medvision.domain.splits.balance import count_balance, list_columns
from medvision.errors import CohortError, LabelError


@pytest.mark.parametrize(
    ("counts", "folds", "message"),
    [
        ({"x": 1, "y": 1}, 3, "subjects must number at least cohort.folds = 3, got 2"),
        ({"x": 10, "y": 2}, 3, "each class must number at least 3 for 3 folds, got 2 of class y"),
        ({"x": 10, "y": 3}, 2, "each class must number at least 4 for 2 folds, got 3 of class y"),
    ],
)
def test_too_few_subjects_are_refused_with_the_count(
    counts: dict[str, int], folds: int, message: str
) -> None:
    with pytest.raises(CohortError, match=message) as caught:
        split_cohort(make_cohort(counts), folds=folds, validation_fraction=0.25, seed=1)
    assert "lower cohort.folds" in caught.value.hint
    assert caught.value.exit_code == 5


def test_another_seed_gives_another_split_and_the_same_seed_the_same() -> None:
    images = make_cohort({"x": 20, "y": 20})
    first, second, other = (
        split_cohort(images, folds=3, validation_fraction=0.25, seed=seed) for seed in (1, 1, 2)
    )
    assert first == second != other


def test_images_of_one_subject_are_not_counted_as_subjects() -> None:
    """Two subjects with 50 images each cannot fill three folds."""
    with pytest.raises(CohortError, match="got 2"):
        split_cohort(
            make_cohort({"x": 1, "y": 1}, n_images=50), folds=3, validation_fraction=0.2, seed=1
        )


def test_a_validation_share_is_kept_within_a_subject_of_each_class() -> None:
    images = make_cohort({"x": 30, "y": 60})
    folds = split_cohort(images, folds=3, validation_fraction=0.25, seed=1)
    balance = {
        (b.fold, b.split, b.value): b.n_subjects
        for b in count_balance(folds, images, stratify_by=())
    }
    for fold in range(3):
        assert [balance[fold, split, "x"] for split in ("train", "validation", "test")] == [
            15,
            5,
            10,
        ]
        assert balance[fold, "validation", "y"] == 10


def test_subjects_with_images_of_both_classes_are_split_too() -> None:
    images = [
        make_image(f"i{n}-{label}", f"s{n}", label) for n in range(6) for label in ("flair", "t1")
    ]
    folds = split_cohort(images, folds=3, validation_fraction=0.25, seed=1)
    assert find_missing_class(folds) is None
    assert [
        b.n_images for b in count_balance(folds, images, stratify_by=()) if b.split == "test"
    ] == [2] * 6


def test_a_class_that_cannot_be_everywhere_is_refused() -> None:
    """Both rare classes sit in the same three subjects, one of whom has no other."""
    images = [make_image(f"a{n}", f"s{n}", "a") for n in range(2)]
    images += [make_image(f"b{n}", f"s{n}", "b") for n in range(1, 3)]
    images += [make_image(f"c{n}", f"s{n}", "c") for n in range(3)]
    with pytest.raises(CohortError, match="each class must number at least 3"):
        split_cohort(images, folds=3, validation_fraction=0.25, seed=1)


def given(split: str, name: str, label: str = "x") -> object:
    return make_image(name, f"sub-{name}", label, given_split=split)


def test_a_given_split_is_honoured_as_fold_zero() -> None:
    images = [
        given("train", "i1"),
        given("train", "i2", "y"),
        given("validation", "i3"),
        given("test", "i4", "y"),
    ]
    folds = split_cohort(images, folds=1, validation_fraction=0.25, seed=1)  # type: ignore[arg-type]  # images
    assert [(item.fold, item.split) for item in folds] == [
        (0, "train"),
        (0, "train"),
        (0, "validation"),
        (0, "test"),
    ]
    assert find_missing_class(folds) == "fold 0 has no y in validation"


def test_a_given_split_without_validation_or_a_class_is_refused() -> None:
    without = [given("train", "i1"), given("train", "i2", "y"), given("test", "i3")]
    with pytest.raises(CohortError, match="must include validation"):
        split_cohort(without, folds=1, validation_fraction=0.25, seed=1)  # type: ignore[arg-type]  # images
    unseen = [given("train", "i1"), given("validation", "i2"), given("test", "i3", "y")]
    with pytest.raises(CohortError, match="train split must hold each class, got none of y"):
        split_cohort(unseen, folds=1, validation_fraction=0.25, seed=1)  # type: ignore[arg-type]  # images


def test_a_given_split_is_honoured_only_when_asked_for() -> None:
    images = [given(split, split) for split in ("train", "validation", "test")]
    with pytest.raises(CohortError, match=r"cohort\.folds: must be 1 .* got 3"):
        split_cohort(images, folds=3, validation_fraction=0.25, seed=1)  # type: ignore[arg-type]  # images
    with pytest.raises(CohortError, match="must have a column split"):
        split_cohort(make_cohort({"x": 9, "y": 9}), folds=1, validation_fraction=0.25, seed=1)


def test_a_subject_tested_twice_is_refused() -> None:
    twice = [Assignment(fold, 0, fold, 0, f"i{fold}", "s1", "x", "test") for fold in range(2)]
    with pytest.raises(CohortError, match="must be tested in one fold, got s1"):
        check_no_leakage(twice)


def test_an_image_listed_twice_is_refused() -> None:
    with pytest.raises(CohortError, match="image must be listed once, got i1"):
        check_no_leakage([Assignment(0, 0, 0, 0, "i1", "s1", "x", "train")] * 2)


def test_a_group_that_is_parted_is_refused() -> None:
    parted = [
        Assignment(0, 0, 0, 0, "i1", "s1", "x", "train"),
        Assignment(0, 0, 0, 0, "i2", "s2", "x", "test"),
    ]
    with pytest.raises(CohortError, match="group must be in one split, got joint"):
        check_groups_together(parted, {"i1": "joint", "i2": "joint"})


def test_folds_read_back_are_what_was_written() -> None:
    item = Assignment(1, 0, 1, 0, "i1", "s1", "x", "train")
    row = {
        "fold": "1",
        "repeat": "0",
        "part": "1",
        "inner": "0",
        "image_id": "i1",
        "subject": "s1",
        "label": "x",
        "split": "train",
    }
    assert build_assignments([row]) == [item]


def make_sites(n_subjects: int = 48) -> list[CohortImage]:
    """Return subjects of two classes at three sites, of which one is not known."""
    return [
        make_image(
            f"i{n:02d}",
            f"s{n:02d}",
            "xy"[n % 3 == 0],
            attributes={"site": ["A", "B", ""][n % 5 % 3]},
        )
        for n in range(n_subjects)
    ]


def count_tested(folds: list[Assignment]) -> Counter[str]:
    return Counter(item.subject for item in folds if item.split == "test")


def test_a_column_is_spread_evenly_alone_and_jointly_and_so_is_its_missing_value() -> None:
    images = make_sites()
    folds = split_cohort(images, stratify_by=("site",))
    site = {image.image_id: image.attributes["site"] for image in images}
    for key in (
        lambda item: site[item.image_id],
        lambda item: (item.label, site[item.image_id]),
        lambda item: item.label,
    ):
        counts = Counter((item.part, key(item)) for item in folds if item.split == "test")
        for value in {key(item) for item in folds}:
            sizes = [counts[part, value] for part in range(3)]
            assert max(sizes) - min(sizes) <= 1
            assert min(sizes) > 0


def test_an_unknown_column_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(LabelError, match="must be one of site, got scanner"):
        split_cohort(make_sites(), stratify_by=("scanner",))


def test_a_column_of_measurements_is_refused() -> None:
    images = [
        make_image(f"i{n}", f"s{n}", "xy"[n % 2], attributes={"weight": f"{n}"}) for n in range(60)
    ]
    with pytest.raises(CohortError, match="at most 50 values, got 60 in weight"):
        split_cohort(images, stratify_by=("weight",))


def test_what_is_held_out_is_tested_by_every_fold_of_every_repeat() -> None:
    folds = split_cohort(make_sites(), held_out=0.25, repeats=2)
    tested = count_tested(folds)
    assert len(tested) == 12
    assert set(tested.values()) == {6}
    assert {item.part for item in folds} == {0}
    validated = Counter((i.repeat, i.subject) for i in folds if i.split == "validation")
    assert len(validated) == 2 * 36
    assert set(validated.values()) == {1}
    check_no_leakage(folds)


def test_nested_folds_validate_each_remaining_subject_once() -> None:
    folds = split_cohort(make_sites(), inner_folds=4)
    assert len({item.fold for item in folds}) == 12
    assert set(count_tested(folds).values()) == {4}
    validated = Counter((i.part, i.subject) for i in folds if i.split == "validation")
    assert len(validated) == 3 * 32
    assert set(validated.values()) == {1}
    check_no_leakage(folds)


def test_repeats_are_other_dealings_and_leave_the_first_as_it_was() -> None:
    once, thrice = split_cohort(make_sites()), split_cohort(make_sites(), repeats=3)
    assert thrice[: len(once)] == once
    parts = [
        tuple(
            i.part
            for i in sorted(thrice, key=lambda i: i.image_id)
            if i.split == "test" and i.repeat == repeat
        )
        for repeat in range(3)
    ]
    assert len(set(parts)) == 3
    check_no_leakage(thrice)


def test_a_subject_tested_by_two_parts_of_a_repeat_is_refused() -> None:
    folds = [
        Assignment(0, 1, 0, 0, "i0", "s1", "x", "test"),
        Assignment(1, 1, 1, 0, "i1", "s1", "x", "test"),
    ]
    with pytest.raises(CohortError, match="must be tested in one fold, got s1"):
        check_no_leakage(folds)
    check_no_leakage([folds[0], replace(folds[1], repeat=2)])


def test_trainings_of_one_part_that_test_other_subjects_are_refused() -> None:
    folds = [
        Assignment(0, 0, 0, 0, "i0", "s1", "x", "test"),
        Assignment(1, 0, 0, 1, "i0", "s1", "x", "train"),
    ]
    with pytest.raises(CohortError, match="test subjects must be those of fold 0"):
        check_no_leakage(folds)


def test_a_fold_with_two_places_or_a_place_with_two_folds_is_refused() -> None:
    first = Assignment(0, 0, 0, 0, "i0", "s1", "x", "test")
    for other in (
        replace(first, image_id="i1", part=1),
        replace(first, image_id="i1", fold=1),
    ):
        with pytest.raises(CohortError, match="must be its own"):
            check_no_leakage([first, other])


def test_balance_counts_labels_and_columns_with_their_shares() -> None:
    images = make_sites()
    folds = split_cohort(images, stratify_by=("site",))
    rows = count_balance(folds, images, stratify_by=("site",))
    assert len(rows) == 3 * 3 * (2 + 3)
    for row in rows:
        held = [
            item
            for item, image in (
                (i, next(m for m in images if m.image_id == i.image_id)) for i in folds
            )
            if (item.fold, item.split) == (row.fold, row.split)
            and row.value == (item.label if row.variable == "label" else image.attributes["site"])
        ]
        size = sum((item.fold, item.split) == (row.fold, row.split) for item in folds)
        assert (row.n_images, row.n_subjects) == (len(held), len({item.subject for item in held}))
        assert row.share == pytest.approx(len(held) / size)


def test_a_column_with_a_value_for_each_subject_is_not_counted() -> None:
    """It would name people; with few subjects it has few values."""
    images = [
        make_image(
            f"i{n}", f"s{n}", "xy"[n % 2], attributes={"initials": f"{n}", "sex": "FM"[n % 2]}
        )
        for n in range(12)
    ]
    assert list_columns(images, stratify_by=()) == ["sex"]
    assert list_columns(images, stratify_by=("initials",)) == ["initials", "sex"]
