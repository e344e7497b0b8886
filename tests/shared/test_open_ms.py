"""Real brains from raw NIfTI to a verified bundle: FLAIR or T1W, anisotropic, two per subject."""

import json
from collections import defaultdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from pipeline import Values, run, run_all, write_config
from real_data import QUICK, choose_ingest, write_labels
from scipy.ndimage import map_coordinates

from medvision.io.tables import Row, read_table
from medvision.layout import Layout

pytestmark = [pytest.mark.shared, pytest.mark.slow]

SETTINGS: Values = {
    **QUICK,
    "cohort": {"folds": 2, "validation_fraction": 0.34},
    "preprocess": {
        "intensity": "percentile",
        "spacing_mm": [6.0, 6.0, 9.0],
        "size": [40, 40, 16],
    },
    "train": {"epochs": 6, "batch_size": 4, "learning_rate": 0.003},
    "explain": {
        **QUICK["explain"],
        "occlusion_window": [10, 10, 4],
        "occlusion_stride": [10, 10, 4],
    },
}


@pytest.fixture(scope="module")
def layout(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The whole way, once."""
    folder = tmp_path_factory.mktemp("open-ms")
    source = shared_data / "open_ms"
    rows = [
        {"subject": row["patient"], "label": row["sequence"], "image": row["file"]}
        for row in read_table(source / "sequence_labels.csv")
    ]
    labels = write_labels(folder / "labels.csv", rows)
    data = {"kind": "nifti", "path": str(source), "labels": str(labels), "positive": "FLAIR"}
    settings = {**SETTINGS, "data": data, "ingest": choose_ingest(folder)}
    return Layout(run_all(write_config(folder, settings)))


def find_sources(layout: Layout, source: Path) -> dict[str, nib.Nifti1Image]:
    """Return image_id to the original image, matched by its voxels."""
    originals = {}
    for path in source.rglob("*.nii.gz"):
        image = nib.load(path)
        originals[image.shape, float(image.get_fdata().sum())] = image
    found = {}
    for row in read_table(layout.manifest):
        grid = nib.load(layout.image(row["image_id"])).get_fdata()
        found[row["image_id"]] = originals.pop((grid.shape, float(grid.sum())))
    assert not originals
    return found


def test_every_map_lies_on_exactly_its_source_images_grid(
    layout: Layout, shared_data: Path
) -> None:
    sources = find_sources(layout, shared_data / "open_ms")
    maps = sorted(layout.root.glob("explain/maps/*/*.nii.gz"))
    assert len(maps) == 2 * 3
    for path in maps:
        attribution, source = nib.load(path), sources[path.parent.name]
        assert attribution.shape == source.shape
        np.testing.assert_array_equal(attribution.affine, source.affine)
        assert np.abs(attribution.get_fdata()).max() > 0


def test_both_images_of_a_subject_are_always_in_one_split(layout: Layout) -> None:
    by_subject: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in read_table(layout.folds):
        by_subject[row["fold"], row["subject"]].append(row)
    assert len(by_subject) == 2 * 6
    for rows in by_subject.values():
        assert sorted(row["label"] for row in rows) == ["FLAIR", "T1W"]
        assert len({row["split"] for row in rows}) == 1


def test_each_label_is_of_the_image_that_it_names(layout: Layout, shared_data: Path) -> None:
    sources = find_sources(layout, shared_data / "open_ms")
    for row in read_table(layout.cohort):
        name = Path(str(sources[row["image_id"]].get_filename())).name
        assert name.endswith(f"_{row['label']}.nii.gz")


def test_each_array_shows_the_source_at_the_places_its_affine_names(layout: Layout) -> None:
    """Oracle: the source sampled by scipy at every voxel's place; the scaling is linear."""
    arrays = np.load(layout.array_shard("1-of-1"))
    assert arrays.shape == (12, 1, 40, 40, 16)
    for row in read_table(layout.array_index):
        image = nib.load(layout.image(row["image_id"]))
        array = arrays[int(row["row"]), 0]
        # Clipped and padded voxels have lost their value.
        index = np.argwhere((array > 0) & (array < 1))
        assert len(index) > 4000
        to_source = np.linalg.inv(image.affine) @ np.array(json.loads(row["tensor_affine"]))
        places = apply_affine(to_source, index)
        sampled = map_coordinates(image.get_fdata(), places.T, order=1, mode="nearest")
        assert np.corrcoef(sampled, array[tuple(index.T)])[0, 1] > 0.9999


def test_no_subject_file_or_folder_of_the_source_is_named(
    layout: Layout, shared_data: Path
) -> None:
    table = read_table(shared_data / "open_ms" / "sequence_labels.csv")
    names = {row["patient"] for row in table} | {Path(row["file"]).name for row in table}
    for path in sorted(layout.root.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        found = [name for name in (*names, str(shared_data)) if name.encode() in content]
        assert not found, path.relative_to(layout.root)


def test_the_report_says_what_was_analysed(layout: Layout) -> None:
    facts = json.loads(layout.report_json.read_text())
    assert "12 images of 6 subjects" in json.dumps(facts)
    assert layout.report_html.read_text().count("Axial") >= 2


def test_the_bundle_verifies_against_the_study(layout: Layout) -> None:
    run(["audit", "verify", str(layout.bundle), "--study", str(layout.root)])
