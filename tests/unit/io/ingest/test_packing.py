"""Images in packs: the same content as in files, grown at the end, whole after any kill."""

import errno
import fcntl
import io
import os
import shutil
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from dicoms import Plan, make_volume, write_series
from ingesting import Ingested, build_settings, ingest, snapshot

from medvision.errors import StorageError
from medvision.io.ingest import moving, packed, packer, store
from medvision.io.ingest import run as run_module
from medvision.io.ingest.jobs import Done
from medvision.io.ingest.packer import Packer
from medvision.io.ingest.run import convert_shard, index_folder, ingest_folder
from medvision.io.ingest.store import Shard, Store
from medvision.layout import Layout
from medvision.runtime.alone import open_alone
from medvision.runtime.files import PARTIAL_PREFIX
from medvision.runtime.packs import INDEX, read_file


def write_archive(folder: Path, numbers: range = range(4)) -> Path:
    """A few series, the second of them with a gap."""
    for n in numbers:
        plan = Plan(make_volume(seed=n), subject=f"P-{n}", study=f"1.3.{n}", series=f"1.2.{n}")
        paths = write_series(folder / str(n), plan)
        if n == 1:
            paths[2].unlink()
    return folder


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of all jobs that were done in this process, in their order."""
    keys: list[str] = []
    work = run_module.do_job

    def count(job, workshop):
        keys.append(job.key)
        return work(job, workshop)

    monkeypatch.setattr(run_module, "do_job", count)
    return keys


def pack(source: Path, out: Path) -> Ingested:
    return ingest(source, out, images="packs")


def look(result: Ingested) -> dict[str, bytes]:
    """All that ingestion left, as if each image were a file."""
    tables = {p: c for p, c in snapshot(result.layout.step("ingest")).items() if "images/" not in p}
    images = result.layout.images
    return tables | {f"images/{n}": read_file(images / n) for n, _ in result.summary.written}


def list_files(result: Ingested) -> list[str]:
    return sorted(path.name for path in result.layout.images.iterdir())


def read_zips(result: Ingested) -> dict[str, bytes]:
    """Name and content of all members, as another tool reads them."""
    found: dict[str, bytes] = {}
    for path in result.layout.images.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            held = {name: archive.read(name) for name in archive.namelist()}
            assert not held.keys() & found.keys()
            found |= held
    return found


def test_packs_hold_what_files_would(tmp_path: Path) -> None:
    source = write_archive(tmp_path / "in")
    files, packed = ingest(source, tmp_path / "files"), pack(source, tmp_path / "packs")
    assert look(packed) == snapshot(files.layout.step("ingest"))
    assert packed.summary.written == files.summary.written
    assert list_files(packed) == ["pack-1-of-1.zip", INDEX]
    assert {f"images/{n}": c for n, c in read_zips(packed).items()}.items() <= look(packed).items()
    assert len(read_zips(packed)) == 2 * len(packed.manifest)


@pytest.mark.slow
def test_workers_change_no_byte_of_a_pack(tmp_path: Path) -> None:
    source = write_archive(tmp_path / "in", range(6))
    one = ingest(source, tmp_path / "one", images="packs")
    many = ingest(source, tmp_path / "many", images="packs", workers=2)
    name = "pack-1-of-1.zip"
    assert (one.layout.images / name).read_bytes() == (many.layout.images / name).read_bytes()


def test_a_second_run_converts_nothing_and_touches_no_pack(tmp_path: Path, done: list[str]) -> None:
    source = write_archive(tmp_path / "in")
    first = pack(source, tmp_path / "out")
    path = first.layout.images / "pack-1-of-1.zip"
    before, told = path.stat().st_mtime_ns, look(first)
    assert len(done) == 4
    assert look(pack(source, tmp_path / "out")) == told
    assert (len(done), path.stat().st_mtime_ns) == (4, before)


def test_what_is_added_goes_behind_what_is_there(tmp_path: Path, done: list[str]) -> None:
    source = write_archive(tmp_path / "in")
    path = pack(source, tmp_path / "out").layout.images / "pack-1-of-1.zip"
    with zipfile.ZipFile(path) as archive:
        end = archive.start_dir
    before = path.read_bytes()[:end]
    done.clear()
    write_archive(source, range(4, 6))
    again = pack(source, tmp_path / "out")
    assert len(done) == 2
    assert path.read_bytes()[:end] == before
    assert look(again) == look(pack(source, tmp_path / "fresh"))
    assert read_zips(again) == read_zips(pack(source, tmp_path / "fresh"))


def test_added_subjects_touch_the_packs_of_their_own_shards_alone(tmp_path: Path) -> None:
    source = write_archive(tmp_path / "in", range(12))
    layout = Layout(tmp_path / "out")
    settings = build_settings(tmp_path / "out", images="packs")

    def convert_all() -> list[int]:
        index_folder(source, layout, settings=settings)
        shards = [Shard(n, 8) for n in range(1, 9)]
        n_done = [convert_shard(source, layout, settings=settings, shard=s)[0] for s in shards]
        assert ingest_folder(source, layout, settings=settings).n_done == 0
        return n_done

    convert_all()
    before = {path: path.stat().st_mtime_ns for path in layout.images.glob("*.zip")}
    assert 2 <= len(before) <= 8
    write_archive(source, range(20, 22))
    n_done = convert_all()
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert sum(n_done) == 2
    assert changed <= {f"pack-{n}-of-8.zip" for n, held in enumerate(n_done, 1) if held}
    assert len(list(layout.images.iterdir())) <= 9


def test_what_was_removed_or_changed_is_no_member_any_more(tmp_path: Path) -> None:
    source = write_archive(tmp_path / "in")
    pack(source, tmp_path / "out")
    shutil.rmtree(source / "0")
    shutil.rmtree(source / "2")
    plan = Plan(make_volume(seed=9), subject="P-2", study="1.3.2", series="1.2.2")
    write_series(source / "2", plan)
    again, fresh = pack(source, tmp_path / "out"), pack(source, tmp_path / "fresh")
    assert look(again) == look(fresh)
    assert read_zips(again) == read_zips(fresh)


def test_another_setting_writes_in_the_place_of_what_it_replaces(tmp_path: Path) -> None:
    source = write_archive(tmp_path / "in")
    first = pack(source, tmp_path / "out")
    path = first.layout.images / "pack-1-of-1.zip"
    n_bytes = path.stat().st_size
    again = ingest(source, tmp_path / "out", images="packs", gap=0.2)
    assert again.summary.n_done == 4
    assert path.stat().st_size == n_bytes


def test_another_number_of_shards_converts_nothing_again(tmp_path: Path) -> None:
    source, layout = write_archive(tmp_path / "in", range(8)), Layout(tmp_path / "out")
    settings = build_settings(tmp_path / "out", images="packs")
    assert ingest_folder(source, layout, settings=settings).n_done == 8
    for n in range(1, 4):
        assert convert_shard(source, layout, settings=settings, shard=Shard(n, 3))[0] == 0
    assert ingest_folder(source, layout, settings=settings).n_done == 0


def test_from_files_to_packs_and_back_nothing_is_converted_again_nor_left(
    tmp_path: Path, done: list[str]
) -> None:
    source = write_archive(tmp_path / "in")
    files = ingest(source, tmp_path / "out")
    expected, names = snapshot(files.layout.step("ingest")), list_files(files)
    packed = pack(source, tmp_path / "out")
    assert list_files(packed) == ["pack-1-of-1.zip", INDEX]
    assert look(packed) == expected
    assert len(read_zips(packed)) == 2 * len(packed.manifest)
    assert list_files(ingest(source, tmp_path / "out")) == names
    assert snapshot(files.layout.step("ingest")) == expected
    assert len(done) == 4


def divide(source: Path, out: Path, *, total: int, images: str) -> Ingested:
    """Ingest in parts, as the workflow does; none of them converts anything."""
    settings, layout = build_settings(out, images=images), Layout(out)
    index_folder(source, layout, settings=settings)
    for number in range(1, total + 1):
        shard = Shard(number, total)
        assert convert_shard(source, layout, settings=settings, shard=shard)[0] == 0
    return Ingested(layout, ingest_folder(source, layout, settings=settings))


def test_from_one_shard_by_name_to_three_in_packs_and_back_nothing_is_converted_again(
    tmp_path: Path, done: list[str]
) -> None:
    source, out = write_archive(tmp_path / "in", range(9)), tmp_path / "out"
    files = ingest(source, out)
    expected = snapshot(files.layout.step("ingest"))
    packed = divide(source, out, total=3, images="packs")
    assert list_files(packed) == [*(f"pack-{n}-of-3.zip" for n in (1, 2, 3)), INDEX]
    assert look(packed) == expected
    assert packed.summary.n_done == 0
    ingest(source, out)
    assert snapshot(files.layout.step("ingest")) == expected
    assert len(done) == 9


@pytest.mark.parametrize("kind", ["files", "packs"])
def test_what_a_shard_has_made_anew_is_not_converted_again_where_shards_are_gathered(
    tmp_path: Path, done: list[str], kind: str
) -> None:
    """The gathering knows of an earlier one, whose image is gone since."""
    source, out = write_archive(tmp_path / "in", range(6)), tmp_path / "out"
    first = ingest(source, out, images=kind)
    expected = look(first)
    next(first.layout.images.glob("*.nii.gz" if kind == "files" else "*.zip")).unlink()
    settings = build_settings(out, images=kind)
    done.clear()
    made = [
        convert_shard(source, first.layout, settings=settings, shard=Shard(number, 3))[0]
        for number in (1, 2, 3)
    ]
    again = Ingested(first.layout, ingest_folder(source, first.layout, settings=settings))
    assert sum(made) == len(done) == (1 if kind == "files" else 5)
    assert again.summary.n_done == 0
    assert look(again) == expected


@pytest.mark.parametrize("kind", ["files", "packs"])
def test_what_was_damaged_unseen_is_converted_again_where_it_shall_be_moved(
    tmp_path: Path, done: list[str], kind: str
) -> None:
    """A byte of a content is another: neither size and time of a file nor a header tells."""
    source, out = write_archive(tmp_path / "in"), tmp_path / "out"
    first, other = ingest(source, out, images=kind), {"files": "packs", "packs": "files"}[kind]
    expected = look(first)
    path = next(first.layout.images.glob("*.nii.gz" if kind == "files" else "*.zip"))
    content, status = bytearray(path.read_bytes()), path.stat()
    content[200] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    done.clear()
    again = ingest(source, out, images=other)
    assert (len(done), again.summary.n_done) == (1, 1)
    assert look(again) == expected


# Damage.


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def spoil_headers(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"PK\x03\x04", b"PK\x00\x00"))


@pytest.mark.parametrize("damage", [cut, spoil_headers, Path.unlink])
def test_a_damaged_pack_costs_the_work_and_nothing_else(
    tmp_path: Path, done: list[str], damage: Callable[[Path], None]
) -> None:
    source = write_archive(tmp_path / "in")
    first = pack(source, tmp_path / "out")
    before = look(first)
    damage(first.layout.images / "pack-1-of-1.zip")
    done.clear()
    again = pack(source, tmp_path / "out")
    assert look(again) == before
    assert len(read_zips(again)) == 2 * len(again.manifest)
    assert done


def test_an_index_that_is_lost_or_broken_is_made_anew(tmp_path: Path, done: list[str]) -> None:
    source = write_archive(tmp_path / "in")
    first = pack(source, tmp_path / "out")
    before = look(first)
    for damage in (Path.unlink, lambda path: path.write_bytes(b"no database")):
        damage(first.layout.images / INDEX)
        assert look(pack(source, tmp_path / "out")) == before
    assert len(done) == 4


DISK_FAULTS = [errno.ENOSPC, errno.EROFS, errno.EIO, errno.ESTALE]


@pytest.mark.parametrize("fault", DISK_FAULTS)
def test_a_full_disk_is_said_and_what_was_kept_stays(
    tmp_path: Path, done: list[str], monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    monkeypatch.setattr(store, "_COMMIT_S", 0)
    source = write_archive(tmp_path / "in", range(6))
    copy, n_copies = packer._copy, [0]

    def fail(path, target):
        n_copies[0] += 1
        if n_copies[0] == 6:
            target.write(b"half")
            raise OSError(fault, "no")
        return copy(path, target)

    monkeypatch.setattr(packer, "_copy", fail)
    with pytest.raises(StorageError, match="must be writable"):
        pack(source, tmp_path / "out")
    monkeypatch.setattr(packer, "_copy", copy)
    n_before = len(done)
    again = pack(source, tmp_path / "out")
    assert len(done) - n_before < 6
    assert look(again) == look(pack(source, tmp_path / "fresh"))


@pytest.mark.parametrize("fault", DISK_FAULTS)
def test_what_cannot_be_brought_to_the_disk_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    source = write_archive(tmp_path / "in")

    def fail(_: int) -> None:
        raise OSError(fault, "no")

    monkeypatch.setattr(packer.os, "fsync", fail)
    with pytest.raises(StorageError):
        pack(source, tmp_path / "out")
    monkeypatch.undo()
    kept = Store(tmp_path / "out/ingest/shards", Shard(1, 1))
    assert list(kept.list_jobs()) == []
    kept.close()


class Torn(io.FileIO):
    """A file whose disk says at the very end that it could not hold it."""

    fault = 0

    def close(self) -> None:
        was_open = not self.closed
        super().close()
        if was_open:
            raise OSError(self.fault, "no")


@pytest.mark.parametrize("fault", DISK_FAULTS)
def test_a_pack_that_cannot_be_closed_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    source = write_archive(tmp_path / "in")
    monkeypatch.setattr(Torn, "fault", fault)
    monkeypatch.setattr(packer, "open_alone", lambda path: Torn(path, "w+b"))
    with pytest.raises(StorageError, match="must be writable"):
        pack(source, tmp_path / "out")
    monkeypatch.undo()
    assert not list((tmp_path / "out").rglob("*.nii.gz"))
    assert look(pack(source, tmp_path / "out")) == look(pack(source, tmp_path / "fresh"))


@pytest.mark.parametrize("fault", DISK_FAULTS)
def test_a_pack_that_cannot_be_finished_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(fault, "no")

    monkeypatch.setattr(packed, "_finish", fail)
    with pytest.raises(StorageError, match="must be writable"):
        pack(write_archive(tmp_path / "in"), tmp_path / "out")


@pytest.mark.parametrize("breaks", [False, True])
def test_a_run_that_fails_keeps_only_what_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: bool
) -> None:
    source = write_archive(tmp_path / "in")
    synced: list[int] = []
    take, n_taken = Packer.take, [0]

    def sync(_: int) -> None:
        if breaks:
            raise OSError(errno.ENOSPC, "no")
        synced.append(n_taken[0])

    def fail_at_third(self: Packer, job: Done, staged: Path) -> Done:
        if n_taken[0] == 2:
            raise RuntimeError
        n_taken[0] += 1
        return take(self, job, staged)

    monkeypatch.setattr(packer.os, "fsync", sync)
    monkeypatch.setattr(Packer, "take", fail_at_third)
    monkeypatch.setattr(store, "_COMMIT_S", 1e9)
    with pytest.raises(StorageError if breaks else RuntimeError):
        pack(source, tmp_path / "out")
    monkeypatch.undo()
    kept = Store(tmp_path / "out/ingest/shards", Shard(1, 1))
    assert len(list(kept.list_jobs())) == (0 if breaks else 2)
    assert synced == ([] if breaks else [2])
    kept.close()


# Killed, and two at once.


def kill_after(
    target: object, name: str, nth: int, source: Path, out: Path, *, images: str = "packs"
) -> bool:
    """Ingest in a child that dies before the nth call of a function; say whether it died."""
    child = os.fork()
    if child == 0:
        count, function = [0], getattr(target, name)

        def die(*values, **named):
            count[0] += 1
            if count[0] == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*values, **named)

        setattr(target, name, die)
        store._COMMIT_S = 0
        ingest(source, out, images=images)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "name"),
    [
        (packer, "write_all"),
        (packer, "build_header"),
        (Packer, "sync"),
        (Store, "put"),
        (Path, "unlink"),
        (Path, "replace"),
    ],
)
def test_a_run_killed_at_any_step_ends_as_if_it_had_not_been(
    tmp_path: Path, target: object, name: str
) -> None:
    source = write_archive(tmp_path / "in")
    whole = pack(source, tmp_path / "whole")
    n_kills = 0
    for nth in range(1, 40):
        out = tmp_path / f"out-{nth}"
        if not kill_after(target, name, nth, source, out):
            break
        n_kills += 1
        again = pack(source, out)
        # A table that is half written is removed with the step, not by the wing.
        assert {p: c for p, c in look(again).items() if PARTIAL_PREFIX not in p} == look(whole)
        assert read_zips(again) == read_zips(whole)
        assert list_files(again) == list_files(whole)
        assert not list((out / "ingest/.spool").iterdir())
    assert n_kills > 1


@pytest.mark.slow
def test_what_was_finished_before_a_kill_is_not_done_again(tmp_path: Path, done: list[str]) -> None:
    source = write_archive(tmp_path / "in", range(6))
    assert kill_after(Store, "put", 5, source, tmp_path / "out")
    pack(source, tmp_path / "out")
    assert len(done) == 2


@pytest.mark.slow
def test_a_kill_while_subjects_are_added_leaves_the_earlier_ones(
    tmp_path: Path, done: list[str]
) -> None:
    source = write_archive(tmp_path / "in")
    pack(source, tmp_path / "out")
    write_archive(source, range(4, 8))
    assert kill_after(packer, "_copy", 4, source, tmp_path / "out")
    done.clear()
    again = pack(source, tmp_path / "out")
    assert len(done) < 4
    assert look(again) == look(pack(source, tmp_path / "fresh"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "name", "kinds"),
    [
        (packer, "write_all", ("files", "packs")),
        (Packer, "sync", ("files", "packs")),
        (Store, "put", ("files", "packs")),
        (moving, "writing", ("packs", "files")),
        (Store, "put", ("packs", "files")),
    ],
)
def test_a_kill_while_images_are_moved_loses_none(
    tmp_path: Path,
    done: list[str],
    target: object,
    name: str,
    kinds: tuple[str, str],
) -> None:
    source, out = write_archive(tmp_path / "in"), tmp_path / "out"
    expected = look(ingest(source, out, images=kinds[0]))
    done.clear()
    assert kill_after(target, name, 3, source, out, images=kinds[1])
    again = ingest(source, out, images=kinds[1])
    assert done == []
    assert look(again) == expected
    assert (list_files(again) == ["pack-1-of-1.zip", INDEX]) == (kinds[1] == "packs")


def test_a_late_second_process_that_moves_cuts_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: list[str]
) -> None:
    """The first plans, a second moves the whole shard, and only then the first moves anything."""
    source, layout = write_archive(tmp_path / "in"), Layout(tmp_path / "out")
    expected = look(ingest(source, tmp_path / "out"))
    settings = build_settings(tmp_path / "out", images="packs")
    index_folder(source, layout, settings=settings)
    path, move = layout.images / "pack-1-of-1.zip", run_module.move_misplaced
    other: list[bytes] = []

    def come_late(*values, **named):
        if not other:
            other.append(b"")
            convert_shard(source, layout, settings=settings, shard=Shard(1, 1))
            other[0] = path.read_bytes()
        return move(*values, **named)

    monkeypatch.setattr(run_module, "move_misplaced", come_late)
    convert_shard(source, layout, settings=settings, shard=Shard(1, 1))
    monkeypatch.undo()
    assert other[0]
    assert path.read_bytes() == other[0]
    result = Ingested(layout, ingest_folder(source, layout, settings=settings))
    assert look(result) == expected
    assert read_zips(result).keys() == {name for name, _ in result.summary.written}


def test_a_pack_that_another_process_writes_to_is_left_to_it(tmp_path: Path) -> None:
    source = write_archive(tmp_path / "in")
    layout = Layout(tmp_path / "out")
    settings = build_settings(tmp_path / "out", images="packs")
    index_folder(source, layout, settings=settings)
    layout.images.mkdir(parents=True)
    other = open_alone(layout.images / "pack-1-of-2.zip")
    assert other is not None
    other.write(b"of somebody else")
    for n in (1, 2):
        convert_shard(source, layout, settings=settings, shard=Shard(n, 2))
    summary = ingest_folder(source, layout, settings=settings)
    result = Ingested(layout, summary)
    assert "pack-1-of-2.2.zip" in list_files(result)
    assert look(result) == look(pack(source, tmp_path / "whole"))
    # Nothing refers to it: it was removed, and who writes to it writes to nothing.
    assert "pack-1-of-2.zip" not in list_files(result)
    other.close()


def test_what_another_process_did_after_the_plan_is_not_cut_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first plans, a second does the whole shard, and only then the first takes anything."""
    source, layout = write_archive(tmp_path / "in"), Layout(tmp_path / "out")
    settings = build_settings(tmp_path / "out", images="packs")
    index_folder(source, layout, settings=settings)
    path, shard, take = layout.images / "pack-1-of-2.zip", Shard(1, 2), Packer.take
    other: list[bytes] = []

    def come_late(self: Packer, job: Done, staged: Path) -> Done:
        if not other:
            other.append(b"")
            convert_shard(source, layout, settings=settings, shard=shard)
            other[0] = path.read_bytes()
            taken = take(self, job, staged)
            assert path.read_bytes()[: len(other[0])] == other[0]
            return taken
        return take(self, job, staged)

    monkeypatch.setattr(Packer, "take", come_late)
    convert_shard(source, layout, settings=settings, shard=shard)
    monkeypatch.undo()
    assert other[0]
    convert_shard(source, layout, settings=settings, shard=Shard(2, 2))
    summary = ingest_folder(source, layout, settings=settings)
    assert summary.n_done == 0
    result = Ingested(layout, summary)
    whole = pack(source, tmp_path / "whole")
    assert look(result) == look(whole)
    assert read_zips(result) == read_zips(whole)


def test_where_a_disk_has_no_locks_only_a_new_pack_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    source = write_archive(tmp_path / "in")
    first = pack(source, tmp_path / "out")
    before = (first.layout.images / "pack-1-of-1.zip").read_bytes()
    write_archive(source, range(4, 6))
    again = pack(source, tmp_path / "out")
    assert (first.layout.images / "pack-1-of-1.zip").read_bytes() == before
    assert "pack-1-of-1.2.zip" in list_files(again)
    assert len(read_zips(again)) == 2 * len(again.manifest)
    assert look(again) == look(pack(source, tmp_path / "fresh"))
