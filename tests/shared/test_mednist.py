"""Six kinds of real images from 2D DICOM the whole way through: more than two classes."""

import json
from collections import Counter
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicoms import CR, SC
from pipeline import Values, run, run_all, write_config
from real_data import QUICK, choose_ingest, read_jpeg, write_dicom, write_labels

from medvision.io.tables import read_table
from medvision.layout import Layout

pytestmark = [pytest.mark.shared, pytest.mark.slow]

CLASSES = ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT")
N_IMAGES = 10
SETTINGS: Values = {
    **QUICK,
    "cohort": {"folds": 2, "validation_fraction": 0.2, "roles": ["original", "capture"]},
    "preprocess": {"intensity": "percentile", "sizing": "resize", "size": [32, 32, 1]},
    "train": {"epochs": 6, "batch_size": 8, "learning_rate": 0.005},
    "explain": {
        **QUICK["explain"],
        "images": 6,
        "occlusion_window": [8, 8, 1],
        "occlusion_stride": [8, 8, 1],
    },
}


@pytest.fixture(scope="module")
def layout(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The whole way, once; every other class as secondary capture."""
    folder = tmp_path_factory.mktemp("mednist")
    rows = []
    for index, name in enumerate(CLASSES):
        for n, path in enumerate(sorted((shared_data / "mednist" / name).iterdir())[:N_IMAGES]):
            number = index * N_IMAGES + n
            subject, kind = f"case{number:03d}", SC if index % 2 else CR
            pixels = read_jpeg(path)
            write_dicom(folder / "in", pixels, subject=subject, number=number, sop_class=kind)
            rows.append({"subject": subject, "label": name})
    labels = write_labels(folder / "labels.csv", rows)
    data = {"kind": "dicom", "path": str(folder / "in"), "labels": str(labels)}
    settings = {**SETTINGS, "data": data, "ingest": choose_ingest(folder)}
    return Layout(run_all(write_config(folder, settings)))


def test_every_class_is_in_every_split_of_every_fold(layout: Layout) -> None:
    counts = Counter((r["fold"], r["split"], r["label"]) for r in read_table(layout.folds))
    for fold, label in product("01", CLASSES):
        n_train, n_validation, n_test = (
            counts[fold, split, label] for split in ("train", "validation", "test")
        )
        assert n_train + n_validation + n_test == N_IMAGES
        # Neighbouring slices stay together, so that a split may hold some more or less.
        assert abs(n_test - N_IMAGES / 2) <= 2
        assert min(n_train, n_validation) >= 1


def test_neighbouring_slices_under_other_subjects_are_kept_in_one_split(layout: Layout) -> None:
    pairs = read_table(layout.leakage)
    assert {pair["kind"] for pair in pairs} == {"near-pixels"}
    splits = {(r["fold"], r["image_id"]): r["split"] for r in read_table(layout.folds)}
    for pair in pairs:
        assert pair["label_a"] == pair["label_b"]
        assert all(splits[f, pair["image_a"]] == splits[f, pair["image_b"]] for f in "01")


def test_images_arrive_as_they_were_written_each_with_its_label(
    layout: Layout, shared_data: Path
) -> None:
    written = Counter(
        (name, read_jpeg(path).tobytes())
        for name in CLASSES
        for path in sorted((shared_data / "mednist" / name).iterdir())[:N_IMAGES]
    )
    arrived: Counter[tuple[str, bytes]] = Counter()
    for row in read_table(layout.cohort):
        grid = nib.load(layout.image(row["image_id"])).get_fdata()
        arrived[row["label"], grid[:, :, 0].T.astype(np.uint8).tobytes()] += 1
    assert arrived == written


def test_classes_that_look_different_are_told_apart(layout: Layout) -> None:
    rows = {row["metric"]: row for row in read_table(layout.metrics.with_suffix(".tsv"))}
    assert float(rows["auc_macro"]["value"]) > 0.8
    assert {f"auc_{name}" for name in CLASSES} <= rows.keys()


def test_the_confusion_counts_each_tested_image_once(layout: Layout) -> None:
    rows = read_table(layout.metrics.parent / "confusion.tsv")
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["label"]] += int(row["n"])
    assert counts == dict.fromkeys(CLASSES, N_IMAGES)
    predicted = [row for row in read_table(layout.predictions) if row["split"] == "test"]
    agreed = sum(row["label"] == row["predicted"] for row in predicted)
    assert agreed == sum(int(r["n"]) for r in rows if r["label"] == r["predicted"])


def test_maps_explain_the_predicted_class_on_the_images_own_grid(layout: Layout) -> None:
    selection = read_table(layout.selection)
    assert len(selection) == 6
    for row in selection:
        assert row["target"] == row["predicted"]
        for path in (layout.root / "explain" / "maps" / row["image_id"]).glob("*.nii.gz"):
            assert nib.load(path).shape == (64, 64, 1)


def test_the_report_names_every_class_and_no_positive_one(layout: Layout) -> None:
    facts = json.loads(layout.report_json.read_text())
    page = layout.report_html.read_text()
    for name in CLASSES:
        assert f"AUC, {name}" in page
    assert "Positive means" not in page
    assert "60 images of 60 subjects" in json.dumps(facts)
    assert "each class against the others" in page


def test_mistakes_are_among_the_explained(layout: Layout) -> None:
    tested = [row for row in read_table(layout.predictions) if row["split"] == "test"]
    assert any(row["label"] != row["predicted"] for row in tested), "nothing to be shown"
    assert "wrong" in {row["rule"] for row in read_table(layout.selection)}


def test_the_bundle_verifies_against_the_study(layout: Layout) -> None:
    run(["audit", "verify", str(layout.bundle), "--study", str(layout.root)])
