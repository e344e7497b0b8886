"""`medvision explain` on a tiny study: files, geometry, record, and what it refuses."""

import nibabel
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from explain_nets import SIDE
from explained_study import (
    IMAGES,
    N_IMAGES,
    SOURCE_AFFINE,
    configure,
    digest_outputs,
    run,
    write_study,
)

from medvision.cli.main import main
from medvision.domain.intended_use import RESEARCH_USE
from medvision.io.nifti.read import read_nifti
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.runtime.files import hash_file, read_json


@pytest.fixture(scope="module")
def explained(tmp_path_factory) -> Layout:
    folder = tmp_path_factory.mktemp("explain")
    torch.set_num_threads(1)
    study = write_study(folder / "results")
    done = run(study, folder)
    assert done.exit_code == 0, done.output
    return Layout(study.output.path)


def test_maps_have_the_sources_affine_and_shape_and_the_tables_digest(explained):
    rows = read_table(explained.attributions)
    assert len(rows) == 3 * N_IMAGES
    for row in rows:
        path = explained.attribution(row["image_id"], row["method"])
        image = read_nifti(path)
        assert image.array.shape == (SIDE, SIDE, SIDE)
        assert image.array.dtype == np.float32
        np.testing.assert_array_equal(image.affine, SOURCE_AFFINE)
        assert nibabel.load(path).header["descrip"].item().decode() == RESEARCH_USE
        assert hash_file(path) == row["map_digest"]
        assert float(row["minimum"]) == pytest.approx(float(image.array.min()), rel=1e-6)
        assert float(row["maximum"]) == pytest.approx(float(image.array.max()), rel=1e-6)


def test_every_file_is_in_the_record_and_only_models_in_use_were_read(explained):
    record = read_json(explained.record("explain"))
    on_disk = {f"explain/{name}" for name in digest_outputs(explained)} - {"explain/record.json"}
    assert set(record["writes"]) == on_disk
    folds = {row["fold"] for row in read_table(explained.selection)}
    models = {path for path in record["reads"] if path.startswith("train/")}
    assert {path.split("/")[2] for path in models} == {f"fold-{fold}" for fold in folds}
    assert record["seed"] == 5
    assert all(network["certificate"] == 0 for network in record["facts"]["networks"])


def test_the_mask_of_the_cohort_is_looked_for_where_the_class_is_right(explained):
    checks = [row for row in read_table(explained.checks) if row["check"] == "pointing"]
    judged = {row["image_id"] for row in checks if row["verdict"] in ("PASS", "FAIL")}
    assert judged == {IMAGES[1]}
    others = {row["reason"] for row in checks if row["image_id"] != IMAGES[1]}
    assert others == {"no mask is known for this image"}
    assert read_json(explained.explain_summary)["masks"]["n_images"] == 1


def test_each_case_is_explained_by_the_fold_that_tested_it(explained):
    tested = {
        (r["image_id"], r["fold"]) for r in read_table(explained.folds) if r["split"] == "test"
    }
    rows = read_table(explained.selection)
    assert {(row["image_id"], row["fold"]) for row in rows} <= tested
    assert any(row["label"] != row["predicted"] for row in rows)


def test_the_peak_of_each_map_stands_with_its_place_in_space(explained):
    rows = read_table(explained.table("explain", "peaks"))
    maps = read_table(explained.attributions)
    # What weighs nothing has no peak.
    wanted = [
        (r["image_id"], r["method"]) for r in maps if float(r["maximum"]) or float(r["minimum"])
    ]
    assert sorted((row["image_id"], row["method"]) for row in rows) == sorted(wanted)
    for row in rows:
        grid = read_nifti(explained.attribution(row["image_id"], row["method"])).array
        voxel = tuple(int(row[axis]) for axis in "ijk")
        assert abs(grid[voxel]) == np.abs(grid).max()
        assert float(row["value"]) == pytest.approx(grid[voxel], rel=1e-6)
        place = SOURCE_AFFINE @ [*voxel, 1]
        told = [float(row[f"{axis}_mm"]) for axis in "xyz"]
        np.testing.assert_allclose(told, place[:3], atol=1e-6)
        # Stored slice by slice along k, without frames of their own.
        assert row["sop_instance_uid"] == f"2.25.{voxel[2] + 1}"
        assert (row["frame"], row["row"], row["column"]) == (
            "1",
            str(voxel[1] + 1),
            str(voxel[0] + 1),
        )


def test_the_nearest_train_subjects_of_its_own_fold_stand_beside_each_case(explained):
    rows = read_table(explained.table("explain", "influence"))
    folds = {row["image_id"]: row["fold"] for row in read_table(explained.selection)}
    train = {
        (r["fold"], r["image_id"]) for r in read_table(explained.folds) if r["split"] == "train"
    }
    assert {row["image_id"] for row in rows} == set(folds)
    assert all((folds[row["image_id"]], row["train_image_id"]) in train for row in rows)
    told = read_json(explained.explain_summary)["influence"]["networks"]
    assert {row["kind"] for row in rows} == {"nearest"}, "this study kept no checkpoint"
    assert all("no checkpoints were kept" in network["reason"] for network in told)


def test_networks_of_other_folds_are_said_to_have_seen_the_subject(explained):
    parts = {(r["image_id"], r["fold"]): r["split"] for r in read_table(explained.folds)}
    rows = read_table(explained.table("explain", "stability"))
    others = [row for row in rows if row["comparison"] == "other_fold"]
    assert len(others) == 3 * 3, "three images and three methods, one other fold"
    for row in others:
        fold = row["against"].removeprefix("fold-")
        assert row["split"] == parts[row["image_id"], fold] == "train"
    assert {row["comparison"] for row in rows} == {
        *("input_noise", "other_fold", "agreement", "other_image")
    }


def test_the_cascade_ends_where_every_layer_is_random(explained):
    rows = read_table(explained.table("explain", "cascade"))
    last = [row for row in rows if row["layer"] == "features.conv0"]
    assert len({row["image_id"] for row in rows}) == 3
    assert {row["stage"] for row in last} == {"8"}
    assert all(row["ssim"] in ("1", "") for row in rows if row["stage"] == "0")


def test_a_run_with_fewer_images_leaves_no_map_of_the_earlier_run(explained, tmp_path):
    before = digest_outputs(explained)
    study = configure(explained.root, images=1)
    try:
        assert run(study, tmp_path).exit_code == 0
        folder = explained.step("explain")
        assert len(list(folder.glob("maps/*/*.nii.gz"))) == 3
        # Edges and noise; of each method the map of another class and that of random weights.
        assert len(list(folder.glob("controls/*/*.nii.gz"))) == 2 + 2 * 3
    finally:
        again = run(configure(explained.root), tmp_path)
    assert again.exit_code == 0
    assert digest_outputs(explained) == before, "two runs give the same bytes"


def test_without_predictions_the_missing_step_is_named(tmp_path):
    study = write_study(tmp_path / "results")
    layout = Layout(study.output.path)
    layout.record("predict").unlink()
    done = run(study, tmp_path)
    assert done.exit_code == 12
    assert "step predict must be complete" in done.output
    assert not layout.record("explain").exists()


def test_help_shows_an_example_that_works():
    done = CliRunner().invoke(main, ["explain", "--help"])
    assert done.exit_code == 0
    assert "medvision explain --set explain.images=4" in done.output
