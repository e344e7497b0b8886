"""The table of labels: what is accepted, and what each refusal says."""

import pytest

from medvision.domain.labels.columns import rename_columns
from medvision.domain.labels.rows import build_classes, build_label_rows
from medvision.errors import LabelError

GOOD = {"subject": "S1", "label": "sick"}


def test_further_columns_are_kept_as_attributes() -> None:
    (row,) = build_label_rows([{**GOOD, "image": "", "site": "A", "age": "61"}])
    assert row.attributes == {"site": "A", "age": "61"}
    assert (row.image, row.mask, row.split, row.line) == (None, None, None, 2)


@pytest.mark.parametrize(
    ("rows", "message", "hint"),
    [
        ([], "must hold at least one row", None),
        ([{"subject": "S1", "lable": "x"}], "column label must be present", "did you mean lable?"),
        ([{"Subject": "S1", "label": "x"}], "column subject must be present", "mean Subject?"),
        ([{"label": "x"}], "column subject must be present", None),
        ([{**GOOD, "label": " "}], "line 2: label must not be empty", None),
        ([GOOD, {**GOOD, "subject": ""}], "line 3: subject must not be empty", None),
        ([{**GOOD, "split": "val"}], "validation, test or external, got val", "validation?"),
        ([{**GOOD, "split": "tset"}], "must be train, validation, test or external", "mean test?"),
        ([{**GOOD, "split": "train"}, {**GOOD, "split": ""}], "for all rows or for none", "line 3"),
        ([{**GOOD, "Patient Name": "x"}], "must not identify a person", "remove the column"),
        ([{**GOOD, "participant_id": "x"}], "must not identify a person", "remove the column"),
        ([{**GOOD, "label": "n/a"}], "must hold at least one label", "data.label_column"),
        ([{**GOOD, "group": "x"}], "column group must have another name", "label_group"),
    ],
)
def test_a_wrong_table_is_refused_with_the_way_out(
    rows: list[dict[str, str]], message: str, hint: str | None
) -> None:
    with pytest.raises(LabelError) as caught:
        build_label_rows(rows)
    assert message in caught.value.message
    assert hint is None or hint in caught.value.hint
    assert caught.value.exit_code == 4


def test_no_message_holds_a_subject() -> None:
    rows = [{"subject": "Doe^Jane", "label": "x", "split": "here"}]
    with pytest.raises(LabelError) as caught:
        build_label_rows(rows)
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "positive", "names", "expected"),
    [
        (["sick", "healthy"], None, ("healthy", "sick"), "sick"),
        (["sick", "healthy"], "healthy", ("healthy", "sick"), "healthy"),
        (["10", "9"], None, ("9", "10"), "10"),
        (["b", "a", "c"], None, ("a", "b", "c"), None),
    ],
)
def test_classes_are_sorted_and_the_last_of_two_is_positive(
    labels: list[str], positive: str | None, names: tuple[str, ...], expected: str | None
) -> None:
    classes = build_classes(labels * 3, positive=positive)
    assert (classes.names, classes.positive) == (names, expected)


@pytest.mark.parametrize(
    ("labels", "positive", "message"),
    [
        (["a", "a"], None, "must number two or more, got 1"),
        (["healthy", "sick"], "sik", "must be one of healthy, sick, got sik"),
        (["a", "b", "c"], "a", "must number two, got 3"),
    ],
)
def test_impossible_classes_are_refused(
    labels: list[str], positive: str | None, message: str
) -> None:
    with pytest.raises(LabelError, match=message):
        build_classes(labels, positive=positive)


def test_a_label_that_bids_calls_missing_is_no_class() -> None:
    rows = [GOOD, {**GOOD, "label": "n/a"}, {**GOOD, "subject": "S3", "mask": "n/a"}]
    assert [(row.line, row.label, row.mask) for row in build_label_rows(rows)] == [
        (2, "sick", None),
        (4, "sick", None),
    ]


def test_participants_tsv_serves_as_the_table_of_labels() -> None:
    rows = [{"participant_id": "sub-01", "age": "40", "diagnosis": "sick"}]
    renamed = rename_columns(rows, subject_column=None, label_column="diagnosis")
    (row,) = build_label_rows(renamed)
    assert (row.subject, row.label, row.attributes) == ("sub-01", "sick", {"age": "40"})


def test_columns_that_are_named_rightly_are_left_alone() -> None:
    rows = [{**GOOD, "participant_id": "x"}]
    assert rename_columns(rows, subject_column=None, label_column=None) == rows
    assert rename_columns(rows, subject_column="subject", label_column="label") == rows
    assert rename_columns([], subject_column="a", label_column="b") == []


@pytest.mark.parametrize(
    ("column", "message", "hint"),
    [
        ("diagnosi", "must be a column of the labels, got diagnosi", "did you mean diagnosis?"),
        ("diagnosis", "must not have a column label besides diagnosis", "leave data.label_column"),
    ],
)
def test_a_column_that_is_none_is_refused(column: str, message: str, hint: str) -> None:
    with pytest.raises(LabelError) as caught:
        rename_columns([{**GOOD, "diagnosis": "x"}], subject_column=None, label_column=column)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
