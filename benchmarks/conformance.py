"""Every DICOM series below a folder, converted here and by dcm2niix: right, refused or wrong.

Each series is handed over in a folder of its own. An image is right where some image of dcm2niix
has the same voxels at the same place (both turned to the closest RAS+ axes, within float32
rounding); a series is right where each image of either side has its like on the other.

    python benchmarks/conformance.py FOLDER [--details]
"""

import argparse
import shutil
import subprocess
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from nibabel.spatialimages import SpatialImage

from medvision.io.tables import read_table
from medvision.layout import Layout

SCANNER = 1
"""Code of an sform that the scanner states."""


@dataclass(frozen=True)
class Verdict:
    """What one series came to."""

    state: str
    n_files: int
    ours: str
    theirs: str
    reasons: str


def split_series(source: Path, folder: Path) -> list[Path]:
    """Link every DICOM file into a folder of its series; return the folders."""
    names: dict[str, Path] = {}
    counts: defaultdict[Path, int] = defaultdict(int)
    for path in sorted(item for item in source.rglob("*") if item.is_file()):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        except Exception:  # noqa: BLE001 - whatever is no DICOM is not compared
            continue
        uid = str(header.get("SeriesInstanceUID", ""))
        if not uid:
            continue
        series = names.setdefault(uid, folder / f"series-{len(names) + 1:04d}")
        series.mkdir(parents=True, exist_ok=True)
        counts[series] += 1
        (series / f"{counts[series]:06d}.dcm").symlink_to(path.resolve())
    return sorted(counts)


def convert_here(series: Path, out: Path) -> tuple[list[SpatialImage], str]:
    """Convert with this project; return images and the reasons of refusal."""
    labels = out / "labels.csv"
    out.mkdir(parents=True)
    labels.write_text("subject,label\nnobody,a\n")
    settings = {
        "data.kind": "dicom",
        "data.path": str(series),
        "data.labels": str(labels),
        "output.path": str(out / "results"),
        "ingest.volume": "4d",
        "ingest.accept": "all",
        "ingest.burned_in": "flag",
        "ingest.colour": "rgb",
        "ingest.workers": "1",
        "ingest.compression": "none",
    }
    command = ["medvision", "ingest", "--quiet"]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    subprocess.run(command, cwd=out, capture_output=True, check=False)
    layout = Layout(out / "results")
    rejects = read_table(layout.rejects) if layout.rejects.is_file() else []
    reasons = Counter(row["reason"] for row in rejects)
    images = [nibabel.load(path) for path in sorted(layout.images.glob("*.nii*"))]
    return images, ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()))


def convert_there(series: Path, out: Path) -> list[SpatialImage]:
    """Convert with dcm2niix."""
    out.mkdir(parents=True)
    # -p n: Philips' values by the standard's rescale, as DICOM states them, not by private scaling.
    options = ["-z", "n", "-b", "n", "-p", "n", "-f", "%s_%p_%e"]
    command = ["dcm2niix", *options, "-o", str(out), str(series)]
    subprocess.run(command, capture_output=True, check=False)
    return [nibabel.load(path) for path in sorted(out.glob("*.nii"))]


def is_like(one: SpatialImage, other: SpatialImage) -> bool:
    """Say whether two images have the same voxels, at the same place where ours has a place."""
    here, there = nibabel.as_closest_canonical(one), nibabel.as_closest_canonical(other)
    ours, theirs = read_voxels(here), read_voxels(there)
    if ours.shape != theirs.shape:
        return False
    if int(one.header["sform_code"]) == SCANNER:
        is_near = np.allclose(here.affine, there.affine, atol=2e-2)
        return bool(is_near and np.allclose(ours, theirs, rtol=1e-4, atol=1e-4))
    # Without a place in space only the order of the axes is told.
    flips = [theirs[::a, ::b] for a in (1, -1) for b in (1, -1)]
    return any(np.allclose(ours, flipped, rtol=1e-4, atol=1e-4) for flipped in flips)


def read_voxels(image: SpatialImage) -> np.ndarray:
    """Return the voxels without axes of one; frames of one plane lie along the third."""
    voxels = np.asarray(image.dataobj)
    if voxels.dtype.names:
        voxels = np.stack([voxels[name] for name in voxels.dtype.names], axis=-1)
    return np.squeeze(voxels).astype(np.float64)


def compare(series: Path, folder: Path) -> Verdict:
    """Convert one series both ways and judge."""
    ours, reasons = convert_here(series, folder / "ours")
    theirs = convert_there(series, folder / "theirs")
    matched = [sum(is_like(image, other) for other in theirs) for image in ours]
    found = [sum(is_like(image, other) for image in ours) for other in theirs]
    if not ours:
        state = "refused" if theirs else "neither"
    elif not theirs:
        state = "ours alone"
    elif all(matched) and all(found):
        state = "right"
    else:
        state = "part" if any(matched) else "differs"
    return Verdict(
        state,
        len(list(series.iterdir())),
        " ".join(str(image.shape) for image in ours),
        " ".join(str(image.shape) for image in theirs),
        reasons,
    )


def main() -> None:
    """Print the counts, and with --details a line per series."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--details", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        counts: Counter[str] = Counter()
        for series in split_series(arguments.folder, root / "in"):
            verdict = compare(series, root / "out")
            shutil.rmtree(root / "out")
            counts[verdict.state] += 1
            if arguments.details or verdict.state not in ("right", "neither"):
                print(f"{series.name} {verdict}")
        print(dict(counts))


if __name__ == "__main__":
    main()
