"""Real radiographs, real ImageNet weights, the whole way: trained, explained, reported, sealed."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pipeline import run, run_all, write_config
from real_data import QUICK, choose_ingest, write_labels, write_nifti_plane
from safetensors import safe_open

from medvision.io.tables import read_table
from medvision.layout import Layout

pytestmark = [pytest.mark.shared, pytest.mark.slow]

N_OF_CLASS = {"train": 12, "val": 4, "test": 4}
SPLITS = {"train": "train", "val": "validation", "test": "test"}
WEIGHTS = "squeezenet1_1_imagenet_torchvision.pt"


@pytest.fixture(scope="module")
def finished(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The output of a study that starts from the file at a path."""
    folder = tmp_path_factory.mktemp("transfer")
    rows = []
    with np.load(shared_data / "pneumoniamnist" / "pneumoniamnist.npz") as data:
        for part, n in N_OF_CLASS.items():
            images, labels = data[f"{part}_images"], data[f"{part}_labels"][:, 0]
            for label in (0, 1):
                for index in np.flatnonzero(labels == label)[:n]:
                    name = f"{part}{index:05d}"
                    write_nifti_plane(folder / "images" / f"{name}.nii.gz", images[index])
                    row = {"subject": name, "label": ("normal", "pneumonia")[label]}
                    rows.append({**row, "split": SPLITS[part], "image": f"{name}.nii.gz"})
    labels_path = write_labels(folder / "labels.csv", rows)
    sections = {
        **QUICK,
        "data": {"kind": "nifti", "path": str(folder / "images"), "labels": str(labels_path)},
        "ingest": choose_ingest(folder),
        "cohort": {"folds": 1, "on_leakage": "report"},
        "preprocess": {"intensity": "percentile", "sizing": "resize", "size": [48, 48, 1]},
        "model": {
            "backbone": "squeezenet1_1",
            "weights": str(shared_data / "weights" / WEIGHTS),
        },
        "train": {"epochs": 3, "batch_size": 8, "learning_rate": 0.0003},
    }
    sections["explain"] = {
        **QUICK["explain"],
        "occlusion_window": [12, 12, 1],
        "occlusion_stride": [12, 12, 1],
    }
    return Layout(run_all(write_config(folder, sections)))


def test_every_tensor_of_the_file_was_taken_and_the_entrance_is_sealed(finished: Layout) -> None:
    rows = read_table(finished.seed("transfer", 0, seed=0) / "weights.tsv")
    assert sorted({row["status"] for row in rows}) == ["loaded", "skipped-head"]
    with safe_open(finished.model("transfer", 0, seed=0), framework="pt") as file:
        form = json.loads(file.metadata()["form"])
    assert form["mean"] == [0.485, 0.456, 0.406]


def test_maps_are_on_the_grey_sources_grid_and_both_arms_predicted(finished: Layout) -> None:
    maps = sorted(finished.maps.rglob("*.nii.gz"))
    assert maps
    assert {nib.load(path).shape[:2] for path in maps} == {(28, 28)}
    predicted = read_table(finished.predictions)
    assert {row["arm"] for row in predicted} == {"transfer", "scratch"}


def test_the_bundle_verifies_with_the_weights_as_a_declared_source(finished: Layout) -> None:
    record = json.loads(finished.record("train/transfer/fold-0").read_text())
    assert any(name.endswith("weights") for name in record["reads"])
    run(["audit", "verify", str(finished.bundle), "--study", str(finished.root)])
