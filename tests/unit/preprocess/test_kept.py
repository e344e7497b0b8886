"""Images kept half-way: a few files for many, none of them ever half an image or another's."""

import errno
import fcntl
import os
import signal
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keeping import list_files, list_kept

from medvision.domain.volume import Volume
from medvision.errors import StorageError
from medvision.preprocess import entries
from medvision.preprocess.kept import KeptImages, Origin
from medvision.runtime.files import hash_bytes

PLAN = "0123456789abcdef"
FILE = "0123456789ab-1-of-1.kept"


def name_key(n: int) -> str:
    return hash_bytes(str(n).encode())


def build_image(n: int) -> tuple[Volume, Origin]:
    grid = np.random.default_rng(n).normal(size=(1, 3, 4, 2)).astype(np.float32)
    return Volume(grid, np.diag([1.0, 2.0, n + 1.0, 1.0])), Origin("3x4x2", f"affine {n}")


def open_kept(folder: Path, part: tuple[int, int] | None = None, plan: str = PLAN) -> KeptImages:
    return KeptImages(folder, plan=plan, part=part)


def keep(kept: KeptImages, numbers: Iterable[int]) -> None:
    for n in numbers:
        volume, origin = build_image(n)
        kept.keep(name_key(n), volume, origin=origin)


def keep_and_close(
    folder: Path, numbers: Iterable[int], part: tuple[int, int] | None = None, plan: str = PLAN
) -> None:
    kept = open_kept(folder, part, plan)
    keep(kept, numbers)
    kept.close()


def list_known(folder: Path, upto: int, part: tuple[int, int] | None = None) -> list[int]:
    """The images that are read as they were kept; there is none that is read as another."""
    known, kept = [], open_kept(folder, part)
    for n in range(upto):
        held = kept.read(name_key(n))
        if held is None:
            continue
        (volume, origin), (wanted, whose) = held, build_image(n)
        np.testing.assert_array_equal(volume.array, wanted.array)
        np.testing.assert_array_equal(volume.affine, wanted.affine)
        assert origin == whose
        known.append(n)
    return known


def test_three_shards_leave_three_files_whatever_the_number_of_images(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        keep_and_close(tmp_path, range(number, 100, 3), (number, 3))
    assert list_files(tmp_path) == [f"0123456789ab-{n}-of-3.kept" for n in (1, 2, 3)]
    assert list_known(tmp_path, 100) == list(range(1, 100))


def test_a_later_run_goes_on_behind_what_is_there(tmp_path: Path) -> None:
    keep_and_close(tmp_path, range(5))
    before = (tmp_path / FILE).read_bytes()
    keep_and_close(tmp_path, range(5, 8))
    assert list_files(tmp_path) == [FILE]
    assert (tmp_path / FILE).read_bytes()[: len(before)] == before
    assert list_known(tmp_path, 9) == list(range(8))


def test_processes_at_once_have_a_file_each_and_the_next_as_many_use_them_again(
    tmp_path: Path,
) -> None:
    def work(first: int) -> KeptImages:
        kept = open_kept(tmp_path)
        keep(kept, range(first, 40, 4))
        return kept

    names = [FILE, *(FILE.replace(".kept", f".{n}.kept") for n in (2, 3, 4))]
    for _ in range(2):
        with ThreadPoolExecutor(4) as pool:
            for kept in list(pool.map(work, range(4))):
                kept.close()
        assert list_files(tmp_path) == sorted(names)
    assert list_known(tmp_path, 41) == list(range(40))


def test_a_late_second_process_cuts_nothing(tmp_path: Path) -> None:
    first, late = open_kept(tmp_path), open_kept(tmp_path)
    keep(first, range(3))
    keep(late, range(3, 5))
    first.close()
    # It has looked long ago, and comes to the file after the first has let go of it.
    later = open_kept(tmp_path)
    assert later.read(name_key(9)) is None
    keep_and_close(tmp_path, range(5, 7))
    keep(later, range(7, 9))
    assert list_known(tmp_path, 9) == list(range(9))


def test_a_shard_reads_none_of_the_others(tmp_path: Path) -> None:
    for number in range(1, 5):
        keep_and_close(tmp_path, [number], (number, 4))
    keep_and_close(tmp_path, [20], (1, 2))
    keep_and_close(tmp_path, [30])
    assert list_known(tmp_path, 31, (3, 4)) == [3, 20, 30]
    assert list_known(tmp_path, 31) == [1, 2, 3, 4, 20, 30]


def test_another_plan_reads_none_of_these(tmp_path: Path) -> None:
    keep_and_close(tmp_path, range(3), plan="f" * 64)
    assert list_known(tmp_path, 3) == []


@given(cut=st.integers(0, 1500), flipped=st.none() | st.integers(0, 1500))
def test_whatever_is_damaged_no_image_is_ever_another(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flipped: int | None
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    keep_and_close(folder, range(3))
    content = bytearray((folder / FILE).read_bytes())
    if flipped is not None:
        content[flipped % len(content)] ^= 0xFF
    (folder / FILE).write_bytes(content[: max(0, len(content) - cut)])
    known = list_known(folder, 3)
    if flipped is None:
        assert known == list(range(len(known)))
    # What is made anew lies behind what was damaged, and counts.
    keep_and_close(folder, [n for n in range(3) if n not in known])
    assert list_known(folder, 3) == [0, 1, 2]
    assert list_files(folder) == [FILE]


def test_a_kill_while_an_image_is_kept_leaves_those_before_it(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        write, n_written = entries.write_all, [0]

        def die(stream, piece):
            n_written[0] += 1
            if n_written[0] == 6:
                write(stream, piece[:40])
                os.kill(os.getpid(), signal.SIGKILL)
            write(stream, piece)

        entries.write_all = die
        keep(open_kept(tmp_path), range(5))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert list_known(tmp_path, 5) == [0, 1]
    keep_and_close(tmp_path, range(2, 5))
    assert list_known(tmp_path, 5) == list(range(5))
    assert list_files(tmp_path) == [FILE]


def test_a_full_disk_is_said_and_leaves_what_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = open_kept(tmp_path)
    keep(kept, range(2))

    def fail(stream, piece):
        stream.write(piece[:10])
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(entries, "write_all", fail)
        with pytest.raises(StorageError, match="no space left"):
            keep(kept, [2])
    keep(kept, [3])
    assert list_known(tmp_path, 4) == [0, 1, 3]


def test_what_is_not_needed_leaves_its_file_and_the_rest_stays(tmp_path: Path) -> None:
    keep_and_close(tmp_path, range(6), (1, 2))
    keep_and_close(tmp_path, range(6, 9), (2, 2))
    keep_and_close(tmp_path, range(9, 12), plan="f" * 64)
    untouched = tmp_path / "0123456789ab-2-of-2.kept"
    before, gone = untouched.stat().st_mtime_ns, build_image(2)[0].array.tobytes()
    (tmp_path / f"{name_key(0)}.npy").write_bytes(b"as earlier versions kept one")
    assert any(gone in path.read_bytes() for path in tmp_path.iterdir())
    open_kept(tmp_path).clear(needed={name_key(n) for n in (0, 5, 6, 7, 8)})
    assert list_files(tmp_path) == ["0123456789ab-1-of-2.kept", untouched.name]
    assert list_known(tmp_path, 12) == [0, 5, 6, 7, 8]
    assert untouched.stat().st_mtime_ns == before
    assert not any(gone in path.read_bytes() for path in tmp_path.iterdir())
    open_kept(tmp_path).clear(needed=())
    assert not tmp_path.exists()


def test_a_file_that_another_process_has_open_is_left_to_it(tmp_path: Path) -> None:
    other = open_kept(tmp_path)
    keep(other, range(3))
    keep_and_close(tmp_path, range(3, 6))
    open_kept(tmp_path).clear(needed={name_key(4)})
    assert list_kept(tmp_path) == {name_key(n) for n in (0, 1, 2, 4)}
    keep(other, [6])
    other.close()
    assert list_known(tmp_path, 7) == [0, 1, 2, 4, 6]


def test_a_folder_that_was_removed_meanwhile_costs_no_more_than_its_images(tmp_path: Path) -> None:
    kept = open_kept(tmp_path / "kept")
    keep(kept, range(2))
    open_kept(tmp_path / "kept").clear(needed=())
    for path in (tmp_path / "kept").iterdir():
        path.unlink()
    keep(kept, [2])
    assert kept.read(name_key(0)) is None
    kept.close()
    keep_and_close(tmp_path / "kept", [3])
    assert list_known(tmp_path / "kept", 4) == [3]


def test_where_a_disk_has_no_locks_each_process_begins_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_values: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for n in range(3):
        keep_and_close(tmp_path, [n])
    assert len(list_files(tmp_path)) == 3
    assert list_known(tmp_path, 3) == [0, 1, 2]
    open_kept(tmp_path).clear(needed={name_key(1)})
    assert list_known(tmp_path, 3) == [1]
