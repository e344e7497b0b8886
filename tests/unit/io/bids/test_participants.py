"""Who the subjects are: three columns in and out, under pseudonyms, ages capped."""

import json

import pytest

from medvision.io.bids.participants import (
    Person,
    gather_people,
    read_people,
    write_participants,
)
from medvision.io.deidentify import Pseudonymiser
from medvision.io.tables import read_table

NAMES = Pseudonymiser(bytes(range(16)))


def write_source(folder, lines, units=None):
    (folder / "participants.tsv").write_text("\n".join("\t".join(line) for line in lines) + "\n")
    if units is not None:
        (folder / "participants.json").write_text(json.dumps({"age": {"Units": units}}))


HEAD = ("participant_id", "age", "sex", "name")


def test_three_columns_are_read_and_the_rest_is_not(tmp_path):
    lines = [HEAD, ("sub-01", "34", "female", "CANARY"), ("sub-02", "n/a", "M", "CANARY")]
    write_source(tmp_path, lines)
    people = read_people(tmp_path, NAMES)
    first, second = NAMES.subject("01"), NAMES.subject("sub-02")
    assert people == {first: Person(first, 34.0, "F"), second: Person(second, None, "M")}
    assert "CANARY" not in repr(people)


@pytest.mark.parametrize(
    ("units", "age", "expected"),
    [
        (None, "34", 34.0),
        ("years", "34.5", 34.5),
        ("month", "18", 1.5),
        ("days", "365.25", 1.0),
        ("parsec", "34", None),
        (None, "89+", 89.0),
        (None, "-1", None),
        (None, "nan", None),
        (None, "Jane", None),
    ],
)
def test_ages_come_in_years_or_not_at_all(tmp_path, units, age, expected):
    write_source(tmp_path, [HEAD, ("sub-01", age, "x", "")], units)
    (person,) = read_people(tmp_path, NAMES).values()
    assert person.sex == ""
    write_participants(tmp_path / "out.tsv", [person])
    (row,) = read_table(tmp_path / "out.tsv")
    assert row["age"] == ("n/a" if expected is None else f"{expected:g}")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"age\tsex\n1\tM\n", b'"never closed'])
def test_a_table_that_is_none_is_passed_over(tmp_path, content):
    (tmp_path / "participants.tsv").write_bytes(content)
    assert read_people(tmp_path, NAMES) == {}
    assert read_people(tmp_path / "missing", NAMES) == {}


def row(subject, *, date="", age="", sex=""):
    return {"subject": subject, "date": date, "age": age, "sex": sex}


def test_the_age_is_that_of_the_first_study_and_a_disputed_sex_is_none():
    rows = [
        row("sub-b", date="2021-01-01", age="41", sex="F"),
        row("sub-b", date="2019-01-01", age="39", sex="F"),
        row("sub-a", sex="M"),
        row("sub-a", sex="F"),
        row("sub-c"),
    ]
    given = {
        "sub-a": Person("sub-a", 50.0, "F"),
        "sub-b": Person("sub-b", 12.0, "M"),
        "sub-c": Person("sub-c", 7.0, "O"),
        "sub-d": Person("sub-d", 7.0, "O"),
    }
    assert gather_people(rows, given) == [
        Person("sub-a", 50.0, ""),
        Person("sub-b", 39.0, "F"),
        Person("sub-c", 7.0, "O"),
    ]
    assert gather_people([], given) == []


def test_the_table_is_bidss_with_ages_capped(tmp_path):
    people = [Person("sub-a", 93.0, "F"), Person("sub-b", None, ""), Person("sub-c", 1.504, "M")]
    table, described = write_participants(tmp_path / "participants.tsv", people)
    assert table.read_text().splitlines() == [
        "participant_id\tage\tsex",
        "sub-a\t89\tF",
        "sub-b\tn/a\tn/a",
        "sub-c\t1.5\tM",
    ]
    assert json.loads(described.read_text())["age"]["Units"] == "year"
