"""Folds: what is refused, what is honoured, and that the seed alone decides."""

import pytest
from strategies import make_cohort, make_image, split_cohort

from medvision.domain.balance import count_balance
from medvision.domain.split import (
    Assignment,
    build_assignments,
    check_groups_together,
    check_no_leakage,
    find_missing_class,
)
from medvision.errors import CohortError


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
