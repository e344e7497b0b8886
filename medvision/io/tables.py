"""Tables: TSV or CSV in, TSV out; every cell is text."""

import csv
import difflib
import gzip
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from medvision.errors import DataError
from medvision.runtime.files import writing

Row = dict[str, str]
Cell = str | int | float | bool | None

_FIRST_LINE = 2
_QUOTED_END = "\r\n"
_LINE_END = re.compile(r"[\r\n]")
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How .xlsx, .ods and .xls files begin."""


def read_table(path: Path, *, required: Sequence[str] = ()) -> list[Row]:
    """Read a table with a header line.

    Args:
        path: `.tsv` is separated by tabs, everything else by commas (or semicolons, when the
            header has those and no comma; then tabs).
        required: Columns that must be there.

    Returns:
        One dict per line, column to stripped text; empty cells are "".

    Raises:
        DataError: The file cannot be read, is no table, or lacks a column.
    """
    text = _read_text(path)
    lines = _split(text, _choose_delimiter(path, text), where=path.name)
    if not lines:
        raise DataError(
            f"{path.name}: table must have a header line, got an empty file.",
            "write the names of the columns into its first line.",
        )
    header = [name.strip() for name in lines[0]]
    _check_header(header, required, where=path.name)
    return [
        _read_row(header, line, where=f"{path.name} line {n}")
        for n, line in enumerate(lines[1:], _FIRST_LINE)
    ]


def read_columns(
    path: Path, required: Sequence[str], *, optional: Sequence[str] = ()
) -> Iterator[Row]:
    """Yield some columns of a TSV that a step wrote, row by row: none is held.

    Args:
        path: As `write_table` writes it.
        required: Columns that must be there.
        optional: Columns that are "" where they are not there.

    Yields:
        One dict per line, column to stripped text.

    Raises:
        DataError: The file cannot be read, is no table, or lacks a column.
    """
    with _open_table(path) as stream:
        lines = _list_lines(stream, where=path.name)
        header = [name.strip() for name in next(lines, [])]
        _check_header(header, required, where=path.name)
        at = [(name, header.index(name)) for name in (*required, *optional) if name in header]
        absent = {name: "" for name in optional if name not in header}
        for number, line in enumerate(lines, _FIRST_LINE):
            if len(line) != len(header):
                _read_row(header, line, where=f"{path.name} line {number}")
            yield {**absent, **{name: line[place].strip() for name, place in at}}


def _list_lines(stream: TextIO, *, where: str) -> Iterator[list[str]]:
    """Yield the lines of a TSV as cells; empty lines are dropped."""
    try:
        yield from (line for line in csv.reader(stream, delimiter="\t") if line)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(
            f"{where}: table must be as its step wrote it, got a line that cannot be read.",
            "run its step again.",
        ) from error


def _read_text(path: Path) -> str:
    """Return a table's text, or say in plain words why there is none."""
    try:
        # Line ends as they are: one in a cell is a part of it.
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return stream.read()
    except UnicodeDecodeError as error:
        is_spreadsheet = error.object.startswith(_SPREADSHEETS)
        found = "a spreadsheet" if is_spreadsheet else f"another encoding at byte {error.start}"
        raise DataError(
            f"{path.name}: table must be text in UTF-8, got {found}.",
            "save it as CSV UTF-8 (Excel: Save As, CSV UTF-8).",
        ) from error
    except OSError as error:
        # The system's own words would repeat the whole path.
        reason = "no such file" if not path.exists() else error.strerror or type(error).__name__
        raise DataError(
            f"{path.name}: table must be a readable file, got: {reason.lower()}.",
            f"check the path; paths are relative to the working directory, {Path.cwd()}.",
        ) from error


def _split(text: str, delimiter: str, *, where: str) -> list[list[str]]:
    """Split a text into lines of cells; empty lines are dropped."""
    # Not str.splitlines, which also splits at characters that a cell may hold.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [line for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise DataError(
            f"{where}: table must be readable, got {error}.",
            "look for a quotation mark that is never closed.",
        ) from error


def _choose_delimiter(path: Path, text: str) -> str:
    """Tabs by suffix; else a comma, or what spreadsheets write where the header has no comma."""
    if path.suffix.lower() in {".tsv", ".tab"}:
        return "\t"
    header = _LINE_END.split(text, maxsplit=1)[0]
    return next((mark for mark in ",;\t" if mark in header), ",")


def _check_header(header: list[str], required: Sequence[str], *, where: str) -> None:
    """Refuse a header with repeated or missing columns."""
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DataError(
            f"{where}: columns must be unique, got {', '.join(repeated)} twice.",
            "rename or remove one of them.",
        )
    for name in required:
        if name not in header:
            raise DataError(
                f"{where}: columns must include {name}, got {', '.join(header)}.",
                _suggest_column(name, header),
            )


def _suggest_column(name: str, header: list[str]) -> str:
    """Name the column that was probably meant."""
    lowered = {column.lower(): column for column in header}
    close = difflib.get_close_matches(name, list(lowered), n=1, cutoff=0.6)
    if close:
        return f"did you mean {lowered[close[0]]}? Rename it to {name}."
    return f"add a column {name}."


def _read_row(header: list[str], line: list[str], *, where: str) -> Row:
    """Pair a line's cells with the header."""
    if len(line) != len(header):
        raise DataError(
            f"{where}: row must have {len(header)} cells, got {len(line)}.",
            "give each line as many cells as the first; quote a cell that holds the separator.",
        )
    return {name: cell.strip() for name, cell in zip(header, line, strict=True)}


def write_table(path: Path, rows: Iterable[Mapping[str, Cell]], *, columns: Sequence[str]) -> None:
    """Write a TSV with the given columns, in the given order of rows.

    Floats are written with nine significant digits, `None` as an empty cell.
    """
    with writing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        _write_rows(stream, rows, columns=columns)


def join_tables(path: Path, parts: Sequence[Path]) -> int:
    """Write the rows of several tables of one kind, one table after the other.

    Cells stay as they are, to the byte, and rows need not fit in memory.

    Args:
        path: The TSV to write.
        parts: TSVs as `write_table` writes them, at least one.

    Returns:
        How many rows there are.

    Raises:
        DataError: A table is missing, empty, or has other columns than the first.
    """
    count = itertools.count()
    with writing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        write_lines(stream, _chain_lines(parts, count))
    return next(count)


def _chain_lines(parts: Sequence[Path], count: Iterator[int]) -> Iterator[list[str]]:
    """Yield the header that all parts must have, then their rows, counting these."""
    columns: list[str] | None = None
    for part in parts:
        with _open_table(part) as held:
            lines = csv.reader(held, delimiter="\t")
            own = next(lines, [])
            if columns is None:
                columns = own
                yield columns
            _check_columns(part, own, columns=columns, like=parts[0])
            for line in lines:
                next(count)
                yield line


def _open_table(path: Path) -> TextIO:
    """Open a TSV for reading, line ends as they are."""
    try:
        return path.open(encoding="utf-8", newline="")
    except OSError as error:
        raise DataError(
            f"{path.name}: table must be a readable file, got none.", "run its step again."
        ) from error


def _check_columns(path: Path, own: Sequence[str], *, columns: Sequence[str], like: Path) -> None:
    """Refuse a table without a header, or with another than the first has."""
    if not own or own != columns:
        where = f"{path.parent.name}/{path.name}"
        raise DataError(
            f"{where}: columns must be those of {like.parent.name}/{like.name}, got others.",
            "run the steps that wrote them again.",
        )


def write_packed_table(
    path: Path, rows: Iterable[Mapping[str, Cell]], *, columns: Sequence[str]
) -> None:
    """Write a TSV as `write_table` does, through gzip: without name and clock, so that it repeats.

    Rows are written as they come, and need not fit in memory.
    """
    with (
        writing(path) as temporary,
        temporary.open("wb") as plain,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=plain, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as stream,
    ):
        _write_rows(stream, rows, columns=columns)


def _write_rows(
    stream: TextIO, rows: Iterable[Mapping[str, Cell]], *, columns: Sequence[str]
) -> None:
    """Write header and rows."""
    cells = ([format_cell(row.get(name)) for name in columns] for row in rows)
    write_lines(stream, itertools.chain([columns], cells))


def write_lines(stream: TextIO, lines: Iterable[Sequence[str]]) -> None:
    """Write lines of cells as a TSV; a cell is quoted where it would not be read back else.

    Args:
        stream: Text that is written without any change of line ends.
        lines: Cells of each line; they are written as they come.
    """
    csv.writer(_OwnLineEnds(stream), delimiter="\t", lineterminator=_QUOTED_END).writerows(lines)


class _OwnLineEnds:
    """Ends lines in LF alone, though `csv` was told CR LF: it quotes what its line end holds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> int:
        return self._stream.write(line.removesuffix(_QUOTED_END) + "\n")


def format_cell(value: Cell) -> str:
    """Return a cell's text: equal values give equal text on every machine."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.9g}"
    return str(value)
