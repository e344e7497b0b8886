"""The index: private, rebuilt when it is of no use, and otherwise changed only where files are."""

import sqlite3
import stat
from itertools import islice
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from ingesting import BOTH, KEY

from medvision.errors import DataError, StaleOutputError
from medvision.io.deidentify import Pseudonymiser
from medvision.io.ingest.entry import Sealer
from medvision.io.ingest.index import open_complete_index, open_index
from medvision.io.ingest.refresh import refresh_index
from medvision.io.ingest.scan import scan_file
from medvision.io.ingest.scanner import Scanner
from medvision.io.ingest.walk import walk_files

CANARY = "Muster^Max"


def make_scanner(source, *, key=KEY, **changes):
    values = {
        "source": source,
        "names": Pseudonymiser(bytes.fromhex(key)),
        "kinds": BOTH,
        "masks": frozenset(),
        "opens_archives": True,
        "limit": 10**9,
    }
    return Scanner(**{**values, **changes})


def refresh(folder, scanner, *, workers=1):
    """Bring an index up to date; return its rows by path."""
    path = folder / "index.sqlite"
    with open_index(path, scanner) as index:
        refresh_index(index, scanner, without=folder / "none", workers=workers)
        rows = index.connection.execute("SELECT file, n_bytes, mtime_ns, content FROM files")
        return {index.find_path(row[0]): row for row in rows}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for n in range(5):
        path = folder / f"{CANARY}-{n % 2}" / f"{CANARY}.{n}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{CANARY} {n}")
    return folder


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all files that were opened, in their order."""
    from medvision.io.ingest import scan

    paths: list[str] = []
    look = scan._scan

    def count(found, entry, scanner):
        paths.append(found.path)
        return look(found, entry, scanner)

    monkeypatch.setattr(scan, "_scan", count)
    return paths


def test_no_name_can_be_read_in_the_index_and_nobody_else_can_open_it(tmp_path, source):
    refresh(tmp_path, make_scanner(source))
    path = tmp_path / "index.sqlite"
    assert CANARY.encode() not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_equal_paths_are_sealed_alike_and_only_the_key_opens_them():
    one, other = Sealer(b"k" * 32), Sealer(b"l" * 32)
    sealed = one.seal("a/Müster\udcff")
    assert sealed == Sealer(b"k" * 32).seal("a/Müster\udcff")
    assert one.unseal(sealed) == "a/Müster\udcff"
    assert other.seal("a") != one.seal("a")
    with pytest.raises(InvalidTag):
        other.unseal(sealed)


def test_a_second_walk_opens_no_file(tmp_path, source, looked_at):
    scanner = make_scanner(source)
    first = refresh(tmp_path, scanner)
    assert len(looked_at) == 5
    assert refresh(tmp_path, scanner) == first
    assert len(looked_at) == 5


def test_only_what_is_new_or_changed_is_opened_and_what_is_gone_is_forgotten(
    tmp_path, source, looked_at
):
    scanner = make_scanner(source)
    first = refresh(tmp_path, scanner)
    gone, longer, *_ = sorted(first)
    (source / gone).unlink()
    (source / longer).write_text("longer than it was before")
    (source / "new").write_text("new")
    looked_at.clear()
    second = refresh(tmp_path, scanner)
    assert sorted(looked_at) == sorted([longer, "new"])
    assert set(second) == {*first, "new"} - {gone}
    same = set(first) - {gone, longer}
    assert {path: second[path] for path in same} == {path: first[path] for path in same}
    assert second[longer] != first[longer]


def test_the_number_of_workers_leaves_no_trace(tmp_path, source):
    for n in range(200):
        (source / f"more-{n}").write_text(str(n))
    rows = []
    for workers in (1, 2):
        (tmp_path / str(workers)).mkdir()
        rows.append(refresh(tmp_path / str(workers), make_scanner(source), workers=workers))
    assert rows[0] == rows[1]
    assert len(rows[0]) == 205


@pytest.mark.parametrize(
    "changes", [{"kinds": frozenset({"dicom"})}, {"opens_archives": False}, {"limit": 7}]
)
def test_other_settings_make_it_anew(tmp_path, source, looked_at, changes):
    refresh(tmp_path, make_scanner(source))
    refresh(tmp_path, make_scanner(source, **changes))
    assert len(looked_at) == 10


def test_another_key_or_another_folder_makes_it_anew(tmp_path, source, looked_at):
    refresh(tmp_path, make_scanner(source))
    other_key = refresh(tmp_path, make_scanner(source, key="ff" * 16))
    assert len(looked_at) == 10
    source.rename(tmp_path / "moved")
    moved = refresh(tmp_path, make_scanner(tmp_path / "moved", key="ff" * 16))
    assert len(looked_at) == 15
    assert moved.keys() == other_key.keys()


@pytest.mark.parametrize("damage", ["text", "cut", "zeros", "empty"])
def test_a_broken_index_is_made_anew_with_a_line_in_the_log(tmp_path, source, caplog, damage):
    caplog.set_level("INFO", logger="medvision")
    first = refresh(tmp_path, make_scanner(source))
    path = tmp_path / "index.sqlite"
    content = path.read_bytes()
    broken = {
        "text": b"no database",
        "cut": content[: len(content) // 2],
        "zeros": content[:4096] + bytes(4096) + content[8192:],
        "empty": b"",
    }
    path.write_bytes(broken[damage])
    assert refresh(tmp_path, make_scanner(source)) == first
    assert "index.sqlite: made anew, since it was broken" in caplog.text


def test_a_walk_that_was_killed_goes_on_and_is_not_complete(tmp_path, source, looked_at):
    scanner = make_scanner(source)

    path = tmp_path / "index.sqlite"
    with pytest.raises(KeyboardInterrupt):
        refresh_until(path, scanner, 3)
    with pytest.raises(StaleOutputError, match="--index-only"):
        open_complete_index(path, scanner)
    looked_at.clear()
    refresh(tmp_path, scanner)
    assert len(looked_at) == 2
    open_complete_index(path, scanner).connection.close()


def refresh_until(path, scanner, number):
    """Put the first files of a folder into an index, and be interrupted."""
    found = islice(walk_files(scanner.source, without=Path("none")), number)
    with open_index(path, scanner) as index:
        index.begin_walk()
        for item in found:
            entries = scan_file(item, scanner)
            index.choose_changed([(entries[0].file, item)])
            index.put(entries)
        raise KeyboardInterrupt


def test_a_file_that_could_not_be_read_is_tried_again(tmp_path, source, looked_at, monkeypatch):
    from medvision.io.ingest import scan

    look = scan._scan

    def refuse(found, entry, scanner):
        if found.path.endswith("3"):
            raise PermissionError(found.path)
        return look(found, entry, scanner)

    monkeypatch.setattr(scan, "_scan", refuse)
    rows = refresh(tmp_path, make_scanner(source))
    (path,) = [path for path in rows if path.endswith("3")]
    assert "unreadable" in rows[path][3]
    assert CANARY not in rows[path][3]
    monkeypatch.setattr(scan, "_scan", look)
    looked_at.clear()
    rows = refresh(tmp_path, make_scanner(source))
    assert looked_at == [path]
    assert "not-an-image" in rows[path][3]


def test_two_files_of_one_id_are_an_error_and_no_loss(tmp_path, source, monkeypatch):
    names = Pseudonymiser(bytes.fromhex(KEY))
    monkeypatch.setattr(Pseudonymiser, "file_id", lambda _, path: f"file-{path[-1]}")
    (source / "x1").write_text("another that ends in 1")
    with pytest.raises(DataError, match="files must have ids of their own"):
        refresh(tmp_path, make_scanner(source, names=names))


def test_members_go_with_their_archive(tmp_path, source):
    import zipfile

    with zipfile.ZipFile(source / "a.zip", "w") as archive:
        archive.writestr("one", "1")
        archive.writestr("two", "2")
    scanner = make_scanner(source)
    assert {"a.zip", "a.zip!one", "a.zip!two"} <= refresh(tmp_path, scanner).keys()
    with zipfile.ZipFile(source / "a.zip", "w") as archive:
        archive.writestr("three", "3")
    rows = refresh(tmp_path, scanner)
    assert {path for path in rows if "a.zip" in path} == {"a.zip", "a.zip!three"}
    (source / "a.zip").unlink()
    assert not {path for path in refresh(tmp_path, scanner) if "a.zip" in path}


def test_a_file_that_kills_its_process_costs_itself_alone(tmp_path, source, monkeypatch):
    monkeypatch.setattr("medvision.io.ingest.refresh.scan_files", die_at_four)
    for n in range(130):
        (source / f"more-{n}").write_text(str(n))
    rows = refresh(tmp_path, make_scanner(source), workers=2)
    assert len(rows) == 135
    crashed = {path for path, row in rows.items() if "got a crash" in row[3]}
    assert crashed == {path for path in rows if path.endswith(f"{CANARY}.4")}


def die_at_four(files, scanner):
    import os

    from medvision.io.ingest.scan import scan_files

    if any(item.path.endswith(f"{CANARY}.4") for item in files):
        os._exit(1)
    return scan_files(files, scanner)


def test_a_database_that_is_locked_is_an_error_of_storage(tmp_path, source, monkeypatch):
    from medvision.errors import StorageError
    from medvision.io.ingest import database

    monkeypatch.setattr(database, "_PATIENCE_S", 0.1)
    scanner = make_scanner(source)
    refresh(tmp_path, scanner)
    holder = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match="output folder must be writable"):
        refresh(tmp_path, scanner)
    holder.close()
