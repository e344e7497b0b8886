"""What is explained of findings and values, and which images are drawn."""

import pytest

from medvision.domain.labels.rows import Classes
from medvision.errors import ExplanationError
from medvision.explain.selection import select_cases

FINDINGS = Classes(("a", "b"), None, "multilabel")
VALUE = Classes(("age",), None, "regression")


def make_row(number, *, label, predicted="", **probabilities):
    return {
        "arm": "transfer",
        "fold": str(number % 3),
        "repeat": "0",
        "inner": "0",
        "seed": "0",
        "split": "test",
        "image_id": f"image-{number:03d}",
        "subject": f"s-{number:03d}",
        "label": label,
        "predicted": predicted,
        **{f"probability_{name}": str(value) for name, value in probabilities.items()},
    }


def select(rows, classes, *, images=9, finding=None):
    return select_cases(rows, classes=classes, images=images, seed=5, finding=finding).cases


def test_the_most_probable_known_finding_is_explained():
    rows = [
        make_row(0, label="a", a=0.9, b=0.6),
        make_row(1, label="a|b?", a=0.2, b=0.95),
        make_row(2, label="No Finding", a=0.1, b=0.3),
    ]
    cases = {case.image_id: case for case in select(rows, FINDINGS)}
    assert [cases[f"image-00{n}"].target for n in range(3)] == ["a", "a", "b"]
    drawn = [case.rule for case in select(rows, FINDINGS)[1:]]
    assert set(drawn) <= {"true_positive", "false_negative", "true_negative"}


def test_a_named_finding_is_explained_in_every_image_of_which_it_is_known():
    rows = [
        make_row(0, label="a", a=0.9, b=0.1),
        make_row(1, label="b?", a=0.9, b=0.9),
        make_row(2, label="b", a=0.9, b=0.2),
        make_row(3, label="b", a=0.9, b=0.52),
    ]
    cases = select(rows, FINDINGS, finding="b")
    assert {case.target for case in cases} == {"b"}
    assert {case.image_id for case in cases} == {"image-000", "image-002", "image-003"}
    assert (cases[0].image_id, cases[0].rule) == ("image-003", "uncertain")
    rules = {case.image_id: case.rule for case in cases}
    assert rules["image-000"] == "true_negative"
    assert rules["image-002"] == "false_negative"


def test_the_largest_error_is_explained_first_and_then_each_third():
    rows = [make_row(n, label="50", predicted=str(50 + (-1) ** n * n)) for n in range(9)]
    cases = select(rows, VALUE, images=4)
    assert [case.rule for case in cases] == [
        *("largest_error", "large_error", "small_error", "middling_error"),
    ]
    assert cases[0].image_id == "image-008"
    assert {case.target for case in cases} == {"age"}
    assert cases[0].label == "50"


def test_a_finding_that_is_not_there_is_refused():
    with pytest.raises(ExplanationError, match="must be one of a, b, got c"):
        select([make_row(0, label="a", a=0.9, b=0.1)], FINDINGS, finding="c")
