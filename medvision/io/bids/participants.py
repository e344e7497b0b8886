"""participants.tsv, in and out: who the subjects are, as far as studies of groups need it."""

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medvision.domain.record import JsonValue
from medvision.errors import DataError
from medvision.io.deidentify import Pseudonymiser
from medvision.io.tables import Row, read_table, write_table
from medvision.runtime.files import read_json, write_json

PARTICIPANTS_COLUMNS = ("participant_id", "age", "sex")
OLDEST_YEARS = 89.0
"""BIDS's highest age; it stands for all above it too."""

_MOST_BYTES = 1 << 26
_MISSING = "n/a"
_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}
_PER_YEAR = {"year": 1.0, "month": 12.0, "week": 365.25 / 7, "day": 365.25}

_DESCRIPTION: JsonValue = {
    "participant_id": {"Description": "Pseudonym of the subject"},
    "age": {
        "LongName": "Subject age",
        "Description": "Age at the first study, 89 for that and every higher age",
        "Units": "year",
    },
    "sex": {
        "Description": "Sex as the images' headers or the source's participants.tsv state it",
        "Levels": {"M": "male", "F": "female", "O": "other"},
    },
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Person:
    """A subject in the words of participants.tsv.

    Args:
        subject: Pseudonym, `sub-<10 hex>`.
        age_years: Age at the first study; None where unknown.
        sex: M, F, O or empty.
    """

    subject: str
    age_years: float | None
    sex: str


def read_people(source: Path, names: Pseudonymiser) -> dict[str, Person]:
    """Read age and sex from a dataset's participants.tsv; every other column stays unread.

    Args:
        source: Folder that may hold the file.
        names: Gives the subjects their pseudonyms.

    Returns:
        Pseudonym to person; empty where there is no such file, or none that can be read.
    """
    path = source / "participants.tsv"
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return {}
        rows = read_table(path, required=("participant_id",))
    except (DataError, OSError):
        _log.warning("participants.tsv of the input cannot be read: age and sex stay unknown.")
        return {}
    per_year = _read_unit(path.with_suffix(".json"))
    people = (_read_person(row, names, per_year=per_year) for row in rows)
    return {person.subject: person for person in people if person}


def gather_people(rows: Iterable[Mapping[str, str]], given: Mapping[str, Person]) -> list[Person]:
    """Gather the subjects of a manifest.

    Args:
        rows: Rows with subject, date, age and sex.
        given: What the input's own participants.tsv says; it fills in what the images lack.

    Returns:
        One person per subject, sorted; the age at the earliest study that has one; no sex where
        studies disagree.
    """
    by_subject: defaultdict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        by_subject[row["subject"]].append(row)
    return [
        _join(subject, by_subject[subject], given.get(subject)) for subject in sorted(by_subject)
    ]


def write_participants(path: Path, people: Iterable[Person]) -> tuple[Path, Path]:
    """Write participants.tsv and the JSON that describes its columns.

    Args:
        path: The table; the JSON lies beside it.
        people: Subjects under their pseudonyms.

    Returns:
        Both paths.

    Raises:
        StorageError: The folder cannot be written.

    Source:
        BIDS 1.10, data summary files, participants file.
    """
    rows = [
        {
            "participant_id": person.subject,
            "age": _format_age(person.age_years),
            "sex": person.sex or _MISSING,
        }
        for person in people
    ]
    write_table(path, rows, columns=PARTICIPANTS_COLUMNS)
    write_json(path.with_suffix(".json"), _DESCRIPTION)
    return path, path.with_suffix(".json")


def _read_person(row: Row, names: Pseudonymiser, *, per_year: float) -> Person | None:
    """Return one line's subject, None without a name."""
    name = row["participant_id"].strip()
    if not name or name.lower() == _MISSING:
        return None
    age = _parse_age(row.get("age", ""))
    sex = _SEXES.get(row.get("sex", "").strip().lower(), "")
    return Person(names.subject(name), None if age is None else age / per_year, sex)


def _read_unit(path: Path) -> float:
    """Return how many of the age's units a year has; not a number where they are unknown."""
    try:
        described = read_json(path) if path.is_file() else {}
    except DataError:
        return math.nan
    age = described.get("age") if isinstance(described, dict) else None
    unit = age.get("Units", "year") if isinstance(age, dict) else "year"
    known = unit.strip().lower().rstrip("s") if isinstance(unit, str) else ""
    return _PER_YEAR.get("year" if known in ("y", "yr", "") else known, math.nan)


def _parse_age(text: str) -> float | None:
    """Return a number of the age's units, None where the text is none."""
    try:
        age = float(text.strip().removesuffix("+"))
    except ValueError:
        return None
    return age if math.isfinite(age) and age >= 0 else None


def _join(subject: str, rows: Iterable[Mapping[str, str]], given: Person | None) -> Person:
    """Join what a subject's images say."""
    held = list(rows)
    aged = sorted((row["date"], row["age"]) for row in held if row["age"])
    age = _parse_age(aged[0][1]) if aged else None
    sexes = {row["sex"] for row in held if row["sex"]}
    sex = sexes.pop() if len(sexes) == 1 else ""
    if given is None:
        return Person(subject, age, sex)
    is_disputed = len(sexes) > 0
    return Person(
        subject,
        given.age_years if age is None else age,
        sex or ("" if is_disputed else given.sex),
    )


def _format_age(age_years: float | None) -> str:
    """Return an age as the table holds it, capped."""
    if age_years is None or not math.isfinite(age_years):
        return _MISSING
    return f"{min(round(age_years, 2), OLDEST_YEARS):g}"
