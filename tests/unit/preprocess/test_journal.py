"""The journal: a few files for many entries, none of them ever half an entry."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.preprocess import journal as journal_module
from medvision.preprocess.journal import Journal
from medvision.preprocess.rows import Refused
from medvision.runtime.files import hash_bytes


def build_entry(n: int) -> tuple[Refused, bytes]:
    refused = Refused(f"image-{n}", hash_bytes(str(n).encode()), "constant", f"got {n}")
    return refused, bytes([n % 256]) * (100 + n)


def read(journal: Journal, n: int) -> tuple[Refused, bytes] | None:
    entry, _ = build_entry(n)
    return journal.read(entry.key, image_id=entry.image_id)


def list_known(folder: Path, upto: int) -> list[int]:
    journal = Journal(folder)
    found = {n: read(journal, n) for n in range(upto)}
    assert all(held in (None, build_entry(n)) for n, held in found.items())
    return [n for n, held in found.items() if held is not None]


def test_a_process_writes_one_file_whatever_the_number_of_images(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    for n in range(300):
        journal.write(*build_entry(n))
    assert len(list((tmp_path / "journal").iterdir())) == 1
    assert list_known(tmp_path / "journal", 301) == list(range(300))
    journal.clear()
    assert not (tmp_path / "journal").exists()
    assert read(journal, 1) is None


def test_what_others_write_is_known_after_another_look(tmp_path: Path) -> None:
    reader, writer = Journal(tmp_path), Journal(tmp_path)
    assert read(reader, 1) is None
    writer.write(*build_entry(1))
    assert read(reader, 1) is None
    reader.refresh()
    assert read(reader, 1) == build_entry(1)


def test_of_equal_keys_the_last_counts(tmp_path: Path) -> None:
    entry, _ = build_entry(1)
    for content in (b"first", b"second", b"third"):
        # As another pool of processes would.
        Journal(tmp_path).write(entry, content)
    assert Journal(tmp_path).read(entry.key, image_id="image-1") == (entry, b"third")
    assert len(list(tmp_path.iterdir())) == 3


def test_many_processes_write_side_by_side(tmp_path: Path) -> None:
    def work(first: int) -> None:
        journal = Journal(tmp_path)
        for n in range(first, 200, 8):
            journal.write(*build_entry(n))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert list_known(tmp_path, 200) == list(range(200))
    assert len(list(tmp_path.iterdir())) == 8


def test_a_shard_reads_nothing_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 9):
        Journal(tmp_path, (number, 8)).write(*build_entry(number))
    Journal(tmp_path, (2, 3)).write(*build_entry(20))
    Journal(tmp_path).write(*build_entry(30))
    scanned: list[Path] = []
    scan = journal_module.list_entries

    def note(path, stream, *, start):
        scanned.append(path)
        return scan(path, stream, start=start)

    monkeypatch.setattr(journal_module, "list_entries", note)
    journal = Journal(tmp_path, (3, 8))
    # Its own, what was cut in another number of shards, and what was written for all.
    assert [n for n in range(31) if read(journal, n)] == [3, 20, 30]
    assert len(scanned) == 3
    assert list_known(tmp_path, 31) == [*range(1, 9), 20, 30]


def test_only_the_heads_of_entries_are_read(tmp_path: Path) -> None:
    """Counted by the system: a buffer would bring the bodies as well."""
    entry, _ = build_entry(1)
    journal = Journal(tmp_path)
    for n in range(20):
        journal.write(build_entry(n)[0], bytes(1 << 20))

    def count() -> int:
        words = Path("/proc/self/io").read_text(encoding="ascii").split()
        return int(words[words.index("rchar:") + 1])

    reader = Journal(tmp_path)
    before = count()
    reader.refresh()
    assert count() - before < 20 * 1024
    assert reader.read(entry.key, image_id=entry.image_id) == (entry, bytes(1 << 20))


@given(cut=st.integers(0, 2000), flipped=st.none() | st.integers(0, 2000))
def test_whatever_is_damaged_no_entry_is_ever_another(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flipped: int | None
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder)
    for n in range(6):
        journal.write(*build_entry(n))
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    if flipped is not None:
        content[flipped % len(content)] ^= 0xFF
    path.write_bytes(content[: len(content) - cut])
    known = list_known(folder, 6)
    if flipped is None:
        assert known == list(range(len(known)))
        assert len(known) == 6 or cut
    journal = Journal(folder)
    for n in range(6):
        journal.write(*build_entry(n))
    assert list_known(folder, 6) == list(range(6))


def test_a_kill_while_an_entry_is_written_leaves_those_before_it(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        from medvision.preprocess import entries as module

        write, count = module.write_all, [0]

        def die(stream, piece):
            count[0] += 1
            if count[0] == 8:
                stream.write(piece[: len(piece) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            write(stream, piece)

        module.write_all = die
        journal = Journal(tmp_path)
        for n in range(9):
            journal.write(*build_entry(n))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert list_known(tmp_path, 9) == [0, 1, 2]
