"""The store: rows as numpy reads them, equal bytes however they came about, bad input."""

import errno
import hashlib
import json
import os
import shutil
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from keeping import list_files, list_kept

from medvision.config.preprocess import PreprocessSection
from medvision.domain.volume import parse_shape
from medvision.errors import ConfigError, DataError, GeometryError, StorageError
from medvision.preprocess.bench import Bench
from medvision.preprocess.earlier import EarlierStore
from medvision.preprocess.encoding import Encoded, choose_dtype, decode, encode, measure_rounding
from medvision.preprocess.execute import build_executor
from medvision.preprocess.journal import Journal
from medvision.preprocess.keys import build_tasks, choose_shard, group_by_shard
from medvision.preprocess.plan import build_plan
from medvision.preprocess.recipe import Recipe
from medvision.preprocess.rejection import Rejection
from medvision.preprocess.rows import Row
from medvision.preprocess.store import (
    StoredRow,
    StoreResult,
    Workshop,
    check_classes_left,
    clear_needless,
    compute_missing,
    compute_shard,
    select_shard,
    write_store,
)


def load(image_id):
    """Return a small image whose id says what is wrong with it."""
    if image_id.startswith("unreadable"):
        raise GeometryError("affine must be right.")
    seed = int(hashlib.sha256(image_id.encode()).hexdigest()[:6], 16)
    grid = np.random.default_rng(seed).normal(-400, 300, size=(9, 8, 5)).astype(np.float32)
    if image_id.startswith("nan"):
        grid[0] = np.nan
    if image_id.startswith("flat"):
        grid[:] = 7
    return grid, np.diag([-2.0, -2.0, 5.0, 1.0])


def load_2d(image_id):
    grid, affine = load(image_id)
    return grid[:, :, :1], affine


def load_and_note(notes: Path, image_id):
    """Load, and write down that it was done, whichever process does it."""
    with notes.open("a") as stream:
        stream.write(image_id + "\n")
    return load(image_id)


class Study:
    """A folder in which stores are written one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self, image_ids, *, loader=load, spatial_dims=3, workers=1, **changes):
        section = PreprocessSection(**{"size": (8, 8, 6), **changes})
        recipe = Recipe(
            load=loader,
            plan=build_plan(spatial_dims=spatial_dims, **section.pipeline),
            dtype=section.dtype,
            max_rounding=section.max_rounding,
            keep_after=section.keep_after,
            journal=self.folder / "journal",
            kept=self.folder / "kept",
        )
        sources = {image_id: f"file {image_id}" for image_id in image_ids}
        tasks = build_tasks(sources, recipe.plan, keep_after=section.keep_after)
        earlier = EarlierStore(self.folder / "index.tsv", find_shard=self.shard)
        return Workshop(recipe, workers, earlier), tasks

    def shard(self, name) -> Path:
        return self.folder / f"arrays-{name}.npy"

    def write(self, image_ids, *, n_shards=1, is_final=True, **settings) -> StoreResult:
        workshop, tasks = self.prepare(image_ids, **settings)
        result = write_store(
            tasks,
            workshop,
            find_shard=lambda number: self.shard(f"{number}-of-{n_shards}"),
            n_shards=n_shards,
        )
        if is_final:
            self.index(result, n_shards=n_shards)
            Journal(self.folder / "journal").clear()
        return result

    def index(self, result: StoreResult, *, n_shards=1) -> None:
        """Write the columns that a later run reads."""
        from dataclasses import fields

        names = [field.name for field in fields(Row)]
        lines = ["\t".join(("shard", *names))]
        for stored in result.rows:
            values = {name: getattr(stored.row, name) for name in names}
            values["shape"] = "x".join(map(str, stored.row.shape))
            shard = f"{stored.shard}-of-{n_shards}"
            lines.append("\t".join((shard, *(str(values[name]) for name in names))))
        (self.folder / "index.tsv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def read_bytes(study, n_shards=1):
    return [study.shard(f"{n}-of-{n_shards}").read_bytes() for n in range(1, n_shards + 1)]


def test_rows_are_the_transformed_images_by_id(study):
    result = study.write(["b", "a"], dtype="float32")
    stored = np.load(study.shard("1-of-1"), mmap_mode="r")
    assert stored.shape == result.shape == (2, 1, 8, 8, 6)
    assert stored.dtype == np.float32
    section = PreprocessSection(size=(8, 8, 6))
    execute = build_executor(build_plan(spatial_dims=3, **section.pipeline))
    for place, kept in enumerate(result.rows):
        expected = execute(*load(kept.row.image_id))
        np.testing.assert_array_equal(stored[place], expected.array)
        found = np.array(json.loads(kept.row.tensor_affine))
        np.testing.assert_allclose(found, expected.affine, atol=1e-9)
    assert [kept.row.image_id for kept in result.rows] == ["a", "b"]
    assert parse_shape(result.rows[0].row.source_shape) == (9, 8, 5)


def test_2d_rows_have_no_third_axis(study):
    result = study.write(["a"], spatial_dims=2, loader=load_2d)
    assert result.shape == np.load(study.shard("1-of-1")).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int16"])
def test_file_is_numpys_own(study, dtype):
    study.write([f"img-{n}" for n in range(11)], dtype=dtype)
    stored = np.load(study.shard("1-of-1"))
    np.save(study.folder / "plain.npy", stored)
    assert stored.dtype == dtype
    assert read_bytes(study) == [(study.folder / "plain.npy").read_bytes()]


def test_bad_images_are_rejected_and_the_rest_goes_on(study):
    result = study.write(["nan-1", "a", "flat-1", "unreadable-1", "b"])
    assert [kept.row.image_id for kept in result.rows] == ["a", "b"]
    assert {(item.image_id, item.reason) for item in result.rejections} == {
        ("nan-1", "not-finite"),
        ("flat-1", "constant"),
        ("unreadable-1", "bad-geometry"),
    }


def test_workers_and_parts_computed_apart_change_no_byte(tmp_path):
    image_ids = [f"img-{n}" for n in range(7)] + ["nan-1"]
    alone = Study(tmp_path / "alone")
    alone.write(image_ids, n_shards=3)
    together = Study(tmp_path / "together")
    together.write(image_ids, n_shards=3, workers=2)
    apart = Study(tmp_path / "apart")
    for number in (3, 1, 2):
        workshop, tasks = apart.prepare(image_ids)
        compute_shard(tasks, workshop, shard=number, n_shards=3)
    notes = tmp_path / "notes"
    apart.write(image_ids, n_shards=3, loader=partial(load_and_note, notes))
    assert read_bytes(alone, 3) == read_bytes(together, 3) == read_bytes(apart, 3)
    assert not notes.exists()


def test_rows_computed_for_another_number_of_shards_are_found(tmp_path):
    image_ids = [f"img-{n}" for n in range(7)]
    notes = tmp_path / "notes"
    study = Study(tmp_path / "study")
    for total in (3, 2, 3):
        for number in range(1, total + 1):
            workshop, tasks = study.prepare(image_ids, loader=partial(load_and_note, notes))
            compute_shard(tasks, workshop, shard=number, n_shards=total)
    study.write(image_ids, n_shards=2, loader=partial(load_and_note, notes))
    assert sorted(notes.read_text().split()) == image_ids
    alone = Study(tmp_path / "alone")
    alone.write(image_ids, n_shards=2)
    assert read_bytes(study, 2) == read_bytes(alone, 2)


def test_shard_of_an_image_depends_on_no_other():
    image_ids = [f"img-{n}" for n in range(200)]
    groups = group_by_shard(image_ids, n_shards=5)
    assert sorted(name for group in groups for name in group) == sorted(image_ids)
    assert min(map(len, groups)) > 20
    for number, group in enumerate(groups, start=1):
        assert {choose_shard(image_id, n_shards=5) for image_id in group} == {number}


def test_a_shard_without_an_image_is_an_empty_array(study):
    study.write(["a"], n_shards=4)
    lengths = [len(np.load(study.shard(f"{n}-of-4"), mmap_mode="r")) for n in range(1, 5)]
    assert sorted(lengths) == [0, 0, 0, 1]


def test_added_images_alone_are_computed(study, tmp_path):
    study.write(["a", "c"])
    notes = tmp_path / "notes"
    study.write(["a", "b", "c"], loader=partial(load_and_note, notes))
    assert notes.read_text().split() == ["b"]
    fresh = Study(tmp_path / "fresh")
    fresh.write(["a", "b", "c"])
    assert read_bytes(study) == read_bytes(fresh)


def test_interrupted_run_goes_on_where_it_was(study, tmp_path):
    def interrupted(image_id):
        if image_id == "b":
            raise KeyboardInterrupt
        return load(image_id)

    with pytest.raises(KeyboardInterrupt):
        study.write(["a", "b"], loader=interrupted)
    assert [path.name for path in study.folder.iterdir()] == ["journal"]
    notes = tmp_path / "notes"
    study.write(["a", "b"], loader=partial(load_and_note, notes))
    assert notes.read_text().split() == ["b"]


@pytest.mark.parametrize("where", ["journal", "shard"])
@pytest.mark.parametrize("how", ["truncated", "flipped"])
def test_damaged_row_is_computed_again(study, tmp_path, where, how):
    study.write(["a", "b"], is_final=where == "shard")
    whole = read_bytes(study)
    if where == "journal":
        study.shard("1-of-1").unlink()
    (path, *_) = sorted((study.folder / "journal").glob("*")) or [study.shard("1-of-1")]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content[:-8] if how == "truncated" else content)
    notes = tmp_path / "notes"
    study.write(["a", "b"], loader=partial(load_and_note, notes))
    assert read_bytes(study) == whole
    # A file cut short cannot be mapped, so nothing of it is kept.
    assert len(notes.read_text().split()) == (2 if (where, how) == ("shard", "truncated") else 1)


def test_another_window_reads_what_was_kept_and_gives_the_same_bytes(study, tmp_path):
    image_ids = ["a", "b", "flat-1", "nan-1"]
    study.write(image_ids, keep_after="Spacing")
    notes = tmp_path / "notes"
    noting = partial(load_and_note, notes)
    study.write(image_ids, keep_after="Spacing", window=(-900.0, 100.0), loader=noting)
    assert notes.read_text().split() == ["flat-1", "nan-1"]
    fresh = Study(tmp_path / "fresh")
    fresh.write(image_ids, window=(-900.0, 100.0))
    assert read_bytes(study) == read_bytes(fresh)


def test_another_spacing_reads_nothing_of_what_was_kept(study, tmp_path):
    study.write(["a", "b"], keep_after="Spacing")
    noting = partial(load_and_note, tmp_path / "notes")
    study.write(["a", "b"], keep_after="Spacing", spacing_mm=(2.0, 2.0, 4.0), loader=noting)
    assert (tmp_path / "notes").read_text().split() == ["a", "b"]


def test_damaged_kept_image_is_computed_again(study, tmp_path):
    study.write(["a"], keep_after="Spacing")
    (path,) = (study.folder / "kept").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    noting = partial(load_and_note, tmp_path / "notes")
    study.write(["a"], keep_after="Spacing", window=(-900.0, 100.0), loader=noting)
    assert (tmp_path / "notes").read_text().split() == ["a"]


def test_what_only_an_earlier_plan_needs_is_cleared_once_the_store_is_whole(study):
    study.write(["a", "b"], keep_after="Spacing")
    old = list_kept(study.folder / "kept")
    changes = {"keep_after": "Spacing", "spacing_mm": (2.0, 2.0, 4.0)}
    workshop, tasks = study.prepare(["a", "b"], **changes)
    # A shard, and a store that is not whole, leave it: others may still read it.
    compute_missing(select_shard(tasks, shard=1, n_shards=2), workshop)
    assert old < list_kept(study.folder / "kept") or not select_shard(tasks, shard=1, n_shards=2)
    study.write(["a", "b"], **changes)
    assert len(list_kept(study.folder / "kept")) == 4
    clear_needless(tasks, workshop.recipe)
    assert list_kept(study.folder / "kept") == {task.kept_key for task in tasks}
    assert not old & list_kept(study.folder / "kept")
    assert not (study.folder / "journal").exists()


def test_another_window_clears_nothing_that_it_starts_from(study):
    study.write(["a", "b"], keep_after="Spacing")
    held = list_kept(study.folder / "kept")
    workshop, tasks = study.prepare(["a", "b"], keep_after="Spacing", window=(-900.0, 100.0))
    clear_needless(tasks, workshop.recipe)
    assert list_kept(study.folder / "kept") == held


@pytest.mark.slow
def test_shards_and_workers_leave_a_file_each_and_no_file_an_image(study):
    image_ids = [f"image-{n}" for n in range(24)]
    for _ in range(2):
        for number in (1, 2, 3):
            workshop, tasks = study.prepare(image_ids, keep_after="Spacing", workers=2)
            compute_shard(tasks, workshop, shard=number, n_shards=3)
        shutil.rmtree(study.folder / "journal")
    assert list_kept(study.folder / "kept") == {task.kept_key for task in tasks}
    names = list_files(study.folder / "kept")
    assert 3 <= len(names) <= 6
    study.write(image_ids, keep_after="Spacing", window=(-900.0, 100.0))
    clear_needless(tasks, workshop.recipe)
    assert list_files(study.folder / "kept") == names


def test_a_plan_that_keeps_nothing_clears_all_and_the_folder(study):
    study.write(["a", "b"], keep_after="Spacing")
    workshop, tasks = study.prepare(["a", "b"])
    clear_needless(tasks, workshop.recipe)
    assert not (study.folder / "kept").exists()


def test_a_file_that_another_process_writes_is_left_and_one_of_a_killed_run_is_not(study):
    study.write(["a"], keep_after="Spacing")
    young, old = (study.folder / "kept" / f".part-{name}.npy" for name in ("young", "old"))
    for path in (young, old):
        path.write_bytes(b"half")
    two_days_ago = time.time() - 48 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    workshop, tasks = study.prepare(["a"])
    clear_needless(tasks, workshop.recipe)
    assert list_files(study.folder / "kept") == [young.name]


def test_an_image_cleared_under_a_reader_is_computed_again_to_the_same_bytes(study, tmp_path):
    study.write(["a", "b"], keep_after="Spacing")
    workshop, tasks = study.prepare(["a", "b"], keep_after="Spacing", window=(-900.0, 100.0))
    bench = Bench(workshop.recipe)
    bench.compute(tasks[0])
    shutil.rmtree(study.folder / "kept")
    bench.compute(tasks[1])
    study.write(["a", "b"], keep_after="Spacing", window=(-900.0, 100.0))
    fresh = Study(tmp_path / "fresh")
    fresh.write(["a", "b"], window=(-900.0, 100.0))
    assert read_bytes(study) == read_bytes(fresh)


def test_step_that_is_not_there_cannot_be_kept_after(study):
    workshop, _ = study.prepare(["a"])
    with pytest.raises(ConfigError, match="keep_after: step must be one of Spacing, Scale"):
        Bench(Recipe(**{**vars(workshop.recipe), "keep_after": "Sharpen"}))


def test_window_is_stored_as_float16_within_the_limit(study):
    result = study.write(["a", "b"])
    assert result.dtype == "float16"
    assert 0 < result.largest_rounding <= 2**-12


def test_scores_beyond_float16_are_stored_as_int16_with_their_scale(study):
    result = study.write(["a", "b"], intensity="zscore", max_rounding=2e-4)
    assert result.dtype == "int16"
    assert result.largest_rounding < 2e-4


def test_one_image_that_rounds_too_much_changes_the_type_of_all(study, tmp_path):
    def bright(image_id):
        grid, affine = load(image_id)
        return (grid * (1e-3 if image_id != "loud" else 1.0)), affine

    assert study.write(["a", "b"], intensity="none", loader=bright).dtype == "float16"
    result = study.write(["a", "b", "loud"], intensity="none", loader=bright)
    assert result.dtype == "float32"
    fresh = Study(tmp_path / "fresh")
    fresh.write(["a", "b", "loud"], intensity="none", loader=bright)
    assert read_bytes(study) == read_bytes(fresh)


def test_type_asked_for_that_loses_too_much_is_refused(study):
    with pytest.raises(DataError, match=r"rounding to float16 must be at most 0\.001, got .* in "):
        study.write(["a", "b"], intensity="none", dtype="float16")
    assert not study.shard("1-of-1").exists()


@pytest.mark.parametrize("dtype", ["float16", "int16", "float32"])
def test_measured_error_is_that_of_a_plain_loop(dtype):
    array = np.random.default_rng(3).normal(0, 2, (1, 5, 4, 3)).astype(np.float32)
    encoded = encode(array, dtype)
    worst = 0.0
    for value, held in zip(array.flat, encoded.array.flat, strict=True):
        restored = np.float32(held)
        if dtype == "int16":
            restored = np.float32(restored * np.float32(encoded.scale)) + np.float32(encoded.offset)
        worst = max(worst, abs(float(restored) - float(value)))
    assert measure_rounding(array, dtype) == pytest.approx(worst, rel=1e-8)
    assert decode(Encoded(*vars(encoded).values())).dtype == np.float32


def test_value_beyond_float16_counts_as_lost():
    array = np.array([[[[0.0]], [[1e6]]]], dtype=np.float32)
    assert measure_rounding(array, "float16") > 1e30


def test_rows_without_a_loss_may_be_float16():
    assert choose_dtype("auto", [], max_rounding=1e-3) == "float16"


def test_nothing_is_left_when_no_image_is_usable(study):
    with pytest.raises(DataError, match=r"none of 3 \(1 constant, such as flat-1; 2 not-finite"):
        study.write(["nan-1", "flat-1", "nan-2"])
    assert not study.shard("1-of-1").exists()


def test_full_disk_is_told_as_such_and_leaves_no_half_row(study, monkeypatch):
    def full(stream, piece):
        stream.write(piece[:9])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("medvision.preprocess.entries.write_all", full)
    with pytest.raises(StorageError, match="no space left"):
        study.write(["a"])
    assert [path.read_bytes() for path in (study.folder / "journal").iterdir()] == [b""]


def test_loss_of_a_whole_class_stops_with_its_reasons(study):
    result = study.write(["a", "b", "nan-1", "flat-1"])
    labels = {"a": ("no",), "b": ("no",), "nan-1": ("yes",), "flat-1": ("yes", "no")}
    with pytest.raises(DataError, match="none of 2 left in class yes"):
        check_classes_left(labels, result)


def test_class_that_keeps_an_image_passes():
    labels = {"a": ("no",), "b": ("yes",), "c": ("yes",)}
    check_classes_left(labels, write_result(["a", "b"]))


def write_result(image_ids):
    rows = [
        StoredRow(
            Row(name, "k", (1, 1, 1, 1), "float32", 1.0, 0.0, 0.0, 0.0, "", "1x1x1", "[]", "[]"), 1
        )
        for name in image_ids
    ]
    rejections = (Rejection("c", "constant", "0"),)
    return StoreResult((2, 1, 1, 1, 1), "float32", tuple(rows), rejections)


def load_sagittal(image_id):
    """An image whose slowest axis runs from left to right, so that its axes are permuted."""
    grid, affine = load(image_id)
    return grid.transpose(2, 0, 1).copy(), affine[:, [2, 0, 1, 3]]


def load_sheared(image_id):
    grid, affine = load(image_id)
    affine[0, 2] = 3.0
    return grid, affine


@pytest.mark.parametrize("loader", [load, load_sagittal, load_sheared])
@pytest.mark.parametrize("intensity", ["window", "percentile", "zscore"])
def test_keeping_changes_no_byte(tmp_path, loader, intensity):
    settings = {"loader": loader, "intensity": intensity, "dtype": "float32"}
    plain, keeping, again = (Study(tmp_path / name) for name in ("plain", "keeping", "again"))
    plain.write(["a", "b"], **settings)
    keeping.write(["a", "b"], keep_after="Spacing", **settings)
    if (keeping.folder / "kept").exists():
        (keeping.folder / "kept").rename(tmp_path / "kept")
        again.folder.mkdir()
        (tmp_path / "kept").rename(again.folder / "kept")
    again.write(["a", "b"], keep_after="Spacing", **settings)
    assert read_bytes(plain) == read_bytes(keeping) == read_bytes(again)


def test_computing_needs_no_torch():
    import subprocess
    import sys

    code = (
        "import sys, medvision.preprocess.store; assert not {'torch', 'monai'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
