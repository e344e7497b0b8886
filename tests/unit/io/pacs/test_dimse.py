"""A pull by C-GET and C-MOVE from a server that misbehaves."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_dimse import FakeDimse, run_dimse
from fake_pacs import NAMES, SERIES, STUDY, build_archive, build_files, build_remote
from orthanc import find_port, read_dataset_bytes

from medvision.errors import ConfigError, DataError
from medvision.io.pacs.archive import Archive
from medvision.io.pacs.cohort import Cohort, Wish
from medvision.io.pacs.contexts import GET, MOVE, build_storage_contexts, list_syntaxes
from medvision.io.pacs.dimse import DimseServer
from medvision.io.pacs.provider import Door
from medvision.io.pacs.pull import pull_cohort
from medvision.io.pacs.quiet import silence_network
from medvision.io.pacs.retry import Policy
from medvision.io.pacs.series import SeriesResult

pytestmark = pytest.mark.timeout(90)

N = 6
WISH = Wish(2, {"StudyInstanceUID": STUDY})
PROTOCOLS = ("c-get", "c-move")


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[FakeDimse]:
    fake = FakeDimse(build_files(tmp_path / "files", n=N), counted=N)
    with silence_network(), run_dimse(fake):
        yield fake


def build_door(port: int, **values: object) -> Door:
    settings: dict[str, object] = {
        "ae_title": "MEDVISION",
        "listen_host": "127.0.0.1",
        "listen_port": port,
        "callers": (),
        "max_associations": 4,
        "max_instance_mb": 10,
        "timeout_s": 5.0,
        "listen_cert": None,
        "listen_key": None,
        "listen_ca": None,
    }
    return Door(**(settings | values))  # type: ignore[arg-type]  # a table of settings


def pull(
    pacs: FakeDimse, folder: Path, protocol: str, *, retries: int = 3, **remote: object
) -> tuple[list[SeriesResult], Archive]:
    archive = build_archive(folder)
    port = find_port()
    if protocol == "c-move":
        pacs.destinations.setdefault("MEDVISION", port)
    door = build_door(port) if protocol == "c-move" else None
    settings = {"port": pacs.port, "timeout_s": 5.0, **remote}
    server = DimseServer(build_remote(**settings), archive, door=door)
    policy = Policy(retries=retries, backoff_s=0.01)
    try:
        cohort = Cohort((WISH,), (), "")
        return pull_cohort(cohort, server, archive, policy=policy, connections=2), archive
    finally:
        server.close()


def check_whole(pacs: FakeDimse, archive: Archive) -> None:
    folder = archive.find_folder((STUDY, SERIES))
    found = {path.stem: read_dataset_bytes(path.read_bytes()) for path in folder.iterdir()}
    sent = {NAMES.uid(uid): read_dataset_bytes(content) for uid, content in pacs.files.items()}
    assert found == sent


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_sound_server_is_asked_for_the_series_once(
    pacs: FakeDimse, tmp_path: Path, protocol: str
) -> None:
    (result,), archive = pull(pacs, tmp_path, protocol)
    assert (result.state, result.expected, result.received) == ("complete", N, N)
    check_whole(pacs, archive)
    assert pacs.asked == [("SERIES", 0)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_a_server_left_out_is_asked_for_by_its_uids(
    pacs: FakeDimse, tmp_path: Path, protocol: str
) -> None:
    pacs.sends = [lambda uids: uids[:2]]
    (result,), archive = pull(pacs, tmp_path, protocol)
    assert result.state == "complete"
    check_whole(pacs, archive)
    assert pacs.asked == [("SERIES", 0), ("IMAGE", N - 2)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_takes_no_lists_is_asked_one_by_one(
    pacs: FakeDimse, tmp_path: Path, protocol: str
) -> None:
    pacs.sends, pacs.takes_lists = [lambda uids: uids[:3]], False
    (result,), archive = pull(pacs, tmp_path, protocol)
    assert result.state == "complete"
    check_whole(pacs, archive)
    assert pacs.asked == [("SERIES", 0), ("IMAGE", 3), *[("IMAGE", 1)] * 3]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("status", [-1, 0xA702, 0xC001, 0xB000])
def test_a_failure_in_the_middle_is_repeated_for_the_rest(
    pacs: FakeDimse, tmp_path: Path, protocol: str, status: int
) -> None:
    pacs.sends, pacs.final_statuses = [lambda uids: uids[:4]], [status]
    (result,), archive = pull(pacs, tmp_path, protocol)
    assert (result.state, result.received) == ("complete", N)
    check_whole(pacs, archive)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_never_sends_some_is_told(
    pacs: FakeDimse, tmp_path: Path, protocol: str
) -> None:
    pacs.sends = [lambda uids: [uid for uid in uids if not uid.endswith(".3")]] * 20
    (result,), _ = pull(pacs, tmp_path, protocol, retries=2)
    assert (result.state, result.expected, result.received) == ("incomplete", N, N - 1)
    assert result.reason == "sent-fewer"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_a_count_the_instances_are_listed(
    pacs: FakeDimse, tmp_path: Path, protocol: str
) -> None:
    pacs.counted, pacs.sends = None, [lambda uids: uids[:1]]
    (result,), _ = pull(pacs, tmp_path, protocol)
    assert (result.state, result.expected, result.received) == ("complete", N, N)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_instances_of_another_series_are_refused(
    pacs: FakeDimse, tmp_path: Path, protocol: str
) -> None:
    (pacs.extra,) = build_files(tmp_path / "other", n=1, series="1.2.826.5.1.9").values()
    (result,), archive = pull(pacs, tmp_path, protocol)
    assert result.state == "complete"
    assert archive.counts["refused"] == 1
    assert archive.list_received((STUDY, "1.2.826.5.1.9")) == frozenset()


def test_a_server_that_names_no_sop_class_still_sends(pacs: FakeDimse, tmp_path: Path) -> None:
    pacs.names_classes = False
    (result,), archive = pull(pacs, tmp_path, "c-get")
    assert result.state == "complete"
    check_whole(pacs, archive)


def test_failed_searches_are_repeated(pacs: FakeDimse, tmp_path: Path) -> None:
    pacs.find_faults = [lambda: (0xA700, None), lambda: (0xC001, None)]
    (result,), _ = pull(pacs, tmp_path, "c-get")
    assert result.state == "complete"


def test_an_unknown_destination_ends_the_pull_in_words(pacs: FakeDimse, tmp_path: Path) -> None:
    pacs.destinations = {"MEDVISION": 1, "OTHER": 2}
    with pytest.raises(DataError, match="know the AE title STRANGER as a destination"):
        pull(pacs, tmp_path, "c-move", ae_title="STRANGER")


def test_a_rejected_association_ends_the_pull_in_words(pacs: FakeDimse, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="accept an association from MEDVISION to ELSEWHERE"):
        pull(pacs, tmp_path, "c-get", called_ae_title="ELSEWHERE")


@pytest.mark.parametrize(("protocol", "model"), [("c-get", GET), ("c-move", MOVE)])
def test_a_service_that_is_not_offered_ends_the_pull_in_words(
    tmp_path: Path, protocol: str, model: str
) -> None:
    fake = FakeDimse(build_files(tmp_path / "files", n=1), counted=1)
    fake.models = tuple(uid for uid in fake.models if uid != model)
    with (
        silence_network(),
        run_dimse(fake),
        pytest.raises(DataError, match="server must offer the service Study Root"),
    ):
        pull(fake, tmp_path, protocol)


def test_a_server_that_accepts_and_says_nothing_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        threading.Thread(target=lambda: [mute.accept() for _ in range(2)], daemon=True).start()
        fake = FakeDimse({}, port=mute.getsockname()[1])
        started = time.monotonic()
        with silence_network(), pytest.raises(DataError, match="answer within 1 s"):
            pull(fake, tmp_path, "c-get", retries=1, timeout_s=1.0)
        assert time.monotonic() - started < 20


def test_a_port_for_moves_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} must be free to listen on"):
            DimseServer(build_remote(), build_archive(tmp_path), door=build_door(port))


@pytest.mark.parametrize("n_classes", [1, 2, 3, 9, 130])
def test_every_syntax_has_a_context_of_its_own_as_far_as_they_go_round(n_classes: int) -> None:
    classes = [f"1.2.840.10008.5.1.4.1.1.{k}" for k in range(n_classes)]
    contexts = build_storage_contexts(classes)
    assert len(contexts) <= 127
    assert all(len(context.transfer_syntax) == 1 for context in contexts)
    syntaxes = [
        context.transfer_syntax[0] for context in contexts if context.abstract_syntax == classes[0]
    ]
    assert syntaxes == list_syntaxes()[: len(syntaxes)]
    assert len(syntaxes) == min(len(list_syntaxes()), max(1, 127 // n_classes))
