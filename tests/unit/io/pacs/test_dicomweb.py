"""A pull by DICOMweb from a server that misbehaves: retried, resumed, counted, never silent."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_pacs import (
    NAMES,
    SERIES,
    STUDY,
    FakePacs,
    Fault,
    answer_with,
    behave,
    build_archive,
    build_files,
    build_remote,
    cut_body,
    drip,
    drop,
    fail,
    hang,
    join_parts,
    leave_out_boundary,
    multipart_type,
    run_fake,
    send_some,
)

from medvision.errors import DataError, StorageError
from medvision.io.pacs.access import Credentials
from medvision.io.pacs.archive import Archive
from medvision.io.pacs.cohort import Cohort, Wish
from medvision.io.pacs.dicomweb import DICOM, DicomwebServer
from medvision.io.pacs.pull import pull_cohort
from medvision.io.pacs.retry import Policy
from medvision.io.pacs.series import SeriesResult

pytestmark = pytest.mark.timeout(60)

N = 6
WISH = Wish(2, {"StudyInstanceUID": STUDY})
LISTING = 3  # requests before the first instance: study, series, and the page that ends them


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[FakePacs]:
    with run_fake(FakePacs(build_files(tmp_path / "files", n=N), counted=N)) as fake:
        yield fake


def pull(
    pacs: FakePacs, folder: Path, *, retries: int = 3, **remote: object
) -> tuple[list[SeriesResult], Archive]:
    archive = build_archive(folder)
    server = DicomwebServer(build_remote(pacs.url, **remote), archive, connections=2)
    policy = Policy(retries=retries, backoff_s=0.01)
    try:
        cohort = Cohort((WISH,), (), "")
        return pull_cohort(cohort, server, archive, policy=policy, connections=2), archive
    finally:
        server.close()


def check_whole(pacs: FakePacs, archive: Archive) -> None:
    folder = archive.find_folder((STUDY, SERIES))
    found = {path.stem: path.read_bytes() for path in folder.iterdir()}
    assert found == {NAMES.uid(uid): content for uid, content in pacs.files.items()}
    assert list(archive.root.glob(".part-*")) == []


def test_a_sound_server_is_asked_once_and_for_what_it_stores(
    pacs: FakePacs, tmp_path: Path
) -> None:
    (result,), archive = pull(pacs, tmp_path)
    assert (result.state, result.expected, result.received) == ("complete", N, N)
    check_whole(pacs, archive)
    assert pacs.asked[LISTING:] == [f"/studies/{STUDY}/series/{SERIES}"]
    assert pacs.headers[-1]["Accept"] == DICOM
    assert DICOM.endswith("transfer-syntax=*")


FAULTS: dict[str, list[Fault]] = {
    "500": [fail(500)],
    "503 with a wait": [fail(503, Retry_After="0")],
    "429": [fail(429)],
    "dropped": [drop, drop],
    "cut in the first part": [cut_body(0)],
    "cut in the last part": [cut_body(N - 1)],
    "cut between parts": [cut_body(3, share=0)],
    "no last boundary": [leave_out_boundary],
    "part of the series": [send_some(2)],
    "no multipart": [answer_with("text/html", b"<html></html>")],
    "no boundary": [answer_with("multipart/related", b"x")],
    "parts that are no DICOM": [answer_with(multipart_type(), join_parts([b"x" * 500]))],
    "one after the other": [fail(502), drop, cut_body(2), fail(500), send_some(1)],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_fault_left_out_is_fetched_by_asking_again(
    pacs: FakePacs, tmp_path: Path, fault: str
) -> None:
    pacs.faults = [behave] * LISTING + FAULTS[fault]
    (result,), archive = pull(pacs, tmp_path, retries=6)
    assert (result.state, result.received, result.reason) == ("complete", N, "")
    check_whole(pacs, archive)


def test_what_came_before_the_break_is_not_asked_for_again(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.faults = [behave] * LISTING + [cut_body(4)]
    pull(pacs, tmp_path)
    fetched = [path for path in pacs.asked if "/instances/" in path]
    assert len(fetched) == N - 4


def test_faults_while_listing_are_retried_too(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.faults = [fail(500), drop, answer_with("application/dicom+json", b'[{"0020')]
    (result,), _ = pull(pacs, tmp_path)
    assert result.state == "complete"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (fail(500), "server-error"),
        (drop, "connection-lost"),
        (fail(404), "not-found"),
        (fail(403), "refused"),
        (fail(406), "not-acceptable"),
        (answer_with("text/html", b""), "broken-answer"),
        (answer_with(multipart_type(), join_parts([b"y" * 400])), "broken-answer"),
    ],
)
def test_a_fault_that_stays_is_a_row_with_its_reason(
    pacs: FakePacs, tmp_path: Path, fault: Fault, reason: str
) -> None:
    pacs.faults = [behave] * LISTING + [
        lambda handler: "/instances" not in handler.path.partition("?")[0] and fault(handler),
        *([lambda handler: "/instances/" in handler.path and fault(handler)] * 200),
    ]
    (result,), archive = pull(pacs, tmp_path, retries=1)
    assert (result.state, result.received, result.reason) == ("incomplete", 0, reason)
    assert archive.list_received((STUDY, SERIES)) == frozenset()


def test_a_server_that_counts_more_than_it_has_is_told(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.counted = N + 2
    (result,), _ = pull(pacs, tmp_path)
    assert (result.state, result.expected, result.received) == ("incomplete", N + 2, N)
    assert result.reason == "lists-fewer"


def test_without_a_count_the_instances_are_listed_and_counted(
    pacs: FakePacs, tmp_path: Path
) -> None:
    pacs.counted = None
    pacs.faults = [behave] * LISTING + [send_some(2)]
    (result,), archive = pull(pacs, tmp_path)
    assert (result.state, result.expected, result.received) == ("complete", N, N)
    check_whole(pacs, archive)


def test_without_count_and_list_nobody_can_say_that_it_is_whole(
    pacs: FakePacs, tmp_path: Path
) -> None:
    pacs.counted, pacs.lists_instances = None, False
    (result,), _ = pull(pacs, tmp_path)
    assert (result.state, result.expected, result.received) == ("unverified", None, N)
    assert result.reason == "count-unknown"


@pytest.mark.parametrize("fault", [hang, drip])
def test_a_server_that_is_too_slow_is_given_up_in_time(
    pacs: FakePacs, tmp_path: Path, fault: Fault
) -> None:
    pacs.faults = [behave] * LISTING + [fault]
    started = time.monotonic()
    (result,), _ = pull(pacs, tmp_path, timeout_s=0.5)
    assert result.state == "complete"
    assert time.monotonic() - started < 10


def test_pages_are_read_until_one_brings_nothing_new(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.counted, pacs.page = None, 2
    (result,), _ = pull(pacs, tmp_path)
    assert (result.state, result.received) == ("complete", N)


def test_a_server_that_ignores_paging_does_not_hold_the_pull_for_ever(
    pacs: FakePacs, tmp_path: Path
) -> None:
    pacs.counted, pacs.ignores_offset = None, True
    (result,), _ = pull(pacs, tmp_path)
    assert result.state == "complete"


def test_instances_of_another_series_are_not_stored(pacs: FakePacs, tmp_path: Path) -> None:
    other = build_files(tmp_path / "other", n=1, series="1.2.826.5.1.9")
    body = join_parts([*other.values(), *list(pacs.files.values())[:2]])
    pacs.faults = [behave] * LISTING + [answer_with(multipart_type(), body)]
    (result,), archive = pull(pacs, tmp_path)
    assert result.state == "complete"
    check_whole(pacs, archive)
    assert archive.list_received((STUDY, "1.2.826.5.1.9")) == frozenset()


def test_a_redirection_is_not_followed(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.faults = [fail(302, Location="http://127.0.0.1:9/elsewhere")]
    with pytest.raises(DataError, match="answer itself, got a redirection"):
        pull(pacs, tmp_path)


def test_credentials_go_with_every_request_and_into_no_message(
    pacs: FakePacs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        pull(pacs, tmp_path, credentials=Credentials(token="t0p-secret"))
    assert {headers.get("Authorization") for headers in pacs.headers} == {"Bearer t0p-secret"}
    assert "t0p-secret" not in caplog.text + repr(Credentials(token="t0p-secret"))
    pacs.faults = [fail(401)]
    with pytest.raises(DataError, match="accept the credentials, got 401") as error:
        pull(pacs, tmp_path, credentials=Credentials(user="u", password="pw-secret"))
    assert "pw-secret" not in str(error.value)


def test_a_full_disk_ends_the_pull_and_leaves_whole_files(pacs: FakePacs, tmp_path: Path) -> None:
    archive = build_archive(tmp_path)
    server = DicomwebServer(build_remote(pacs.url), archive, connections=1)
    archive.min_free_gb = 10**9
    with pytest.raises(StorageError, match="the disk must keep 1e\\+09 GB free"):
        pull_cohort(Cohort((WISH,), (), ""), server, archive, policy=Policy(1, 0.01), connections=1)
    assert [path for path in archive.root.rglob("*") if path.is_file()] == []


def test_dicomweb_client_gets_the_same_instances(pacs: FakePacs, tmp_path: Path) -> None:
    from dicomweb_client.api import DICOMwebClient

    pull(pacs, tmp_path)
    client = DICOMwebClient(pacs.url)
    theirs = client.retrieve_series(STUDY, SERIES, media_types=(("application/dicom", "*"),))
    assert {NAMES.uid(dataset.SOPInstanceUID) for dataset in theirs} == set(
        build_archive(tmp_path).list_received((STUDY, SERIES))
    )
