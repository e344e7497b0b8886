"""The gate in the workflow: an altered copy ends the run before anything is trained."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from children import run_snakemake
from look_alikes import make_images
from pipeline import write_config
from real_data import write_labels

from medvision.io.nifti.write import write_nifti
from medvision.io.tables import read_table
from medvision.layout import Layout

pytestmark = pytest.mark.slow


def snakemake(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the workflow on the study in `folder`."""
    snakefile = Path(__file__).parents[2] / "Snakefile"
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", "2"),
        *("--directory", str(folder), "--configfile", str(folder / "config.yaml"), *options),
    ]
    return run_snakemake(command)


def configure(folder: Path, *, on_leakage: str) -> None:
    """Write the configuration of the archive in `folder`."""
    data = {"kind": "nifti", "path": folder / "archive", "labels": folder / "labels.csv"}
    cohort = {"folds": 2, "on_leakage": on_leakage}
    write_config(folder, {"data": data, "ingest": {"workers": 1}, "cohort": cohort})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve radiographs, the last one the first one turned and flipped."""
    folder = tmp_path_factory.mktemp("study")
    images = make_images(11, seed=8)
    images.append(np.rot90(images[0])[::-1])
    rows = []
    for number, image in enumerate(images):
        path = folder / "archive" / f"Doe{number:02d}.nii.gz"
        grid = np.ascontiguousarray(image[:, :, np.newaxis]).round().astype("i2")
        write_nifti(path, grid, affine=np.eye(4), is_placed=True)
        rows.append({"subject": f"Doe{number:02d}", "label": ("well", "sick")[number % 2]})
    write_labels(folder / "labels.csv", rows)
    return folder


def test_an_altered_copy_stops_the_workflow_and_the_table_of_pairs_stays(folder: Path) -> None:
    configure(folder, on_leakage="stop")
    done = snakemake(folder)
    assert done.returncode != 0
    layout = Layout(folder / "results")
    said = done.stdout + done.stderr + (layout.root / "logs" / "cohort.log").read_text()
    assert "images on two sides must differ, got 1 near-pixels" in said
    (pair,) = read_table(layout.leakage)
    assert (pair["kind"], pair["action"]) == ("near-pixels", "stopped")
    assert not layout.folds.exists()
    assert not (layout.root / "train").exists()
    assert "Doe" not in said


def test_told_to_keep_copies_together_it_goes_on_from_where_it_stopped(folder: Path) -> None:
    configure(folder, on_leakage="group")
    done = snakemake(folder, "--until", "cohort")
    assert done.returncode == 0, done.stderr
    (pair,) = read_table(Layout(folder / "results").leakage)
    assert pair["action"] == "grouped"
