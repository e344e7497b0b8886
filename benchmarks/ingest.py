"""CPU seconds from DICOM to NIfTI: this project, dcm2niix, dicom2nifti and MONAI, in one run.

A synthetic archive of uncompressed CT and MR series is written, then converted by each tool in a
process of its own, several times; the least CPU time (user and system) counts. Start-up is what
the same command takes on a folder with one small series; `net` is the rest.

    python benchmarks/ingest.py [--series 4] [--slices 200] [--repeats 5] [--gzip]

The other tools: pip install dcm2niix dicom2nifti. MONAI's reader converts one series after the
other and writes nothing.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"

OURS = """
import sys
from pathlib import Path
from medvision.cli.main import main
sys.argv = ["medvision", "ingest", "--quiet", *sys.argv[1:]]
main()
"""

DICOM2NIFTI = """
import sys
import dicom2nifti
dicom2nifti.convert_directory(sys.argv[1], sys.argv[2], compression=sys.argv[3] == "gzip")
"""

MONAI = """
import sys
from pathlib import Path
from monai.data import PydicomReader
reader = PydicomReader()
for folder in sorted(Path(sys.argv[1]).iterdir()):
    reader.get_data(reader.read(str(folder)))
"""


def write_archive(folder: Path, *, n_series: int, n_slices: int) -> int:
    """Write series of CT (512 x 512) and MR (256 x 256) in turn; return the bytes of pixels."""
    rng = np.random.default_rng(1)
    n_bytes = 0
    for number in range(n_series):
        size, sop_class = ((512, CT), (256, MR))[number % 2]
        smooth = np.cumsum(rng.normal(0, 8, (n_slices, size, size)), axis=2)
        volume = np.clip(smooth + rng.normal(0, 12, smooth.shape) + 1000, 0, 4095)
        planes = volume.astype(np.int16)
        target = folder / f"series-{number}"
        target.mkdir(parents=True)
        for k, plane in enumerate(planes):
            dataset = build_slice(plane, sop_class, number, k)
            dataset.save_as(target / f"{k:05d}.dcm", enforce_file_format=True)
        n_bytes += planes.nbytes
    return n_bytes


def build_slice(plane: np.ndarray, sop_class: str, number: int, k: int) -> FileDataset:
    """One file with the attributes that a scanner would write, and a private block."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UID(sop_class), ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = UID(f"1.2.826.0.1.{number + 1}.{k + 1}")
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.StudyDate, dataset.StudyTime, dataset.Modality = "20200101", "120000", "CT"
    dataset.Manufacturer, dataset.SeriesDescription = "SIEMENS", "BENCH"
    dataset.PatientID, dataset.PatientName = f"P{number}", "BENCH^MARK"
    dataset.SliceThickness, dataset.KVP = 1.0, 120
    dataset.StudyInstanceUID = f"1.2.826.0.2.{number + 1}"
    dataset.SeriesInstanceUID = f"1.2.826.0.3.{number + 1}"
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.AcquisitionNumber = number + 1, k + 1, 1
    dataset.FrameOfReferenceUID = f"1.2.826.0.4.{number + 1}"
    dataset.ImagePositionPatient = [-180.0, -180.0, float(k)]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape
    dataset.PixelSpacing = [0.7, 0.7]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = -1024, 1, "HU"
    block = dataset.private_block(0x0029, "BENCH", create=True)
    block.add_new(0x01, "OB", bytes(4096))
    dataset.PixelData = plane.tobytes()
    return dataset


def measure(command: list[str], *, clear: Path, repeats: int) -> float:
    """Return the least CPU seconds of a command."""
    best = float("inf")
    for _ in range(repeats):
        shutil.rmtree(clear, ignore_errors=True)
        clear.mkdir(parents=True)
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=clear
        )
        # Not communicate: wait4 tells what this one process and its children used.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{command[0]} failed with exit code {process.returncode}")
        best = min(best, usage.ru_utime + usage.ru_stime)
    return best


def build_commands(archive: Path, out: Path, *, is_packed: bool) -> dict[str, list[str]]:
    """Return one command line per tool."""
    labels = archive.parent / "labels.csv"
    labels.write_text("subject,label\nnobody,a\n")
    settings = {
        "data.kind": "dicom",
        "data.path": str(archive),
        "data.labels": str(labels),
        "output.path": str(out / "results"),
        "ingest.workers": "1",
        "ingest.compression": "fast" if is_packed else "none",
    }
    ours = [f"--set={name}={value}" for name, value in settings.items()]
    commands = {
        "medvision": [sys.executable, "-c", OURS, *ours],
        "dcm2niix": [
            *("dcm2niix", "-z", "y" if is_packed else "n", "-f", "%s", "-o", str(out)),
            str(archive),
        ],
        "dicom2nifti": [
            *(sys.executable, "-c", DICOM2NIFTI, str(archive), str(out)),
            "gzip" if is_packed else "raw",
        ],
        "MONAI PydicomReader": [sys.executable, "-c", MONAI, str(archive)],
    }
    return {name: line for name, line in commands.items() if shutil.which(line[0]) is not None}


def main() -> None:
    """Print a row per tool, and the ratios to this project."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=4)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--gzip", action="store_true")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "small").mkdir()
        n_bytes = write_archive(
            root / "archive", n_series=arguments.series, n_slices=arguments.slices
        )
        write_archive(root / "small" / "archive", n_series=1, n_slices=3)
        print(f"{arguments.series * arguments.slices} files, {n_bytes / 1e6:.0f} MB of pixels")
        print("| tool | CPU s | start-up s | net s | net MB/s | net / medvision |")
        print("|---|---|---|---|---|---|")
        run_all(root, n_bytes, arguments)


def run_all(root: Path, n_bytes: int, arguments: argparse.Namespace) -> None:
    """Measure every tool, this project first."""
    out = root / "out"
    small = build_commands(root / "small" / "archive", out, is_packed=arguments.gzip)
    whole = build_commands(root / "archive", out, is_packed=arguments.gzip)
    reference: float | None = None
    for name, command in whole.items():
        start = measure(small[name], clear=out, repeats=arguments.repeats)
        total = measure(command, clear=out, repeats=arguments.repeats)
        net = max(total - start, 1e-9)
        reference = reference or net
        print(
            f"| {name} | {total:.2f} | {start:.2f} | {net:.2f} | {n_bytes / 1e6 / net:.0f} "
            f"| {net / reference:.2f} |"
        )


if __name__ == "__main__":
    main()
