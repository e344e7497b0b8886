"""What a server holds of what is asked for: studies, their series, the series' instances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from medvision.errors import DataError
from medvision.io.pacs.cohort import Cohort, Wish
from medvision.io.pacs.part10 import is_uid
from medvision.io.pacs.reasons import RefusedError, TransientError
from medvision.io.pacs.retry import Policy, ask

Level = Literal["STUDY", "SERIES", "IMAGE"]
Row = Mapping[str, str]
"""Keyword to text of one match; raw, never to be shown."""

KEYS: dict[Level, tuple[str, ...]] = {
    "STUDY": (
        "StudyInstanceUID",
        "StudyDate",
        "PatientID",
        "AccessionNumber",
        "NumberOfStudyRelatedSeries",
    ),
    "SERIES": (
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "Modality",
        "NumberOfSeriesRelatedInstances",
    ),
    "IMAGE": ("SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"),
}
"""Attributes asked for at each level (PS3.4 tables C.6-2, C.6-3, C.6-4)."""


@dataclass(frozen=True)
class SeriesEntry:
    """One series to be pulled.

    Args:
        line: Line of pacs.studies that asks for it; 0 for none.
        study_uid: Raw.
        series_uid: Raw.
        expected: NumberOfSeriesRelatedInstances; None where the server does not count.
    """

    line: int
    study_uid: str
    series_uid: str
    expected: int | None


@dataclass(frozen=True)
class InstanceEntry:
    """One instance as the server lists it.

    Args:
        sop_uid: Raw.
        sop_class: "" where the server does not say.
    """

    sop_uid: str
    sop_class: str


@dataclass(frozen=True)
class Gap:
    """Something asked for that no series could be listed of.

    Args:
        line: Line of pacs.studies that asks for it; 0 for none.
        study_uid: Raw; "" where not even the study is known.
        reason: A key of REASONS.
    """

    line: int
    study_uid: str
    reason: str


class Server(Protocol):
    """What a protocol must be able to do; every fault is one of reasons.py, or a DataError."""

    def find(self, level: Level, match: Mapping[str, str]) -> Sequence[Row]:
        """Return the matches with the attributes KEYS of the level that the server has."""

    def fetch(self, series: SeriesEntry, instances: Sequence[InstanceEntry] | None) -> None:
        """Have a series, or these instances of it alone, sent into the archive."""

    def fail_silent(self) -> DataError:
        """Return the error of a server that does not answer."""

    def close(self) -> None:
        """End all connections."""


def list_wanted(
    server: Server, cohort: Cohort, wish: Wish, *, policy: Policy, seed: int
) -> list[SeriesEntry | Gap]:
    """List the series that a wish stands for.

    Args:
        server: Who is asked.
        cohort: All that is asked for, with its filters.
        wish: One of its wishes.
        policy: How often a question is repeated.
        seed: Seed of the waits.

    Returns:
        Series, and what could not be listed.

    Raises:
        DataError: The pull as a whole cannot go on.
    """
    try:
        studies = ask(lambda: _find_studies(server, cohort, wish), policy, seed=seed)
    except (TransientError, RefusedError) as error:
        return [Gap(wish.line, "", error.code)]
    entries: list[SeriesEntry | Gap] = []
    for study_uid, n_series in studies.items():
        try:
            entries += ask(
                lambda uid=study_uid, n=n_series: _list_series(server, cohort, wish, uid, n),  # type: ignore[misc]  # defaults bind the loop's values
                policy,
                seed=seed,
            )
        except (TransientError, RefusedError) as error:
            entries.append(Gap(wish.line, study_uid, error.code))
    if not studies and wish.line:
        entries.append(Gap(wish.line, "", "no-study"))
    return entries


def _find_studies(server: Server, cohort: Cohort, wish: Wish) -> dict[str, int | None]:
    """Return study UID to number of its series, of the studies that fit a wish."""
    studies: dict[str, int | None] = {}
    for match in cohort.list_matches(wish):
        for found in server.find("STUDY", match):
            # A server may ignore keys that it does not know, and then returns more than fits.
            fits = all(found.get(key, "") == value for key, value in wish.study.items())
            if fits and cohort.fits_date(found.get("StudyDate", "")):
                studies[found.get("StudyInstanceUID", "")] = read_count(
                    found.get("NumberOfStudyRelatedSeries", "")
                )
    return studies


def _list_series(
    server: Server, cohort: Cohort, wish: Wish, study_uid: str, n_series: int | None
) -> list[SeriesEntry | Gap]:
    """Return the series of a study, as far as they are asked for."""
    if not is_uid(study_uid):
        raise RefusedError("bad-uid")
    rows = [
        row
        for row in server.find("SERIES", {"StudyInstanceUID": study_uid})
        if row.get("StudyInstanceUID", study_uid) == study_uid
    ]
    counts: dict[str, int | None] = {}
    for row in rows:
        uid, count = (
            row.get("SeriesInstanceUID", ""),
            read_count(row.get("NumberOfSeriesRelatedInstances", "")),
        )
        is_wanted = cohort.fits_modality(row.get("Modality", "")) and wish.series_uid in ("", uid)
        if is_wanted:
            # One UID twice: two patients share it. What both have is expected.
            counts[uid] = count if uid not in counts else _add(counts[uid], count)
    entries: list[SeriesEntry | Gap] = [
        SeriesEntry(wish.line, study_uid, uid, count) for uid, count in counts.items()
    ]
    if n_series is not None and len(rows) < n_series:
        entries.append(Gap(wish.line, study_uid, "lists-fewer"))
    elif not counts and wish.line:
        entries.append(Gap(wish.line, study_uid, "no-series"))
    return entries


def _add(first: int | None, second: int | None) -> int | None:
    """Add two counts, either of which may be unknown."""
    return None if first is None or second is None else first + second


def list_instances(server: Server, series: SeriesEntry) -> list[InstanceEntry]:
    """List the instances of a series, each once.

    Raises:
        TransientError: The server failed.
        RefusedError: The server does not list instances, or names them by no UID.
    """
    match = {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.series_uid}
    entries = {}
    for found in server.find("IMAGE", match):
        sop_uid = found.get("SOPInstanceUID", "")
        if not is_uid(sop_uid):
            raise RefusedError("bad-uid")
        entries[sop_uid] = InstanceEntry(sop_uid, found.get("SOPClassUID", ""))
    return list(entries.values())


def read_count(text: str) -> int | None:
    """Return a count that a server states; None for none, or for what is no count."""
    return int(text) if text.isdecimal() and len(text) < 10 and int(text) else None
