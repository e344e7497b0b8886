"""`medvision explain` on a tiny study: files, geometry, record, and what it refuses."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from explain_nets import SIDE, make_lesion_image

from medvision import __version__
from medvision.cli._run import open_step
from medvision.cli.main import main
from medvision.config.model import Study, build_study
from medvision.domain.intended_use import RESEARCH_USE
from medvision.domain.split import FOLD_COLUMNS
from medvision.io.nifti.read import read_nifti
from medvision.io.nifti.write import write_nifti
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.learn.backbones import build_backbone
from medvision.runtime.arrays import ARRAY_INDEX_COLUMNS
from medvision.runtime.checkpoint import ModelMeta, save_model
from medvision.runtime.files import hash_file, read_json, write_json

CLASSES = ("benign", "nodule")
N_IMAGES = 8
IMAGES = [f"sub-{n:010x}_img-{n:012x}" for n in range(N_IMAGES)]
TENSOR_AFFINE = np.diag([3.0, 3.0, 5.0, 1.0])
SOURCE_AFFINE = np.array([[0, 0, -5.0, 75], [-3.0, 0, 0, 45], [0, 3.0, 0, 0], [0, 0, 0, 1.0]])
"""The source's axes are j', k', i' of the array: a sagittal stack."""


def configure(root: Path, *, images=N_IMAGES) -> Study:
    return build_study(
        {
            "output": {"path": str(root)},
            "cohort": {"folds": 2},
            "model": {"weights": "none"},
            "train": {"compare_scratch": False},
            "compute": {"device": "cpu"},
            "explain": {
                "images": images,
                "steps": 8,
                "occlusion_window": [8, 8, 8],
                "occlusion_stride": [8, 8, 8],
                "random_orders": 10,
                "deletion_steps": 4,
            },
        }
    )


def write_study(root: Path) -> Study:
    """Write what explain reads, each file by the step that owns it."""
    study = configure(root)
    layout = Layout(root)
    _write_images(study, layout)
    for fold in (0, 1):
        for arm in study.arms:
            with open_step(layout.fold_step(arm, fold), study) as step:
                torch.manual_seed(fold)
                network = build_backbone("small", spatial_dims=3, channels=1, n_classes=2)
                meta = ModelMeta("small", 3, 1, CLASSES, __version__)
                path = step.write(layout.model(arm, fold, seed=0))
                save_model(path, network.state_dict(), meta=meta)
    with open_step("predict", study) as step:
        rows = [_predict(study.arms[0], n) for n in range(N_IMAGES)]
        write_table(step.write(layout.predictions), rows, columns=tuple(rows[0]))
    return study


def _write_images(study: Study, layout: Layout) -> None:
    """Write manifest, cohort with one mask, folds and arrays."""
    pairs = [make_lesion_image(n, positive=n % 2 == 1) for n in range(N_IMAGES)]
    labels = [CLASSES[n % 2] for n in range(N_IMAGES)]
    with open_step("ingest", study) as step:
        rows = [{"image_id": name, "geometry": "full"} for name in IMAGES]
        write_table(step.write(layout.manifest), rows, columns=("image_id", "geometry"))
        for name in IMAGES:
            sidecar = {
                "Shape": [SIDE] * 3,
                "SOPInstanceUIDs": [f"2.25.{k + 1}" for k in range(SIDE)],
                "FrameNumbers": [1] * SIDE,
                "SourceFiles": [f"file-{k + 1:012x}" for k in range(SIDE)],
            }
            write_json(step.write(layout.sidecar(name)), sidecar)
    with open_step("cohort", study) as step:
        mask = np.transpose(pairs[1][1].astype(np.uint8), (1, 2, 0))
        path = step.write(layout.mask(IMAGES[1]))
        write_nifti(path, mask, affine=SOURCE_AFFINE, is_placed=True)
        rows = [
            {"image_id": name, "label": label, "mask": "digest" if n == 1 else ""}
            for n, (name, label) in enumerate(zip(IMAGES, labels, strict=True))
        ]
        write_table(step.write(layout.cohort), rows, columns=("image_id", "label", "mask"))
        rows = [
            {
                "fold": fold,
                "repeat": 0,
                "part": fold,
                "inner": 0,
                "image_id": name,
                "subject": name.partition("_")[0],
                "label": labels[n],
                "split": ["train", "test"][n // 2 % 2 == fold],
            }
            for fold in (0, 1)
            for n, name in enumerate(IMAGES)
        ]
        write_table(step.write(layout.folds), rows, columns=FOLD_COLUMNS)
        summary = {"classes": list(CLASSES), "positive": "nodule"}
        write_json(step.write(layout.cohort_summary), summary)
    with open_step("preprocess", study) as step:
        np.save(step.write(layout.array_shard("1-of-1")), np.stack([array for array, _ in pairs]))
        rows = [
            {
                "row": row,
                "shard": "1-of-1",
                "image_id": name,
                "scale": 1,
                "offset": 0,
                "source_shape": "x".join([str(SIDE)] * 3),
                "source_affine": json.dumps(SOURCE_AFFINE.tolist()),
                "tensor_affine": json.dumps(TENSOR_AFFINE.tolist()),
            }
            for row, name in enumerate(IMAGES)
        ]
        write_table(step.write(layout.array_index), rows, columns=ARRAY_INDEX_COLUMNS)
        write_json(step.write(layout.array_meta), {"spatial_dims": 3, "channels": 1})


def _predict(arm: str, n: int) -> dict[str, str | int]:
    """A prediction row; the last two images are predicted wrongly."""
    label = CLASSES[n % 2]
    predicted = label if n < N_IMAGES - 2 else CLASSES[1 - n % 2]
    share = 0.8 if predicted == "nodule" else 0.2
    return {
        "arm": arm,
        "fold": n // 2 % 2,
        "repeat": 0,
        "part": n // 2 % 2,
        "inner": 0,
        "seed": 0,
        "split": "test",
        "image_id": IMAGES[n],
        "subject": IMAGES[n].partition("_")[0],
        "label": label,
        "predicted": predicted,
        "probability_benign": str(1 - share),
        "probability_nodule": str(share),
    }


def run(study: Study, folder: Path, *options: str):
    config = folder / "study.json"
    config.write_text(study.model_dump_json())
    planned = CliRunner().invoke(main, ["plan", "--config", str(config), "--quiet", *options])
    if planned.exit_code:
        return planned
    return CliRunner().invoke(main, ["explain", "--config", str(config), "--quiet", *options])


@pytest.fixture(scope="module")
def explained(tmp_path_factory) -> Layout:
    folder = tmp_path_factory.mktemp("explain")
    torch.set_num_threads(1)
    study = write_study(folder / "results")
    done = run(study, folder)
    assert done.exit_code == 0, done.output
    return Layout(study.output.path)


def digest_outputs(layout: Layout) -> dict[str, str]:
    folder = layout.step("explain")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


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
