"""A cohort pulled from a server made of plain objects: everything accounted for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fake_pacs import NAMES, build_archive, build_files

from medvision.errors import DataError
from medvision.io.pacs.archive import Archive
from medvision.io.pacs.cohort import Cohort, Wish
from medvision.io.pacs.listing import InstanceEntry, Level, Row, SeriesEntry
from medvision.io.pacs.pull import (
    SERIES_COLUMNS,
    list_unsound,
    prune_archive,
    pull_cohort,
    take_stock,
    write_results,
)
from medvision.io.pacs.reasons import REASONS, RefusedError, TransientError
from medvision.io.pacs.retry import Policy
from medvision.io.pacs.series import SeriesResult
from medvision.io.tables import read_table

STUDY = "1.2.826.5.1"


@dataclass
class Plain:
    """A server without a network: series to files; what it cannot do is in its tables."""

    archive: Archive
    series: dict[str, dict[str, bytes]]
    n_series: int | None = None
    silent_from: int = 10**9
    hidden: set[str] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)
    n_asked: int = 0

    def find(self, level: Level, match: Mapping[str, str]) -> Sequence[Row]:
        self.n_asked += 1
        if match.get("StudyInstanceUID") in self.hidden:
            raise TransientError("server-error")
        if level == "STUDY":
            row = {"StudyInstanceUID": match["StudyInstanceUID"]}
            count = (
                {} if self.n_series is None else {"NumberOfStudyRelatedSeries": str(self.n_series)}
            )
            return [{**row, **count}] if match["StudyInstanceUID"] == STUDY else []
        if level == "SERIES":
            return self.rows or [
                {"SeriesInstanceUID": uid, "NumberOfSeriesRelatedInstances": str(len(files))}
                for uid, files in self.series.items()
            ]
        return [{"SOPInstanceUID": uid} for uid in self.series[match["SeriesInstanceUID"]]]

    def fetch(self, series: SeriesEntry, instances: Sequence[InstanceEntry] | None) -> None:
        self.n_asked += 1
        if self.n_asked > self.silent_from:
            raise TransientError("timed-out")
        if series.series_uid not in self.series:
            raise RefusedError("not-found")
        files = self.series[series.series_uid]
        for uid in [item.sop_uid for item in instances] if instances else files:
            with self.archive.receive() as stream:
                stream.write(files[uid])
                self.archive.keep(stream, of={(series.study_uid, series.series_uid)})

    def fail_silent(self) -> DataError:
        return DataError("pacs: server must answer, got nothing.")

    def close(self) -> None:
        """Nothing to end."""


@pytest.fixture
def server(tmp_path: Path) -> Plain:
    series = {
        uid: build_files(tmp_path / uid, n=2, series=uid)
        for uid in (f"{STUDY}.{k}" for k in range(1, 4))
    }
    return Plain(build_archive(tmp_path), series)


def pull(server: Plain, *studies: str, series_uid: str = "") -> list[SeriesResult]:
    wishes = [
        Wish(line, {"StudyInstanceUID": uid}, series_uid)
        for line, uid in enumerate(studies or [STUDY], 2)
    ]
    return pull_cohort(
        Cohort(tuple(wishes), (), ""),
        server,
        server.archive,
        policy=Policy(0, 0.001),
        connections=2,
    )


def test_every_series_is_a_row(server: Plain) -> None:
    results = pull(server)
    assert [result.state for result in results] == ["complete"] * 3
    assert list_unsound(results) == []


def test_a_series_asked_for_twice_is_pulled_once_for_its_first_line(server: Plain) -> None:
    results = pull(server, STUDY, STUDY)
    assert [result.line for result in results] == [2, 2, 2]


def test_one_series_may_be_asked_for_alone(server: Plain) -> None:
    (result,) = pull(server, series_uid=f"{STUDY}.2")
    assert result.series == NAMES.uid(f"{STUDY}.2")
    (result,) = [r for r in pull(server, series_uid="1.9") if r.state == "not-found"]
    assert result.reason == "no-series"


def test_a_study_that_lists_fewer_series_than_it_counts_is_told(server: Plain) -> None:
    server.n_series = 4
    (gap,) = list_unsound(pull(server))
    assert (gap.study, gap.series, gap.reason) == (NAMES.uid(STUDY), "", "lists-fewer")


def test_names_that_are_no_uids_are_never_asked_for(server: Plain) -> None:
    server.rows = [{"SeriesInstanceUID": "1.2/../../x", "NumberOfSeriesRelatedInstances": "3"}]
    (result,) = list_unsound(pull(server))
    assert (result.state, result.reason) == ("incomplete", "bad-uid")


def test_two_patients_under_one_uid_are_expected_both(server: Plain) -> None:
    uid = f"{STUDY}.1"
    server.rows = [
        {"SeriesInstanceUID": uid, "PatientID": name, "NumberOfSeriesRelatedInstances": "2"}
        for name in ("A", "B")
    ]
    (result,) = list_unsound(pull(server))
    assert (result.expected, result.received, result.reason) == (4, 2, "lists-fewer")


def test_a_server_that_goes_silent_is_soon_asked_no_more(tmp_path: Path) -> None:
    series = {f"{STUDY}.{k}": {f"{STUDY}.{k}.1": b""} for k in range(100)}
    server = Plain(build_archive(tmp_path), series, silent_from=2)
    results = pull(server)
    assert {result.state for result in results} == {"incomplete"}
    assert sum(result.reason == "unreachable" for result in results) > 80
    assert server.n_asked < 30


def test_what_could_not_be_listed_is_not_taken_for_unasked(server: Plain) -> None:
    pull(server)
    server.hidden = {STUDY}
    results = pull(server, "1.9", STUDY)
    states = sorted((result.state, result.reason) for result in results)
    assert states == [
        ("incomplete", "server-error"),
        ("not-found", "no-study"),
        *[("unverified", "not-listed")] * 3,
    ]
    assert prune_archive(results, server.archive) == results
    assert len(list(server.archive.root.rglob("*.dcm"))) == 6


def test_pruning_deletes_what_nothing_asks_for_and_no_more(server: Plain) -> None:
    pull(server)
    results = pull(server, series_uid=f"{STUDY}.2")
    assert sorted(result.state for result in results) == ["complete", "not-asked", "not-asked"]
    (kept,) = prune_archive(results, server.archive)
    assert kept.state == "complete"
    assert len(list(server.archive.root.rglob("*.dcm"))) == 2


def test_stock_is_taken_of_all_that_lies_there(server: Plain, tmp_path: Path) -> None:
    pull(server)
    results = take_stock(server.archive)
    assert [(result.received, result.state) for result in results] == [(2, "pushed")] * 3
    series, listing = tmp_path / "series.tsv", tmp_path / "archive.tsv"
    n_files, n_bytes = write_results(results, server.archive, series=series, listing=listing)
    sizes = [len(content) for files in server.series.values() for content in files.values()]
    assert (n_files, n_bytes) == (6, sum(sizes))
    assert tuple(read_table(series)[0]) == SERIES_COLUMNS
    assert sum(int(row["bytes"]) for row in read_table(listing)) == n_bytes


def test_every_reason_is_documented_and_no_other(checkout: Path) -> None:
    import re

    page = (checkout / "docs" / "how-to" / "pull-from-a-pacs.md").read_text()
    table = page.partition("\n## Why a series is not complete\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", table, flags=re.MULTILINE))
    assert rows == dict(sorted(REASONS.items()))
