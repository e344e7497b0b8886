"""Fresh, again, after changes, after a kill: the same bytes, and no work that was done before."""

import os
import shutil
import signal
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicoms import Plan, make_volume, write_series
from ingesting import Ingested, ingest, snapshot

from medvision.io.ingest import refresh, store
from medvision.io.ingest import run as run_module
from medvision.io.ingest.index import Index
from medvision.io.ingest.store import Store


def write_archive(folder: Path, *, n_series: int = 4) -> Path:
    """A few series, one of them with a gap, and a text."""
    for n in range(n_series):
        plan = Plan(make_volume(seed=n), subject=f"P-{n}", study=f"1.3.{n}", series=f"1.2.{n}")
        paths = write_series(folder / str(n), plan)
        if n == 1:
            paths[2].unlink()
    (folder / "notes.txt").write_text("words")
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


def look(result: Ingested) -> dict[str, bytes]:
    return snapshot(result.layout.step("ingest"))


def test_a_second_run_converts_nothing_and_leaves_every_byte_and_time(tmp_path, done):
    source = write_archive(tmp_path / "in")
    first = ingest(source, tmp_path / "out")
    assert (first.summary.n_done, len(done)) == (4, 4)
    before, times = look(first), list_times(first)
    second = ingest(source, tmp_path / "out")
    assert (second.summary.n_done, len(done)) == (0, 4)
    assert look(second) == before
    assert list_times(second) == times
    assert second.summary.written == first.summary.written


def list_times(result: Ingested) -> dict[str, int]:
    """Return when each image was written."""
    return {path.name: path.stat().st_mtime_ns for path in result.layout.images.iterdir()}


def test_what_was_added_changed_or_removed_is_all_that_is_done(tmp_path, done):
    source = write_archive(tmp_path / "in")
    before = {row["image_id"] for row in ingest(source, tmp_path / "out").manifest}
    shutil.rmtree(source / "0")
    changed = Plan(make_volume(seed=9), subject="P-2", study="1.3.2", series="1.2.2")
    shutil.rmtree(source / "2")
    write_series(source / "2", changed)
    write_series(source / "7", Plan(make_volume(seed=7), subject="P-7", series="1.2.7"))
    done.clear()
    second = ingest(source, tmp_path / "out")
    assert len(done) == 2
    assert look(second) == look(ingest(source, tmp_path / "fresh"))
    assert len(before & {row["image_id"] for row in second.manifest}) == 2
    assert len(list(second.layout.images.iterdir())) == 2 * len(second.manifest)


def test_a_slice_that_arrives_late_mends_its_series(tmp_path, done):
    plan = Plan(make_volume())
    paths = write_series(tmp_path / "in" / "a", plan)
    write_series(tmp_path / "in" / "b", Plan(make_volume(seed=1), subject="P-2", series="1.2.9"))
    content = paths[2].read_bytes()
    paths[2].unlink()
    assert ingest(tmp_path / "in", tmp_path / "out").reasons() == {"missing-slice": 4}
    paths[2].write_bytes(content)
    done.clear()
    second = ingest(tmp_path / "in", tmp_path / "out")
    assert (len(done), second.reasons(), len(second.manifest)) == (1, {}, 2)


def test_a_sidecar_of_a_nifti_that_changes_is_read_again(tmp_path, done):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("sub-1_bold", "sub-2_bold"):
        image = nibabel.Nifti1Image(make_volume(), np.diag([2.0, 2, 3, 1]))
        nibabel.save(image, source / f"{name}.nii.gz")
    ingest(source, tmp_path / "out")
    for name, text in (
        ("sub-1_bold.json", '{"RepetitionTime": 2.0}'),
        ("sub-1_bold.json", '{"RepetitionTime": 2.25}'),
        ("sub-2_bold.bval", "0 1000"),
    ):
        (source / name).write_text(text)
        done.clear()
        again = ingest(source, tmp_path / "out")
        assert len(done) == 1
        shutil.rmtree(tmp_path / "fresh", ignore_errors=True)
        assert look(again) == look(ingest(source, tmp_path / "fresh"))


def test_the_other_half_of_a_pair_that_changes_is_read_again(tmp_path, done):
    source = tmp_path / "in"
    source.mkdir()
    for seed in (1, 2):
        nibabel.save(nibabel.Nifti1Pair(make_volume(seed=seed), np.eye(4)), source / "P-1.hdr")
        done.clear()
        result = ingest(source, tmp_path / "out")
        assert len(done) == 1
        assert [row["verdict"] for row in result.sources] == ["converted", "converted"]
        np.testing.assert_array_equal(result.load_only()[0], make_volume(seed=seed))


def test_an_image_that_was_removed_or_touched_is_made_again(tmp_path, done):
    source = write_archive(tmp_path / "in")
    first = ingest(source, tmp_path / "out")
    before = look(first)
    one, other = sorted(first.layout.images.glob("*.nii.gz"))[:2]
    one.unlink()
    other.write_bytes(b"spoilt")
    done.clear()
    assert look(ingest(source, tmp_path / "out")) == before
    assert len(done) == 2


def test_another_setting_converts_anew_and_leaves_the_index(tmp_path, done, monkeypatch):
    source = write_archive(tmp_path / "in")
    ingest(source, tmp_path / "out")
    opened = []
    monkeypatch.setattr(Index, "put", lambda _, entries: opened.append(entries))
    ingest(source, tmp_path / "out", gap=0.2)
    assert (len(done), opened) == (8, [])


def test_files_that_belong_to_no_series_any_more_are_removed(tmp_path):
    source = write_archive(tmp_path / "in")
    result = ingest(source, tmp_path / "out")
    for name in ("sub-0_img-0.nii.gz", ".part-abc.nii.gz"):
        (result.layout.images / name).write_bytes(b"left over")
    before = {row["image_id"] for row in result.manifest}
    again = ingest(source, tmp_path / "out")
    assert {path.name.split(".")[0] for path in again.layout.images.iterdir()} == before


@pytest.mark.parametrize("damage", [b"", b"no database"])
def test_a_broken_store_costs_the_work_and_nothing_else(tmp_path, done, damage):
    source = write_archive(tmp_path / "in")
    before = look(ingest(source, tmp_path / "out"))
    (tmp_path / "out" / "ingest" / "shards" / "shard-1-of-1.sqlite").write_bytes(damage)
    done.clear()
    assert look(ingest(source, tmp_path / "out")) == before
    assert len(done) == 4


def test_a_series_whose_file_could_not_be_read_is_tried_again(tmp_path, done, monkeypatch):
    from medvision.io.ingest.workshop import Workshop
    from medvision.io.reasons import RefusalError

    source = write_archive(tmp_path / "in")
    read = Workshop.read_file

    def refuse(workshop, path):
        if path.startswith("3/"):
            raise RefusalError("unreadable", "file must be readable, got OSError")
        return read(workshop, path)

    monkeypatch.setattr(Workshop, "read_file", refuse)
    assert ingest(source, tmp_path / "out").reasons()["unreadable"] == 5
    monkeypatch.setattr(Workshop, "read_file", read)
    done.clear()
    assert ingest(source, tmp_path / "out").reasons() == {"missing-slice": 4}
    assert len(done) == 1


def test_a_defect_in_one_series_stops_no_other(tmp_path, monkeypatch, caplog):
    from medvision.io.ingest import jobs

    source = write_archive(tmp_path / "in")
    convert = jobs.convert

    def fail(work, workshop):
        if any(item.path.startswith("3/") for item in work.instances):
            raise ZeroDivisionError("Muster^Max")
        return convert(work, workshop)

    monkeypatch.setattr(jobs, "convert", fail)
    result = ingest(source, tmp_path / "out")
    assert result.reasons() == {"missing-slice": 4, "undecodable": 5}
    assert "ZeroDivisionError" in caplog.text
    assert "Muster" not in caplog.text
    assert "Muster" not in result.layout.rejects.read_text()


# Killed.


def kill_after(target: type, name: str, nth: int, source: Path, out: Path) -> bool:
    """Ingest in a child that dies after the nth call of a method; say whether it died."""
    child = os.fork()
    if child == 0:
        count, method = [0], getattr(target, name)

        def die(*values, **named):
            result = method(*values, **named)
            count[0] += 1
            if count[0] == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(target, name, die)
        ingest(source, out)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "name"), [(Path, "replace"), (Store, "put"), (Index, "put"), (Path, "unlink")]
)
def test_a_run_killed_at_any_step_ends_as_if_it_had_not_been(tmp_path, target, name, monkeypatch):
    monkeypatch.setattr(refresh, "_CHUNK", 3)
    source = write_archive(tmp_path / "in")
    expected = look(ingest(source, tmp_path / "whole"))
    n_kills = 0
    for nth in range(1, 40):
        out = tmp_path / f"out-{nth}"
        if not kill_after(target, name, nth, source, out):
            break
        n_kills += 1
        assert not (out / "ingest" / "manifest.tsv").exists() or (name, nth) > ("replace", 3)
        assert look(ingest(source, out)) == expected
    assert n_kills > 1


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    source = write_archive(tmp_path / "in", n_series=8)
    expected = look(ingest(source, tmp_path / "whole"))
    for nth in (1, 2, 3, 4, 5, 6):
        kill_after(Path, "replace", nth, source, tmp_path / "out")
    assert look(ingest(source, tmp_path / "out")) == expected


@pytest.mark.slow
def test_what_was_finished_before_a_kill_is_not_done_again(tmp_path, done, monkeypatch):
    monkeypatch.setattr(store, "_COMMIT_S", 0)
    source = write_archive(tmp_path / "in", n_series=6)
    assert kill_after(Store, "put", 4, source, tmp_path / "out")
    ingest(source, tmp_path / "out")
    assert len(done) == 2
