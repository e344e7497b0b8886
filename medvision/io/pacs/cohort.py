"""Which studies are asked for: the lines of a table, or a range of dates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from medvision.errors import DataError
from medvision.io.pacs.part10 import is_uid
from medvision.io.tables import Row, read_table

COLUMNS = {
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
    "patient_id": "PatientID",
    "accession_number": "AccessionNumber",
}
"""Column of pacs.studies to the attribute that it is matched with."""

_MAX_LENGTH = 64
_FIRST_LINE = 2


@dataclass(frozen=True)
class Wish:
    """What one line of the table asks for.

    Args:
        line: Its line in pacs.studies; 0 where the dates alone say what is asked for.
        study: Attribute to value, for attributes of studies and patients; raw, never to be shown.
        series_uid: The one series that is asked for, or "" for all.
    """

    line: int
    study: Mapping[str, str]
    series_uid: str = ""


@dataclass(frozen=True)
class Cohort:
    """All that is asked for.

    Args:
        wishes: One or more.
        modalities: Modalities of the series; () for all.
        dates: DICOM range of study dates, such as `20240101-`; "" for all.
    """

    wishes: tuple[Wish, ...]
    modalities: tuple[str, ...]
    dates: str

    def list_matches(self, wish: Wish) -> list[dict[str, str]]:
        """Return the queries at study level that together find what a wish asks for.

        The modality is a key only where nothing narrower is: not every server knows it.
        """
        dates = {"StudyDate": self.dates} if self.dates else {}
        if wish.study or not self.modalities:
            return [{**wish.study, **dates}]
        return [{**dates, "ModalitiesInStudy": modality} for modality in self.modalities]

    def fits_date(self, date: str) -> bool:
        """Tell whether a study's date lies in the range: some servers ignore that key.

        Args:
            date: `YYYYMMDD` as the server returned it; a study without date is outside of any.
        """
        since, _, until = self.dates.partition("-")
        return not self.dates or bool(date and since <= date <= (until or "99999999"))

    def fits_modality(self, modality: str) -> bool:
        """Tell whether a series is of a modality that is asked for."""
        return not self.modalities or modality in self.modalities


def read_cohort(
    studies: Path | None, *, modalities: tuple[str, ...], since: str | None, until: str | None
) -> Cohort:
    """Read what is asked for.

    Args:
        studies: Table with one or more of the columns study_uid, series_uid, patient_id and
            accession_number; all that a line gives must match. None asks for all in the dates.
        modalities: Modalities of the series; () for all.
        since: First date of studies, `YYYY-MM-DD`.
        until: Last date of studies.

    Raises:
        DataError: The table cannot be read, lacks these columns, or a line gives none of them or
            one that cannot be asked for. No value is quoted: it may name a patient.
    """
    dates = _join_dates(since, until)
    if studies is None:
        return Cohort((Wish(0, {}),), modalities, dates)
    rows = read_table(studies)
    columns = [name for name in COLUMNS if rows and name in rows[0]]
    if not columns:
        raise DataError(
            f"{studies.name}: columns must include one of {', '.join(COLUMNS)}, and a line below "
            "them, got neither.",
            "name the column after what it holds.",
        )
    where = studies.name
    wishes = [_read_wish(row, columns, where, n) for n, row in enumerate(rows, _FIRST_LINE)]
    return Cohort(tuple(_drop_repeats(wishes)), modalities, dates)


def _join_dates(since: str | None, until: str | None) -> str:
    """Return a DICOM range of dates; "" for none.

    Source:
        PS3.4 C.2.2.2.5.
    """
    if since is None and until is None:
        return ""
    return f"{(since or '').replace('-', '')}-{(until or '').replace('-', '')}"


def _read_wish(row: Row, columns: list[str], where: str, line: int) -> Wish:
    """Check one line."""
    given = {name: row[name] for name in columns if row[name]}
    if not given:
        raise DataError(
            f"{where} line {line}: row must give one of {', '.join(columns)}, got empty cells.",
            "fill in the line or remove it.",
        )
    for name, value in given.items():
        if not (is_uid(value) if name.endswith("_uid") else _is_plain(value)):
            raise DataError(
                f"{where} line {line}: {name} must be one value of at most {_MAX_LENGTH} "
                "characters without *, ? and \\, got another (not shown: it may name a patient).",
                "write each value as the server holds it, one a line.",
            )
    series_uid = given.pop("series_uid", "")
    if not given:
        raise DataError(
            f"{where} line {line}: series_uid must stand beside study_uid, patient_id or "
            "accession_number, got it alone.",
            "add the study's UID: servers find a series by its study.",
        )
    study = {COLUMNS[name]: value for name, value in given.items()}
    return Wish(line, study, series_uid)


def _is_plain(value: str) -> bool:
    """Tell whether a value can be matched as it stands (PS3.4 C.2.2.2.4: no wildcard)."""
    return len(value) <= _MAX_LENGTH and value.isprintable() and not set(value) & set("*?\\")


def _drop_repeats(wishes: list[Wish]) -> Iterator[Wish]:
    """Yield each wish once, with the first line that has it."""
    seen = set()
    for wish in wishes:
        key = (frozenset(wish.study.items()), wish.series_uid)
        if key not in seen:
            seen.add(key)
            yield wish
