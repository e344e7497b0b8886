"""Real radiographs with a published split, as NIfTI and as DICOM: its leak is found and named."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import Result
from pipeline import Values, call, run, run_all, write_config
from real_data import QUICK, choose_ingest, write_dicom, write_labels, write_nifti_plane

from medvision.io.tables import read_table
from medvision.layout import Layout

pytestmark = [pytest.mark.shared, pytest.mark.slow]

N_OTHERS = {"train": 70, "val": 22, "test": 36}
SPLITS = {"train": "train", "val": "validation", "test": "test"}
CLASSES = ("normal", "pneumonia")
SETTINGS: Values = {
    **QUICK,
    "preprocess": {"intensity": "percentile", "size": [28, 28, 1]},
    "train": {"epochs": 4, "batch_size": 16, "learning_rate": 0.003},
    "explain": {
        **QUICK["explain"],
        "images": 4,
        "occlusion_window": [7, 7, 1],
        "occlusion_stride": [7, 7, 1],
    },
}

Chosen = list[tuple[str, int]]
"""(part of the published file, index in it)."""


def find_twins(data: np.lib.npyio.NpzFile) -> Chosen:
    """List the validation images that equal train images, and those train images."""
    places: dict[bytes, list[int]] = {}
    for n, image in enumerate(data["train_images"]):
        places.setdefault(image.tobytes(), []).append(n)
    twins: Chosen = []
    for n, image in enumerate(data["val_images"]):
        if found := places.get(image.tobytes()):
            twins += [("val", n), *(("train", m) for m in found)]
    return twins


def choose(data: np.lib.npyio.NpzFile) -> Chosen:
    """Return all twins, and images drawn at random from each part."""
    rng = np.random.default_rng(2)
    twins = find_twins(data)
    chosen = list(twins)
    for part, n in N_OTHERS.items():
        drawn = rng.permutation(len(data[f"{part}_images"])).tolist()
        chosen += [(part, m) for m in drawn if (part, m) not in twins][:n]
    return chosen


@pytest.fixture(scope="module")
def cohort(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chosen images in both formats, with their labels; only read."""
    folder = tmp_path_factory.mktemp("pneumoniamnist")
    data = np.load(shared_data / "pneumoniamnist" / "pneumoniamnist.npz")
    arrays = {name: data[name] for name in data}
    rows: dict[str, list[dict[str, str]]] = {"nifti": [], "dicom": []}
    for number, (part, n) in enumerate(choose(data)):
        pixels, label = arrays[f"{part}_images"][n], int(arrays[f"{part}_labels"][n, 0])
        subject = f"{part}{n:05d}"
        row = {"subject": subject, "label": CLASSES[label], "split": SPLITS[part]}
        write_nifti_plane(folder / "nifti" / f"{subject}.nii.gz", pixels)
        rows["nifti"].append({**row, "image": f"{subject}.nii.gz"})
        series = write_dicom(folder / "dicom", pixels, subject=subject, number=number)
        rows["dicom"].append({**row, "image": series})
    for kind, table in rows.items():
        write_labels(folder / f"{kind}.csv", table)
    return folder


def write_study(cohort: Path, folder: Path, *, kind: str, on_leakage: str) -> Path:
    """Write the configuration of one route."""
    data = {"kind": kind, "path": str(cohort / kind), "labels": str(cohort / f"{kind}.csv")}
    choice = {"folds": 1, "on_leakage": on_leakage}
    ingest = choose_ingest(folder)
    return write_config(folder, {**SETTINGS, "data": data, "ingest": ingest, "cohort": choice})


@pytest.fixture(scope="module")
def reported(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The DICOM route, the whole way, leakage reported."""
    folder = tmp_path_factory.mktemp("reported")
    config = write_study(cohort, folder, kind="dicom", on_leakage="report")
    return Layout(run_all(config))


@pytest.fixture(scope="module")
def refused(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Result]:
    """The NIfTI route with the default of leakage, up to the cohort, which must stop."""
    folder = tmp_path_factory.mktemp("refused")
    config = write_study(cohort, folder, kind="nifti", on_leakage="group")
    run(["ingest", "--config", str(config)])
    run(["measure", "--config", str(config)])
    return Layout(folder / "results"), call(["cohort", "--config", str(config)])


def list_leaks(layout: Layout) -> list[dict[str, str]]:
    """Return the rows of pairs across two splits."""
    return [row for row in read_table(layout.leakage) if row["split_a"] != row["split_b"]]


def assert_all_twins_are_listed(layout: Layout, shared_data: Path, *, action: str) -> None:
    """Hold the table of leakage to the pixels of the published file."""
    data = np.load(shared_data / "pneumoniamnist" / "pneumoniamnist.npz")
    images = {part: data[f"{part}_images"] for part in ("train", "val")}
    expected = {images[part][n].tobytes() for part, n in find_twins(data) if part == "val"}
    assert len(expected) == 8
    found = set()
    for row in list_leaks(layout):
        assert (row["kind"], row["action"]) == ("same-pixels", action)
        assert {row["split_a"], row["split_b"]} == {"train", "validation"}
        pair = [nib.load(layout.image(row[name])).get_fdata() for name in ("image_a", "image_b")]
        np.testing.assert_array_equal(pair[0], pair[1])
        found.add(pair[0][:, :, 0].T.astype(np.uint8).tobytes())
    assert found == expected


def test_the_published_split_is_refused_by_default(
    refused: tuple[Layout, Result], shared_data: Path
) -> None:
    layout, result = refused
    assert result.exit_code == 5
    n_leaks = len(list_leaks(layout))
    assert f"{n_leaks} same-pixels" in result.output
    assert "correct the given split by cohort/leakage.tsv" in result.output
    assert "set cohort.on_leakage to report" in result.output
    assert not layout.folds.exists()
    assert_all_twins_are_listed(layout, shared_data, action="stopped")


def test_told_to_report_the_run_goes_on_and_lists_the_eight(
    reported: Layout, shared_data: Path
) -> None:
    assert_all_twins_are_listed(reported, shared_data, action="reported")


def test_the_first_page_and_the_facts_name_the_leak(reported: Layout) -> None:
    facts = json.loads(reported.report_json.read_text())
    n_leaks = len(list_leaks(reported))
    sentence = f"let {n_leaks} pairs (equal images) stay in different splits"
    assert sentence in json.dumps(facts)
    page = reported.report_html.read_text()
    assert sentence in page
    first_page, _, _ = page.partition('<h2 id="data-title"')
    assert sentence in first_page
    assert "Leakage was let through" in first_page


def test_the_methods_speak_of_single_images_and_of_the_given_split(reported: Layout) -> None:
    page = reported.report_html.read_text()
    assert "28 × 28 pixels" in page
    assert "RAS orientation" not in page
    assert "as the labels give it" in page


def test_the_published_split_is_the_only_fold(reported: Layout, cohort: Path) -> None:
    given = [row["split"] for row in read_table(cohort / "dicom.csv")]
    rows = read_table(reported.folds)
    assert {row["fold"] for row in rows} == {"0"}
    assert sorted(row["split"] for row in rows) == sorted(given)
    tested = {row["image_id"] for row in rows if row["split"] == "test"}
    predicted = read_table(reported.predictions)
    assert {row["image_id"] for row in predicted if row["split"] == "test"} == tested


def test_both_formats_give_the_same_pixels_and_the_same_places(
    refused: tuple[Layout, Result], reported: Layout
) -> None:
    from_nifti, _ = refused
    tables = [
        sorted(read_table(layout.manifest), key=lambda row: row["pixel_digest"])
        for layout in (from_nifti, reported)
    ]
    for one, other in zip(*tables, strict=True):
        for name in ("pixel_digest", "shape", "orientation", "spacing_mm"):
            assert one[name] == other[name]
    left, right = (
        nib.load(layout.image(rows[0]["image_id"]))
        for layout, rows in zip((from_nifti, reported), tables, strict=True)
    )
    np.testing.assert_array_equal(left.affine, right.affine)


def test_both_formats_give_equal_arrays(
    refused: tuple[Layout, Result], reported: Layout, cohort: Path, tmp_path: Path
) -> None:
    config = write_study(cohort, tmp_path, kind="nifti", on_leakage="report")
    for stage in ("ingest", "measure", "cohort", "preprocess"):
        run([stage, "--config", str(config)])
    arrays = [
        np.load(layout.array_shard("1-of-1")) for layout in (Layout(tmp_path / "results"), reported)
    ]
    assert arrays[0].shape == arrays[1].shape == (len(arrays[0]), 1, 28, 28)
    left, right = (sorted(array.tobytes() for array in half) for half in arrays)
    assert left == right


def test_the_network_learns_something_of_real_radiographs(reported: Layout) -> None:
    (auc,) = [
        row for row in read_table(reported.metrics.with_suffix(".tsv")) if row["metric"] == "auc"
    ]
    assert float(auc["value"]) > 0.6
    assert int(auc["n_images"]) == N_OTHERS["test"]


def test_the_bundle_verifies_against_the_study(reported: Layout) -> None:
    run(["audit", "verify", str(reported.bundle), "--study", str(reported.root)])
