"""The archive: whole or absent, once, under pseudonyms, with its digests."""

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from fake_pacs import NAMES, SERIES, STUDY, build_archive, build_files

from medvision.errors import StaleOutputError, StorageError
from medvision.io.deidentify import Pseudonymiser
from medvision.io.pacs.archive import Archive, list_folders
from medvision.io.pacs.claim import claim_archive
from medvision.io.pacs.ledger import list_entries
from medvision.io.pacs.reasons import RefusedError
from medvision.runtime.files import hash_fast

NAME = (STUDY, SERIES)


@pytest.fixture
def files(tmp_path: Path) -> list[bytes]:
    return list(build_files(tmp_path / "files").values())


def put(archive: Archive, content: bytes, *, sop_uid: str = "") -> str:
    with archive.receive() as stream:
        stream.write(content)
        return archive.keep(stream, of={NAME}, sop_uid=sop_uid)


def test_a_file_lies_under_its_pseudonyms_as_it_came(tmp_path: Path, files: list[bytes]) -> None:
    archive = build_archive(tmp_path)
    assert put(archive, files[0]) == "stored"
    path = archive.root / NAMES.uid(STUDY) / NAMES.uid(SERIES) / f"{NAMES.uid(SERIES + '.1')}.dcm"
    assert path.read_bytes() == files[0]
    assert archive.list_received(NAME) == {NAMES.uid(SERIES + ".1")}


def test_the_same_again_is_a_duplicate_and_another_of_its_name_a_conflict(
    tmp_path: Path, files: list[bytes]
) -> None:
    archive = build_archive(tmp_path)
    other = files[0].replace(b"AXIAL", b"OTHER")
    verdicts = [put(archive, content) for content in (files[0], files[0], other, other)]
    assert verdicts == ["stored", "duplicate", "conflict", "duplicate"]
    assert len(archive.list_received(NAME)) == 1
    assert len(list(archive.find_folder(NAME).iterdir())) == 2


def test_equal_datasets_under_other_meta_information_are_duplicates(
    tmp_path: Path, files: list[bytes]
) -> None:
    archive = build_archive(tmp_path)
    put(archive, files[0])
    assert put(archive, b"\x01" * 128 + files[0][128:]) == "duplicate"


def test_a_file_without_bytes_is_not_there(tmp_path: Path, files: list[bytes]) -> None:
    archive = build_archive(tmp_path)
    put(archive, files[0])
    path = next(archive.find_folder(NAME).iterdir())
    path.write_bytes(b"")
    assert archive.list_received(NAME) == frozenset()
    assert put(archive, files[0]) == "stored"
    assert path.read_bytes() == files[0]


@pytest.mark.parametrize("content", [b"", b"text", bytes(132), bytes(128) + b"DICM"])
def test_what_is_no_dicom_is_refused_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    archive = build_archive(tmp_path)
    with pytest.raises(RefusedError, match="broken-answer"):
        put(archive, content)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_was_announced_under_another_name_is_refused(
    tmp_path: Path, files: list[bytes]
) -> None:
    with pytest.raises(RefusedError, match="broken-answer"):
        put(build_archive(tmp_path), files[0], sop_uid="1.2.3")


def test_a_break_in_the_middle_leaves_nothing(tmp_path: Path, files: list[bytes]) -> None:
    archive = build_archive(tmp_path)
    with suppress(KeyboardInterrupt), archive.receive() as stream:
        stream.write(files[0][:100])
        raise KeyboardInterrupt
    assert list(tmp_path.rglob(".part-*")) == []


def test_a_disk_that_fills_up_is_a_storage_error(tmp_path: Path) -> None:
    archive = build_archive(tmp_path)
    with pytest.raises(StorageError, match="has no space left"), archive.receive():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_after_the_end_nothing_is_taken(tmp_path: Path, files: list[bytes]) -> None:
    archive = build_archive(tmp_path)
    archive.close()
    with pytest.raises(RefusedError):
        put(archive, files[0])


def test_threads_that_bring_the_same_store_it_once(tmp_path: Path, files: list[bytes]) -> None:
    archive = build_archive(tmp_path)
    threads = [threading.Thread(target=put, args=(archive, files[k % 6])) for k in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert archive.counts == {"stored": 6, "duplicate": 18}


def test_the_ledger_knows_every_file_and_a_torn_or_wrong_line_is_hashed_again(
    tmp_path: Path, files: list[bytes]
) -> None:
    archive = build_archive(tmp_path)
    for content in files:
        put(archive, content)
    (folder,) = list_folders(archive.root)
    ledger = archive.find_ledger(folder)
    digests = {hash_fast(content) for content in files}
    assert {entry.digest for entry in list_entries(folder, ledger)} == digests
    whole = ledger.read_bytes()
    for length in range(0, len(whole), 37):
        ledger.write_bytes(whole[:length])
        assert {entry.digest for entry in list_entries(folder, ledger)} == digests


def test_the_ledger_spares_the_reading_of_files(
    tmp_path: Path, files: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = build_archive(tmp_path)
    put(archive, files[0])
    (folder,) = list_folders(archive.root)
    monkeypatch.setattr("medvision.io.pacs.ledger.hash_from", None)
    (entry,) = list_entries(folder, archive.find_ledger(folder))
    assert (entry.digest, entry.size) == (hash_fast(files[0]), len(files[0]))


def test_one_process_at_a_time_and_one_key_for_good(tmp_path: Path) -> None:
    with (
        claim_archive(tmp_path, NAMES, min_free_gb=0.01),
        pytest.raises(StaleOutputError, match="one process at a time"),
        claim_archive(tmp_path, NAMES, min_free_gb=0.01),
    ):
        pass
    with claim_archive(tmp_path, NAMES, min_free_gb=0.01):
        pass
    with (
        pytest.raises(StaleOutputError, match="archive must bear names of key"),
        claim_archive(tmp_path, Pseudonymiser(b"another key....."), min_free_gb=0.01),
    ):
        pass
