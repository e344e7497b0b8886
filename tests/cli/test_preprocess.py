"""`medvision preprocess` on a small cohort of real NIfTI files: store, tables, record."""

import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from keeping import list_kept
from upstream import SIZE, make_image, preprocess, read_store, write_upstream

from medvision.cli.main import main
from medvision.io.nifti.write import write_nifti
from medvision.io.tables import read_table
from medvision.layout import Layout


@pytest.fixture
def study_root(tmp_path):
    """A study whose ingest and cohort steps are complete: six images, one with NaN."""
    images = {f"sub-{n:010x}_img-{n:012x}": make_image(n) for n in range(6)}
    images["sub-0000000005_img-000000000005"][0][0, 0, 0] = np.nan
    write_upstream(tmp_path / "results", images)
    return tmp_path / "results"


def test_store_holds_the_cohort_with_its_geometry(study_root):
    result = preprocess(study_root)
    assert result.exit_code == 0, result.output
    store = read_store(study_root)
    assert store.array.shape == (5, 1, 10, 10, 6)
    assert store.spatial_dims == 3
    assert list(store.image_ids) == sorted(store.image_ids)
    for number, image_id in enumerate(store.image_ids):
        affine, shape = store.source_geometry(image_id)
        assert shape == (12, 11, 5)
        np.testing.assert_allclose(affine, make_image(number)[1])
        assert store.row(image_id) == number
        assert store.tensor_affine(image_id)[0, 0] == pytest.approx(3.0)


def test_rejected_image_stands_in_the_table_with_its_reason(study_root):
    preprocess(study_root)
    rejects = read_table(Layout(study_root).preprocess_rejects)
    assert [(row["image_id"], row["reason"]) for row in rejects] == [
        ("sub-0000000005_img-000000000005", "not-finite")
    ]


def test_record_names_the_steps_and_what_was_read(study_root):
    preprocess(study_root)
    record = json.loads(Layout(study_root).record("preprocess").read_text())
    assert [step["name"] for step in record["facts"]["steps"]][:2] == ["Orientation", "Spacing"]
    assert record["facts"]["n_rejected"] == 1
    assert len(record["reads"]) == 8
    assert set(record["writes"]) == {
        f"preprocess/{name}"
        for name in ("arrays-1-of-1.npy", "index.tsv", "meta.json", "rejects.tsv")
    }


def test_twice_gives_the_same_bytes(study_root):
    layout = Layout(study_root)
    preprocess(study_root)
    first = [path.read_bytes() for path in sorted(layout.step("preprocess").iterdir())]
    preprocess(study_root)
    second = [path.read_bytes() for path in sorted(layout.step("preprocess").iterdir())]
    assert first == second


def test_images_of_another_dimension_are_rejected_and_the_rest_goes_on(tmp_path):
    images = {f"img-{n}": make_image(n) for n in range(4)}
    images["img-9"] = make_image(9, shape=(12, 12, 1))
    write_upstream(tmp_path / "results", images)
    result = preprocess(tmp_path / "results")
    assert result.exit_code == 0, result.output
    rejects = read_table(Layout(tmp_path / "results").preprocess_rejects)
    assert [(row["image_id"], row["reason"]) for row in rejects] == [("img-9", "other-dimensions")]


def test_2d_cohort_is_stored_without_the_third_axis(tmp_path):
    images = {f"img-{n}": make_image(n, shape=(14, 9, 1)) for n in range(4)}
    write_upstream(tmp_path / "results", images)
    assert preprocess(tmp_path / "results").exit_code == 0
    store = read_store(tmp_path / "results")
    assert store.array.shape == (4, 1, 10, 10)
    assert store.spatial_dims == 2
    assert store.tensor_affine("img-0").shape == (4, 4)


def test_loss_of_a_class_stops_with_a_message_and_leaves_no_record(tmp_path):
    images = {f"img-{n}": make_image(n) for n in range(4)}
    for image_id in ("img-1", "img-3"):
        images[image_id][0][:] = 5
    write_upstream(tmp_path / "results", images)
    result = preprocess(tmp_path / "results")
    assert result.exit_code == 3
    assert "got none of 2 left in class yes (2 constant, such as img-1)" in result.output
    assert "hint:" in result.output
    assert not Layout(tmp_path / "results").record("preprocess").exists()


def test_volumes_asked_to_be_2d_are_refused(study_root):
    write_upstream_as_2d(study_root)
    result = preprocess(study_root, "data.dimensions=2")
    assert result.exit_code == 3
    assert "images must have one slice each for 2" in result.output


def write_upstream_as_2d(root):
    for name in ("ingest", "cohort"):
        path = Layout(root).record(name)
        record = json.loads(path.read_text())
        record["parameters"]["data"]["dimensions"] = 2
        path.write_text(json.dumps(record))


def test_changed_image_is_found(study_root):
    image_id = "sub-0000000002_img-000000000002"
    grid, affine = make_image(77)
    write_nifti(Layout(study_root).image(image_id), grid, affine=affine, is_placed=True)
    result = preprocess(study_root)
    assert result.exit_code == 12
    assert f"ingest/images/{image_id}.nii.gz" in result.output


def test_missing_earlier_step_is_told(tmp_path):
    result = preprocess(tmp_path / "results")
    assert result.exit_code == 12
    assert "step ingest must be complete" in result.output


def test_monochrome1_is_turned_over_and_stands_in_index_and_record(tmp_path):
    images = {f"img-{n}": make_image(n) for n in range(4)}
    images["img-1"] = (-images["img-0"][0], images["img-0"][1])
    flags = {"img-1": "derived,monochrome1"}
    write_upstream(tmp_path / "results", images, flags=flags)
    result = preprocess(tmp_path / "results", "preprocess.intensity=percentile")
    assert result.exit_code == 0, result.output
    store = read_store(tmp_path / "results")
    rows = store.rows()
    positive, turned = store.array[rows["img-0"]], store.array[rows["img-1"]]
    np.testing.assert_allclose(turned, positive, atol=1e-4)
    layout = Layout(tmp_path / "results")
    inverted = {row["image_id"]: row["inverted"] for row in read_table(layout.array_index)}
    assert inverted == {"img-0": "false", "img-1": "true", "img-2": "false", "img-3": "false"}
    steps = json.loads(layout.array_meta.read_text())["steps"]
    assert steps[0]["name"] == "Invert"


def test_colour_makes_three_channels_and_the_smaller_group_is_left_out(tmp_path):
    rng = np.random.default_rng(0)
    images = {
        f"img-{n}": (rng.integers(0, 256, (12, 11, 5, 3), dtype=np.uint8), np.eye(4))
        for n in range(4)
    }
    images["img-9"] = make_image(9)
    write_upstream(tmp_path / "results", images)
    result = preprocess(tmp_path / "results", "preprocess.intensity=none")
    assert result.exit_code == 0, result.output
    store = read_store(tmp_path / "results")
    assert store.array.shape == (4, 3, 10, 10, 6)
    (row,) = read_table(Layout(tmp_path / "results").preprocess_rejects)
    assert (row["image_id"], row["reason"]) == ("img-9", "other-channels")


def read_folder(root):
    folder = Layout(root).step("preprocess")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ""}


def test_shards_computed_apart_and_by_workers_end_as_one_run(study_root):
    settings = ("preprocess.shards=3",)
    assert preprocess(study_root, *settings).exit_code == 0
    whole = read_folder(study_root)
    assert len([name for name in whole if name.endswith(".npy")]) == 3
    for path in Layout(study_root).step("preprocess").iterdir():
        path.unlink()
    for number in (2, 3, 1):
        arguments = [part for value in (SIZE, *settings) for part in ("--set", value)]
        arguments += ["--set", f"output.path={study_root}", "--shard", f"{number}/3"]
        result = CliRunner().invoke(main, ["preprocess", *arguments])
        assert result.exit_code == 0, result.output
    result = preprocess(study_root, *settings)
    assert "6 images kept, 0 to compute" in result.output
    assert read_folder(study_root) == whole


def test_another_number_of_shards_keeps_every_row_and_no_old_file(study_root):
    assert preprocess(study_root).exit_code == 0
    result = preprocess(study_root, "preprocess.shards=2")
    assert "5 images kept, 1 to compute" in result.output
    names = {path.name for path in Layout(study_root).step("preprocess").glob("*.npy")}
    assert names == {"arrays-1-of-2.npy", "arrays-2-of-2.npy"}


def test_images_kept_for_another_spacing_go_when_the_store_is_whole(study_root):
    kept = Layout(study_root).array_folder("kept")
    keeping = "preprocess.keep_after=Spacing"
    assert preprocess(study_root, keeping).exit_code == 0
    first = list_kept(kept)
    assert preprocess(study_root, keeping, "preprocess.window=[-900, 100]").exit_code == 0
    assert list_kept(kept) == first
    # A run that fails clears nothing.
    broken = ("preprocess.spacing_mm=[2, 2, 4]", "preprocess.dtype=float16")
    result = preprocess(study_root, keeping, *broken, "preprocess.max_rounding=1e-9")
    assert result.exit_code != 0
    assert first < list_kept(kept)
    assert preprocess(study_root, keeping, "preprocess.spacing_mm=[2, 2, 4]").exit_code == 0
    assert len(list_kept(kept)) == len(first)
    assert not first & list_kept(kept)
    assert preprocess(study_root).exit_code == 0
    assert not kept.exists()


@pytest.mark.parametrize("intensity", ["window", "percentile", "zscore"])
def test_images_are_kept_while_they_are_unpacked_and_change_no_byte(
    study_root, monkeypatch, intensity
):
    settings = (f"preprocess.intensity={intensity}", "preprocess.dtype=float32")
    # None is read as a whole, not even the one that is refused.
    monkeypatch.setattr("medvision.io.nifti.read.read_nifti", None)
    assert preprocess(study_root, *settings).exit_code == 0
    plain = Layout(study_root).array_shard("1-of-1").read_bytes()
    shutil.rmtree(Layout(study_root).step("preprocess"))
    result = preprocess(study_root, *settings, "preprocess.keep_after=Spacing")
    assert result.exit_code == 0, result.output
    assert Layout(study_root).array_shard("1-of-1").read_bytes() == plain
    assert len(list_kept(Layout(study_root).array_folder("kept"))) == 5


@pytest.mark.parametrize("text", ["0/3", "4/3", "a", "1/"])
def test_part_that_is_none_is_refused(study_root, text):
    arguments = ["preprocess", "--set", f"output.path={study_root}", "--shard", text]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "--shard: value must be K/N" in result.output


def test_record_tells_type_and_rounding(study_root):
    assert preprocess(study_root).exit_code == 0
    facts = json.loads(Layout(study_root).record("preprocess").read_text())["facts"]
    assert facts["dtype"] == "float16"
    assert 0 < facts["largest_rounding"] < 2.5e-4
    store = read_store(study_root)
    assert store.array.dtype == np.float16
    assert store.array[0].dtype == np.float32


def test_killed_run_goes_on_and_ends_with_the_bytes_of_a_whole_one(study_root):
    assert preprocess(study_root).exit_code == 0
    whole = read_folder(study_root)
    for path in Layout(study_root).step("preprocess").iterdir():
        path.unlink()
    # The process ends itself while the third row is written: no handler, no clean-up.
    code = (
        "import os, signal, sys\n"
        "from medvision.preprocess import entries\n"
        "held, count = entries.write_all, []\n"
        "def write_half(stream, piece):\n"
        "    count.append(1)\n"
        "    # Of each row its head and its body.\n"
        "    if len(count) == 6:\n"
        "        held(stream, piece[: len(piece) // 2])\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    held(stream, piece)\n"
        "entries.write_all = write_half\n"
        "from medvision.cli.main import main\n"
        "main(sys.argv[1:])\n"
    )
    values = [f"output.path={study_root}", SIZE]
    arguments = [part for value in values for part in ("--set", value)]
    killed = subprocess.run([sys.executable, "-c", code, "preprocess", *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not Layout(study_root).record("preprocess").exists()
    result = preprocess(study_root)
    assert "2 images kept, 4 to compute" in result.output
    assert read_folder(study_root) == whole
