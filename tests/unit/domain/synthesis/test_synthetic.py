"""Claims on synthetic images: told by mark or name, refused where something is measured."""

import pytest

from medvision.domain.split import Assignment
from medvision.domain.synthesis.synthetic import (
    check_enough_subjects,
    check_learnt_from,
    check_marked,
    check_only_trained,
    check_real,
    count_wanted,
    is_synthetic,
    name_image,
)
from medvision.errors import CohortError, ConfigError

NAME = name_image(0, 1, number=7)


def place(subject: str, split: str, *, label: str = "no", fold: int = 0) -> Assignment:
    return Assignment(fold, 0, 0, fold, f"{subject}_img-1", subject, label, split)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"image_id": "sub-1_img-1"}, False),
        ({"image_id": "sub-1_img-1", "synthetic": "false"}, False),
        ({"image_id": "sub-1_img-1", "synthetic": "True"}, True),
        ({"image_id": NAME}, True),
        ({"image_id": NAME, "synthetic": ""}, True),
    ],
)
def test_an_image_is_told_by_its_mark_or_by_its_name(row, expected):
    assert is_synthetic(row) is expected


def test_a_synthetic_image_is_refused_and_named_with_the_table():
    rows = [{"image_id": "sub-1_img-1"}, {"image_id": NAME}]
    check_real(rows[:1], where="ingest/manifest.tsv")
    with pytest.raises(CohortError, match=f"ingest/manifest.tsv: .*{NAME}"):
        check_real(rows, where="ingest/manifest.tsv")


@pytest.mark.parametrize("split", ["validation", "test", "external"])
def test_without_its_mark_it_is_still_refused_outside_train(split):
    check_only_trained([{"image_id": NAME, "fold": "0", "split": "train"}])
    with pytest.raises(CohortError, match="synthetic image must be in train"):
        check_only_trained([{"image_id": NAME, "fold": "0", "split": split}])


@pytest.mark.parametrize(
    "row", [{"image_id": NAME}, {"image_id": NAME, "synthetic": "false"}, {"image_id": "sub-1"}]
)
def test_a_table_that_has_lost_a_mark_is_refused(row):
    check_marked([{"image_id": NAME, "synthetic": "true"}], where="images.tsv")
    with pytest.raises(CohortError, match="must be marked synthetic"):
        check_marked([row], where="images.tsv")


@pytest.mark.parametrize("split", ["validation", "test", "external"])
def test_a_generator_may_not_learn_from_whom_its_fold_measures(split):
    own = [place("sub-1", "train"), place("sub-2", "train")]
    elsewhere = place("sub-1", split, fold=1)
    check_learnt_from(own, [*own, elsewhere, place("sub-3", split)])
    with pytest.raises(CohortError, match=f"sub-2, who is in {split}"):
        check_learnt_from(own, [*own, place("sub-2", split)])
    with pytest.raises(CohortError, match=f"sub-9, who is in {split}"):
        check_learnt_from([place("sub-9", split)], own)


def test_too_few_subjects_are_told_with_class_number_and_minimum():
    images = [place(f"sub-{n}", "train", label="no") for n in range(5)]
    images += [place("sub-9", "train", label="yes")] * 5
    check_enough_subjects(images, ["no"], minimum=5, fold=2)
    with pytest.raises(ConfigError, match=r"class yes must have at least 5 .* fold 2, got 1"):
        check_enough_subjects(images, ["no", "yes"], minimum=5, fold=2)


def test_the_ratio_is_one_number_or_one_of_each_class():
    assert count_wanted({"no": 10, "yes": 3}, 0.5) == {"no": 5, "yes": 2}
    assert count_wanted({"no": 10, "yes": 3}, {"yes": 2.0}) == {"no": 0, "yes": 6}
    with pytest.raises(ConfigError, match="class must be one of no, yes, got maybe"):
        count_wanted({"no": 10, "yes": 3}, {"maybe": 1.0})
    with pytest.raises(ConfigError, match="above 0"):
        count_wanted({"no": 10, "yes": 3}, 0.0)
