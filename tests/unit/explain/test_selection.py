"""Which images are explained: by rule and seed, wrong and uncertain ones included."""

import random

import pytest

from medvision.domain.labels.rows import Classes
from medvision.errors import ExplanationError
from medvision.explain.selection import select_cases


def make_row(number, *, label, predicted, margin=0.6, **changes):
    row = {
        "arm": "transfer",
        "fold": str(number % 3),
        "repeat": "0",
        "inner": "0",
        "seed": "0",
        "split": "test",
        "image_id": f"image-{number:03d}",
        "subject": f"subject-{number:03d}",
        "label": label,
        "predicted": predicted,
        "probability_no": f"{0.5 + margin / 2}",
        "probability_yes": f"{0.5 - margin / 2}",
    }
    return {**row, **changes}


def make_rows(n_true_positive=20, n_false_negative=2, n_false_positive=3, n_true_negative=30):
    outcomes = (
        [("yes", "yes")] * n_true_positive
        + [("yes", "no")] * n_false_negative
        + [("no", "yes")] * n_false_positive
        + [("no", "no")] * n_true_negative
    )
    return [make_row(n, label=a, predicted=b) for n, (a, b) in enumerate(outcomes)]


def select(rows, *, images=9, seed=5, positive="yes"):
    classes = Classes(("no", "yes"), positive)
    return select_cases(rows, classes=classes, images=images, seed=seed)


def count_rules(selection):
    rules = [case.rule for case in selection.cases]
    return {rule: rules.count(rule) for rule in rules}


def test_every_outcome_is_shown_although_mistakes_are_rare():
    rows = [*make_rows(), make_row(99, label="no", predicted="no", margin=0.01)]
    selection = select(rows)
    assert selection.cases[0].image_id == "image-099"
    assert count_rules(selection) == {
        "uncertain": 1,
        "true_positive": 2,
        "false_negative": 2,
        "false_positive": 2,
        "true_negative": 2,
    }


def test_an_exhausted_outcome_leaves_its_places_to_the_others():
    selection = select(make_rows(n_false_negative=0, n_false_positive=1), images=12)
    rules = count_rules(selection)
    assert len(selection.cases) == 12
    assert rules["false_positive"] == 1
    assert rules["true_positive"] + rules["true_negative"] == 10


def test_the_draw_obeys_the_seed_and_not_the_order_of_the_rows():
    rows = make_rows()
    shuffled = random.Random(0).sample(rows, len(rows))
    assert select(rows).cases == select(shuffled).cases
    assert select(rows).cases != select(rows, seed=6).cases


def test_no_subject_is_shown_twice():
    rows = [{**row, "subject": f"subject-{number % 5}"} for number, row in enumerate(make_rows())]
    cases = select(rows, images=20).cases
    assert len(cases) == len({case.subject for case in cases}) == 5


def test_only_test_rows_of_the_main_arm_and_first_seed_are_eligible():
    rows = make_rows(4, 1, 1, 4)
    others = [
        {**row, "image_id": f"other-{name}-{n}", "subject": f"other-{name}-{n}", **change}
        for name, change in {
            "split": {"split": "validation"},
            "arm": {"arm": "scratch"},
            "seed": {"seed": "10"},
        }.items()
        for n, row in enumerate(rows)
    ]
    selection = select([*others, *rows], images=100)
    assert sorted(case.image_id for case in selection.cases) == [row["image_id"] for row in rows]
    assert selection.as_dict()["eligible"] == len(rows) == selection.as_dict()["selected"]


def test_without_a_transfer_arm_the_other_is_explained():
    rows = [{**row, "arm": "scratch"} for row in make_rows()]
    assert {case.arm for case in select(rows).cases} == {"scratch"}


def test_more_classes_are_stratified_by_class_and_correctness():
    rows = [
        make_row(10 * n + m, label=label, predicted=predicted)
        for n, label in enumerate("abc")
        for m, predicted in enumerate([label] * 6 + ["a" if label != "a" else "b"])
    ]
    selection = select(rows, images=7, positive=None)
    drawn = {(case.rule, case.label) for case in selection.cases[1:]}
    assert drawn == {(rule, label) for rule in ("correct", "wrong") for label in "abc"}
    assert selection.eligible["correct:a"] == 6


def test_mistakes_are_shown_although_there_are_as_many_classes_as_images():
    rows = [
        make_row(10 * n + m, label=label, predicted=predicted)
        for n, label in enumerate("abcdef")
        for m, predicted in enumerate([label] * 6 + ["a" if label != "a" else "b"])
    ]
    cases = select(rows, images=6, positive=None).cases
    assert [case.rule for case in cases].count("wrong") == 2
    assert len({case.label for case in cases[1:]}) >= 3
    first = {select(rows, images=2, positive=None, seed=n).cases[1].label for n in range(20)}
    assert len(first) > 2, "the first class in the alphabet is always the first"


def test_the_predicted_class_is_the_explained_one():
    assert all(case.target == case.predicted for case in select(make_rows()).cases)


def test_nothing_to_explain_is_an_error_that_names_the_step():
    with pytest.raises(ExplanationError, match="rows of the test split"):
        select([make_row(0, label="no", predicted="no", split="validation")])
