"""Tables come back as they were written, and a bad one is refused in words."""

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.errors import DataError
from medvision.io.tables import (
    format_cell,
    join_tables,
    read_columns,
    read_table,
    write_packed_table,
    write_table,
)

CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(str.strip)
"""All that a cell may hold: any text but for half characters, which have no bytes in UTF-8."""
LINES = st.lists(CELLS, max_size=2).map("\n".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@given(rows=st.lists(st.tuples(CELLS, CELLS).filter(any), max_size=5))
def test_what_is_written_is_read_back(rows: list[tuple[str, str]], folder: Path) -> None:
    table = [{"a": a, "b": b} for a, b in rows]
    write_table(folder / "t.tsv", table, columns=("a", "b"))
    assert read_table(folder / "t.tsv") == table


@given(rows=st.lists(st.tuples(CELLS, CELLS).filter(any), max_size=5))
def test_only_a_bare_carriage_return_is_quoted_in_another_way_than_the_library_does(
    rows: list[tuple[str, str]], folder: Path
) -> None:
    table = [{"a": a.replace("\r", ""), "b": b.replace("\r", "")} for a, b in rows]
    write_table(folder / "t.tsv", table, columns=("a", "b"))
    plain = io.StringIO(newline="")
    writer = csv.writer(plain, delimiter="\t", lineterminator="\n")
    writer.writerows([("a", "b"), *(row.values() for row in table)])
    assert (folder / "t.tsv").read_bytes() == plain.getvalue().encode()


@pytest.mark.parametrize(
    "cell",
    [
        *("two\nlines", "two\rlines", "two\r\nlines", "two\n\rlines", 'a "quoted" word', "a\tb"),
        *("\u2028", "x\x0by", "x\x1cy", "x\x85y", "x\0y", "x\ufeffy"),
    ],
)
def test_a_cell_may_hold_what_other_tools_take_for_a_line_end(cell: str, tmp_path: Path) -> None:
    write_table(tmp_path / "t.tsv", [{"a": "first", "b": cell}], columns=("a", "b"))
    assert read_table(tmp_path / "t.tsv") == [{"a": "first", "b": cell.strip()}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.tsv", "subject\tlabel\nS1\tyes\n"),
        ("t.csv", "subject,label\nS1,yes\n"),
        ("t.csv", "subject;label\nS1;yes\n"),
        ("t.csv", "subject\tlabel\nS1\tyes\n"),
        ("t.csv", "\ufeffsubject,label\r\nS1,yes\r\n"),
        ("t.csv", 'subject;label\rS1;"yes"\r'),
        ("t.csv", " subject , label \n\n S1 , yes \n , \n"),
        ("t.CSV", '"subject","label"\n"S1","yes"'),
    ],
    ids=["tsv", "csv", "semicolon", "tabs in csv", "Excel", "old Mac", "spaces", "quoted"],
)
def test_the_usual_spellings_of_a_table_are_read(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert read_table(tmp_path / name) == [{"subject": "S1", "label": "yes"}]


def test_a_comma_in_a_tsv_is_a_part_of_its_cell(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("a\tb\n1,5\t2;5\n")
    assert read_table(tmp_path / "t.tsv") == [{"a": "1,5", "b": "2;5"}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "must have a header line, got an empty file"),
        (b"\n\n , \n", "must have a header line"),
        (b"\xff\xfe\x00", "must be text in UTF-8, got another encoding at byte 0"),
        (b"a,a\n1,2\n", "columns must be unique, got a twice"),
        (b"a,b\n1\n", "line 2: row must have 2 cells, got 1"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: row must have 2 cells, got 3"),
        (b"a,b\n1," + b"x" * 200_000 + b"\n", "must be readable, got field larger"),
    ],
    ids=["empty", "blank", "binary", "repeated", "short", "long", "huge"],
)
def test_a_bad_table_is_refused_in_words(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"^labels\.csv.*{words}"):
        read_table(tmp_path / "labels.csv")


def test_a_missing_table_is_named_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^none\.csv: table must be a readable file") as caught:
        read_table(tmp_path / "none.csv")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("Subject,label", "did you mean Subject? Rename it to subject."),
        ("subjct,label", "did you mean subjct? Rename it to subject."),
        ("patient,label", "add a column subject."),
    ],
)
def test_a_missing_column_is_named_with_the_one_that_was_meant(
    header: str, hint: str, tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text(f"{header}\nS1,yes\n")
    with pytest.raises(DataError, match="columns must include subject") as caught:
        read_table(tmp_path / "labels.csv", required=("subject", "label"))
    assert caught.value.hint == hint


def test_an_error_in_a_table_quotes_no_cell(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("subject,label\nDOE^JANE\n")
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "labels.csv", required=("subject", "label"))
    assert "DOE" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.333333333"),
        (1e-12, "1e-12"),
        (123456789.0, "123456789"),
        ("", ""),
    ],
)
def test_a_value_has_one_text(value: object, text: str) -> None:
    assert format_cell(value) == text  # type: ignore[arg-type]


def test_columns_come_in_the_order_asked_and_missing_ones_are_empty(tmp_path: Path) -> None:
    write_table(tmp_path / "t.tsv", [{"b": 1, "z": 9}], columns=("b", "a"))
    assert (tmp_path / "t.tsv").read_bytes() == b"b\ta\n1\t\n"


def test_rows_that_fail_halfway_leave_the_old_table(tmp_path: Path) -> None:
    write_table(tmp_path / "t.tsv", [{"a": 1}], columns=("a",))

    def rows():
        yield {"a": 2}
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_table(tmp_path / "t.tsv", rows(), columns=("a",))
    assert read_table(tmp_path / "t.tsv") == [{"a": "1"}]
    assert len(list(tmp_path.iterdir())) == 1


def test_packed_table_is_the_plain_one_through_gzip_the_same_at_any_time(tmp_path: Path) -> None:
    rows = [{"a": 1, "b": 0.1}, {"a": None, "b": True}]
    plain, packed, later = (tmp_path / name for name in ("t.tsv", "t.tsv.gz", "other.tsv.gz"))
    write_table(plain, rows, columns=("a", "b"))
    write_packed_table(packed, iter(rows), columns=("a", "b"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: 1e9)
        write_packed_table(later, rows, columns=("a", "b"))
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert packed.read_bytes() == later.read_bytes()


@given(rows=st.lists(st.tuples(LINES, LINES), max_size=6), cut=st.integers(0, 6))
def test_joined_parts_are_the_bytes_of_one_table(
    rows: list[tuple[str, str]], cut: int, folder: Path
) -> None:
    columns = ("first, \n", "second")
    named = [dict(zip(columns, row, strict=True)) for row in rows]
    parts = [folder / "a.tsv", folder / "b.tsv"]
    for path, own in zip(parts, (named[:cut], named[cut:]), strict=True):
        write_table(path, own, columns=columns)
    write_table(folder / "whole.tsv", named, columns=columns)
    assert join_tables(folder / "joined.tsv", parts) == len(rows)
    assert (folder / "joined.tsv").read_bytes() == (folder / "whole.tsv").read_bytes()


@pytest.mark.parametrize("text", ["first\tother\n", "", None])
def test_a_part_of_another_kind_leaves_the_old_table(text: str | None, tmp_path: Path) -> None:
    write_table(tmp_path / "a.tsv", [{"first": 1, "second": 2}], columns=("first", "second"))
    if text is not None:
        (tmp_path / "b.tsv").write_text(text)
    (tmp_path / "joined.tsv").write_text("old")
    with pytest.raises(DataError):
        join_tables(tmp_path / "joined.tsv", [tmp_path / "a.tsv", tmp_path / "b.tsv"])
    assert (tmp_path / "joined.tsv").read_text() == "old"


@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS).filter(any), max_size=5))
def test_columns_read_one_by_one_are_those_of_the_table(
    rows: list[tuple[str, str, str]], folder: Path
) -> None:
    path = folder / "columns.tsv"
    write_table(path, [dict(zip("abc", row, strict=True)) for row in rows], columns=tuple("abc"))
    expected = [{"c": row["c"], "a": row["a"], "d": ""} for row in read_table(path)]
    assert list(read_columns(path, ("c", "a"), optional=("d",))) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "columns must include a"),
        (b"b\tc\n1\t2\n", "columns must include a"),
        (b"a\tb\n1\n", "line 2: row must have 2 cells, got 1"),
        (b"a\tb\n1\t\xff\n", "must be as its step wrote it"),
        (b"a\tb\n1\t" + b"x" * 200_000 + b"\n", "must be as its step wrote it"),
        (None, "must be a readable file"),
    ],
    ids=["empty", "other", "short", "binary", "huge", "absent"],
)
def test_columns_of_a_bad_table_are_refused_in_words(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "t.tsv").write_bytes(content)
    with pytest.raises(DataError, match=rf"^t\.tsv.*{words}"):
        list(read_columns(tmp_path / "t.tsv", ("a",)))
