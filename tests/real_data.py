"""Real images on their way in: plain arrays written as DICOM and NIfTI, with their labels."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from dicoms import CR, write_radiograph
from ingesting import write_key
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""(rows, columns), the first row on top."""

QUICK: dict[str, dict[str, object]] = {
    "model": {"backbone": "small", "weights": "none"},
    "evaluate": {"n_resamples": 100},
    "explain": {
        "images": 2,
        "steps": 8,
        "random_orders": 10,
        "deletion_steps": 4,
        "stability_images": 1,
        "cascade_images": 1,
    },
}
"""Settings that make the stages after training quick."""


def choose_ingest(folder: Path) -> dict[str, object]:
    """Return settings with a fixed key: names, and so the order of training, never change."""
    folder.mkdir(parents=True, exist_ok=True)
    return {"key": str(write_key(folder)), "workers": 1}


def write_dicom(
    folder: Path, pixels: Pixels, *, subject: str, number: int, sop_class: str = CR
) -> str:
    """Write one radiograph, a study and series of its own; return its SeriesInstanceUID."""
    uid = f"1.2.826.0.1.3680043.8.498.{number + 1}"
    write_radiograph(
        folder,
        pixels,
        uid=uid,
        sop_class=sop_class,
        PatientID=subject,
        StudyInstanceUID=f"{uid}.7",
        BurnedInAnnotation="NO",
    )
    return f"{uid}.0"


def write_nifti_plane(path: Path, pixels: Pixels) -> None:
    """Write one image as a plane whose columns run to the left and whose rows run to the back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = np.ascontiguousarray(pixels.T[:, :, np.newaxis])
    nib.Nifti1Image(grid, np.diag([-1.0, -1.0, 1.0, 1.0])).to_filename(path)


def read_jpeg(path: Path) -> Pixels:
    """Read a grey picture."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"), dtype=np.uint8)


def write_labels(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """Write a table of labels as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path
