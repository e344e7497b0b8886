"""Shards: each converts its own series, together they leave the bytes of one run."""

import hashlib
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from dicoms import Plan, make_volume, write_series
from hypothesis import given
from hypothesis import strategies as st
from ingesting import build_settings, ingest, snapshot

from medvision.errors import StaleOutputError
from medvision.io.ingest.plan import _SHARED
from medvision.io.ingest.run import convert_shard, index_folder, ingest_folder
from medvision.io.ingest.store import Shard
from medvision.layout import Layout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve series, one with a gap."""
    folder = tmp_path_factory.mktemp("archive")
    for n in range(12):
        plan = Plan(make_volume(seed=n), subject=f"P-{n}", study=f"1.3.{n}", series=f"1.2.{n}")
        paths = write_series(folder / str(n), plan)
        if n == 1:
            paths[2].unlink()
    return folder


@pytest.mark.parametrize("total", [1, 3, 16])
def test_shards_leave_the_bytes_of_one_run_and_the_gathering_converts_nothing(
    tmp_path, source, total
):
    expected = snapshot(ingest(source, tmp_path / "whole").layout.step("ingest"))
    layout, settings = Layout(tmp_path / "out"), build_settings(tmp_path / "out")
    assert index_folder(source, layout, settings=settings) == 59
    counts = [
        convert_shard(source, layout, settings=settings, shard=Shard(n, total))
        for n in range(1, total + 1)
    ]
    assert sum(n_done for n_done, _ in counts) == sum(n_all for _, n_all in counts) == 12
    summary = ingest_folder(source, layout, settings=settings)
    assert summary.n_done == 0
    assert snapshot(layout.step("ingest")) == expected
    names = {path.name for path in layout.ingest_shards.iterdir()}
    assert names == {"shard-1-of-1.sqlite"}


def test_shards_may_run_side_by_side(tmp_path, source):
    expected = snapshot(ingest(source, tmp_path / "whole").layout.step("ingest"))
    layout, settings = Layout(tmp_path / "out"), build_settings(tmp_path / "out")
    index_folder(source, layout, settings=settings)

    def work(number):
        return convert_shard(source, layout, settings=settings, shard=Shard(number, 4))

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(work, range(1, 5)))
    assert sum(n_done for n_done, _ in done) == 12
    assert ingest_folder(source, layout, settings=settings).n_done == 0
    assert snapshot(layout.step("ingest")) == expected


def test_another_number_of_shards_does_nothing_again(tmp_path, source):
    layout, settings = Layout(tmp_path / "out"), build_settings(tmp_path / "out")
    assert ingest_folder(source, layout, settings=settings).n_done == 12
    for n in range(1, 4):
        assert convert_shard(source, layout, settings=settings, shard=Shard(n, 3))[0] == 0


def list_times(layout: Layout) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in layout.images.iterdir()}


def test_added_subjects_are_work_for_their_own_shards_alone(tmp_path, source):
    archive = tmp_path / "archive"
    shutil.copytree(source, archive)
    layout, settings = Layout(tmp_path / "out"), build_settings(tmp_path / "out")

    def convert_all() -> list[int]:
        index_folder(archive, layout, settings=settings)
        shards = [Shard(n, 8) for n in range(1, 9)]
        return [convert_shard(archive, layout, settings=settings, shard=s)[0] for s in shards]

    assert sum(convert_all()) == 12
    ingest_folder(archive, layout, settings=settings)
    before = list_times(layout)
    for n in (20, 21):
        plan = Plan(make_volume(seed=n), subject=f"P-{n}", study=f"1.3.{n}", series=f"1.2.{n}")
        write_series(archive / str(n), plan)
    done = convert_all()
    assert sum(done) == 2
    assert sum(count > 0 for count in done) <= 2
    after = list_times(layout)
    assert len(after) == len(before) + 2 * 2
    assert before.items() <= after.items()


@given(st.integers(0, 16**32 - 1), st.integers(1, 2000))
def test_every_job_is_part_of_one_shard(number: int, total: int) -> None:
    key = f"{number:032x}"
    near = round(number / 16**32 * total)
    held = [n for n in range(1, total + 1) if abs(n - near) < 3 and Shard(n, total).holds(key)]
    assert len(held) == 1
    # Bounds touch: what one shard ends with, the next begins with.
    (own,) = held
    assert own == total or Shard(own, total).bounds[1] == Shard(own + 1, total).bounds[0]


def test_shards_are_of_about_one_size() -> None:
    keys = [hashlib.sha256(str(n).encode()).hexdigest()[:32] for n in range(8000)]
    counts = [sum(map(Shard(n, 8).holds, keys)) for n in range(1, 9)]
    assert sum(counts) == 8000
    assert max(counts) < 1.15 * min(counts)


def test_a_shard_finds_its_work_without_reading_that_of_others(tmp_path, source):
    layout, settings = Layout(tmp_path / "out"), build_settings(tmp_path / "out")
    index_folder(source, layout, settings=settings)
    with closing(sqlite3.connect(layout.ingest_index)) as connection:
        bounds = Shard(2, 5).bounds
        query = _SHARED.partition(" AS ")[2]
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", bounds)]
    searched = [step for step in plan if " files" in step or "own" in step or "other" in step]
    assert not any(step.startswith("SCAN") for step in searched), plan
    assert any("(series>? AND series<?)" in step for step in searched), plan


def test_a_shard_that_is_missing_is_done_by_the_gathering(tmp_path, source):
    layout, settings = Layout(tmp_path / "out"), build_settings(tmp_path / "out")
    index_folder(source, layout, settings=settings)
    n_done, _ = convert_shard(source, layout, settings=settings, shard=Shard(2, 2))
    assert ingest_folder(source, layout, settings=settings).n_done == 12 - n_done


def test_a_shard_wants_the_index_of_its_input_first(tmp_path, source):
    layout, settings = Layout(tmp_path / "out"), build_settings(tmp_path / "out")
    with pytest.raises(StaleOutputError, match="medvision ingest --index-only"):
        convert_shard(source, layout, settings=settings, shard=Shard(1, 2))
    index_folder(source, layout, settings=settings)
    other = build_settings(tmp_path / "out", kinds=frozenset({"nifti"}))
    with pytest.raises(StaleOutputError, match="medvision ingest --index-only"):
        convert_shard(source, layout, settings=other, shard=Shard(1, 2))


@pytest.mark.parametrize("total", [1, 2, 7, 16])
def test_every_job_belongs_to_one_shard(total):
    keys = [f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}{n:016x}" for n in range(500)]
    shards = [Shard(n, total) for n in range(1, total + 1)]
    assert all(sum(shard.holds(key) for shard in shards) == 1 for key in keys)
    assert all(any(shard.holds(key) for key in keys) for shard in shards)
