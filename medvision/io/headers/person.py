"""Whom an image is of, and when it was made, under pseudonyms: all that translation lets out."""

import unicodedata
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from medvision.io.deidentify import Pseudonymiser, cap_age, parse_age
from medvision.io.dicom.values import Texts, read_softly, read_text

_SEXES = frozenset(("M", "F", "O"))
_MAX_AGE_YEARS = 130
_CACHED = 512
_MIN_LETTERS = 4
_NO_NAMES = ("anon", "deid", "noname", "nobody", "unknown", "unnamed", "patient", "test", "xxxx")
_NO_BIRTH_DATES = frozenset(("18000101", "18500101", "18581117", "19000101", "19700101"))


@dataclass(frozen=True)
class Person:
    """Whom an image is of, and to which study and series it belongs.

    Args:
        subject: Pseudonym of issuer and identifier; of the study where the header names nobody.
        subject_key: Pseudonym of the identifier alone.
        study_uid: Pseudonym of the study's UID, or of the series' where the header has none.
        series_uid: Pseudonym of the series' UID; empty where the header has none.
        image_key: Pseudonym of the user's name of the series; empty with it.
        image_name: Id of the first image of the series; empty with it.
        date: Date of the study, shifted by the subject's own number of days; empty where unknown.
    """

    subject: str
    subject_key: str
    study_uid: str
    series_uid: str
    image_key: str
    image_name: str
    date: str


def read_person(header: Texts, names: Pseudonymiser, *, file: str) -> Person:
    """Read whom an image is of.

    Args:
        header: Attributes of the top level.
        names: Makes pseudonyms.
        file: Pseudonymous id of the file: stands for the study where the header names none.

    Raises:
        RefusalError: An identifier cannot be parsed.

    Source:
        PS3.3 C.7.1.1 (patient), C.7.2.1 (study), C.7.3.1 (series).
    """
    series_uid = read_text(header, "SeriesInstanceUID")
    study_uid = read_text(header, "StudyInstanceUID") or series_uid
    identifier = read_text(header, "PatientID")
    return _name_person(
        names,
        identifier,
        issuer=read_text(header, "IssuerOfPatientID") if identifier else "",
        study=study_uid,
        series=series_uid,
        day=_read_softly(header, "StudyDate"),
        stand_in=file if not (identifier or study_uid) else "",
    )


@lru_cache(maxsize=_CACHED)
def _name_person(
    names: Pseudonymiser,
    identifier: str,
    *,
    issuer: str,
    study: str,
    series: str,
    day: str,
    stand_in: str,
) -> Person:
    """Make the pseudonyms that all files of a series have in common, once."""
    if identifier:
        subject = names.subject(identifier, issuer=issuer)
        # Files of one person keep their intervals although some of them lack the issuer.
        clock = names.subject(identifier)
    else:
        subject = clock = names.subject(f"study {study or stand_in}")
    return Person(
        subject=subject,
        subject_key=clock,
        study_uid=name_uid(names, study),
        series_uid=name_uid(names, series),
        image_key=names.image_key(series) if series else "",
        image_name=names.image_id(f"{series}/0", subject=subject) if series else "",
        date=names.shift_date(day, subject=clock),
    )


@lru_cache(maxsize=_CACHED)
def name_uid(names: Pseudonymiser, uid: str) -> str:
    """Return the pseudonym of a UID that many files share, "" where there is none."""
    return names.uid(uid) if uid else ""


def read_age(header: Texts) -> float | None:
    """Read the age at the study in years, capped; None where it is not known.

    What the header states counts first; else whole years, or whole months before the second
    birthday, from the birth date to the study date.

    Source:
        PS3.3 C.7.2.2 (PatientAge), C.7.1.1 (PatientBirthDate); 45 CFR 164.514(b)(2)(i)(C).
    """
    age = parse_age(_read_softly(header, "PatientAge"))
    if age is None:
        age = _count_years(
            _read_softly(header, "PatientBirthDate"), _read_softly(header, "StudyDate")
        )
    return None if age is None else cap_age(age)


@lru_cache(maxsize=_CACHED)
def _count_years(birth: str, study: str) -> float | None:
    """Return the age between two dates, YYYYMMDD."""
    try:
        born, seen = date.fromisoformat(birth), date.fromisoformat(study)
    except ValueError:
        return None
    months = 12 * (seen.year - born.year) + seen.month - born.month - (seen.day < born.day)
    if not 0 <= months <= 12 * _MAX_AGE_YEARS:
        return None
    return float(months // 12) if months >= 24 else months / 12


def read_sex(header: Texts) -> str:
    """Read M, F or O, "" where another value or none is given (PS3.3 C.7.1.1)."""
    sex = _read_softly(header, "PatientSex").upper()
    return sex if sex in _SEXES else ""


def read_person_key(header: Texts, names: Pseudonymiser) -> str:
    """Read who an image is of whatever the identifier: a keyed hash of name, birth date and sex.

    Args:
        header: Attributes of the top level.
        names: Makes pseudonyms.

    Returns:
        `person-<24 hex>`; "" where the name or birth date is missing or a placeholder.

    Source:
        PS3.3 C.7.1.1 (PatientName, PatientBirthDate, PatientSex); PS3.5 6.2.1 (PN).
    """
    return _name_key(
        names,
        _read_softly(header, "PatientName"),
        birth_date=_read_softly(header, "PatientBirthDate").strip(),
        sex=read_sex(header),
    )


@lru_cache(maxsize=_CACHED)
def _name_key(names: Pseudonymiser, name: str, *, birth_date: str, sex: str) -> str:
    """Make the key of one person, once for all files of a series."""
    letters = _normalise_name(name)
    has_name = len(letters) >= _MIN_LETTERS and not letters.startswith(_NO_NAMES)
    if not has_name or birth_date in _NO_BIRTH_DATES:
        return ""
    try:
        born = date.fromisoformat(birth_date)
    except ValueError:
        return ""
    return names.person_key(letters, birth_date=born.strftime("%Y%m%d"), sex=sex)


def _normalise_name(name: str) -> str:
    """Return the letters of family and given name, without accents, case or separators."""
    family_given = name.partition("=")[0].split("^")[:2]
    plain = unicodedata.normalize("NFKD", "".join(family_given)).casefold()
    return "".join(letter for letter in plain if letter.isalpha())


def _read_softly(header: Texts, keyword: str) -> str:
    """Return an attribute's first text, "" where it cannot be parsed: no image depends on it."""
    return next(iter(read_softly(header, keyword)), "")
