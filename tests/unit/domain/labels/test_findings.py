"""Findings: two forms of one table, what is not known, and what a cell may not say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.labels.findings import (
    build_findings,
    join_findings,
    name_findings,
    parse_findings,
    split,
)
from medvision.domain.labels.rows import Classes
from medvision.domain.splits.kinds import list_present, name_kinds
from medvision.errors import LabelError

NAMES = ("Effusion", "Nodule")


def join(*cells: tuple[str, str], wanted=NAMES):
    rows = [{"subject": "s", "Effusion": a, "Nodule": b, "site": "x"} for a, b in cells]
    return join_findings(rows, wanted)


def join_text(*labels: str, wanted=()):
    return [row["label"] for row in join_findings([{"label": text} for text in labels], wanted)]


def test_columns_of_one_and_nought_become_one_label():
    joined = join(("1", "0"), ("0", "1.0"), ("1", "1"), ("0", "0"))
    assert [row["label"] for row in joined] == [
        *("Effusion", "Nodule", "Effusion|Nodule", "No Finding"),
    ]
    assert all(set(row) == {"subject", "site", "label"} for row in joined)


@pytest.mark.parametrize("missing", ["", "n/a", " N/A "])
def test_an_empty_cell_is_not_known_and_not_absent(missing):
    (row,) = join(("1", missing))
    assert row["label"] == "Effusion|Nodule?"
    np.testing.assert_array_equal(parse_findings([row["label"]], NAMES), [[1, np.nan]])


def test_a_row_of_which_nothing_is_known_has_no_label():
    assert join(("", "n/a"))[0]["label"] == "n/a"


@pytest.mark.parametrize("cell", ["yes", "2", "-1", "0.5"])
def test_another_value_is_refused_with_its_line(cell):
    with pytest.raises(LabelError, match=f"labels line 3: Nodule must be 1, 0, .*got {cell}"):
        join(("1", "0"), ("1", cell))


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(LabelError, match="got no column Nodul") as error:
        join(("1", "0"), wanted=("Effusion", "Nodul"))
    assert error.value.hint == "did you mean Nodule?"


def test_names_joined_in_the_label_come_into_one_order():
    assert join_text("Nodule|Effusion", "Effusion | Nodule", "No Finding", "", "n/a") == [
        *("Effusion|Nodule", "Effusion|Nodule", "No Finding", "No Finding", "n/a"),
    ]


def test_findings_that_are_not_wanted_are_left_out():
    assert join_text("Mass|Nodule", "Mass", wanted=("Nodule",)) == ["Nodule", "No Finding"]


@pytest.mark.parametrize("cell", ["Mass|Mass", "No Finding|Mass", "Mass|", "Mass|Mass?"])
def test_a_cell_that_contradicts_itself_is_refused(cell):
    with pytest.raises(LabelError, match="labels line 2: findings must be unlike names"):
        join_text(cell)


@pytest.mark.parametrize("name", ["No Finding", "a|b", "mass?", " "])
def test_a_name_that_no_cell_could_hold_is_refused(name):
    with pytest.raises(LabelError, match=r"data\.findings: finding must be a name"):
        join_findings([], [name])


@given(st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_what_is_written_is_read(there, unknown):
    unknown -= there
    label = name_findings(sorted(there), sorted(unknown))
    values = parse_findings([label], tuple("abcdef"))[0]
    for name, value in zip("abcdef", values, strict=True):
        expected = 1.0 if name in there else np.nan if name in unknown else 0.0
        np.testing.assert_equal(value, expected)
    none = set() if unknown else {"No Finding"}
    assert set(list_present(label, "multilabel")) == (there or none)
    assert len(split(label)) == len(there) + len(unknown)


def test_all_names_of_the_labels_are_findings_unless_some_are_wanted():
    labels = ["b|a", "No Finding", "c", "a?|b"]
    assert build_findings(labels, wanted=()).names == ("a", "b", "c")
    assert build_findings(labels, wanted=("c", "a")).names == ("c", "a")


def test_a_finding_that_tells_no_images_apart_is_refused():
    with pytest.raises(LabelError, match=r"finding a must be there in some images .* got 2 and 0"):
        build_findings(["a", "a|b"], wanted=())
    with pytest.raises(LabelError, match=r"finding x .* got 0 and 2"):
        build_findings(["a", "b"], wanted=("x",))
    with pytest.raises(LabelError, match="a finding must be there"):
        build_findings(["No Finding"], wanted=())


def test_what_is_not_known_counts_under_no_name():
    classes = Classes(NAMES, None, "multilabel")
    assert name_kinds(["Effusion|Nodule?", "No Finding"], classes) == {
        "Effusion|Nodule?": ("Effusion",),
        "No Finding": ("no Effusion", "no Nodule"),
    }
