"""Indexing many small files: time and memory for N and 4 N of them, and a second run's."""

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from medvision.io.ingest.run import index_folder
from medvision.io.ingest.settings import IngestSettings
from medvision.io.ingest.workshop import ConversionSettings
from medvision.layout import Layout

PER_SERIES = 100


SLICE: dict[str, object] = {
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "SOPClassUID": CTImageStorage,
    "SOPInstanceUID": "1.2.3.11111111.22222222",
    "StudyDate": "20200101",
    "Modality": "CT",
    "Manufacturer": "SIEMENS",
    "PatientID": "P-11111111",
    "PatientSex": "F",
    "PatientAge": "045Y",
    "SliceThickness": "2.5",
    "KVP": "120",
    "StudyInstanceUID": "1.2.4.11111111",
    "SeriesInstanceUID": "1.2.5.11111111",
    "InstanceNumber": "22222222",
    "ImagePositionPatient": ["-100", "-100", "22222222"],
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
    "FrameOfReferenceUID": "1.2.6.11111111",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "Rows": 16,
    "Columns": 16,
    "PixelSpacing": ["0.5", "0.5"],
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "RescaleIntercept": "-1024",
    "RescaleSlope": "1",
    "PixelData": bytes(512),
}
"""Attributes of a slice of CT; series and instance are marks of eight digits."""


def main() -> None:
    """Print the table of N and 4 N files; with --measure do one measurement, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000, help="N")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--measure", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure, workers=arguments.workers)))
        return
    print("| files | run | files/s | CPU ms/file | peak MB | index bytes/file |")
    print("|---|---|---|---|---|---|")
    for number in (arguments.files, 4 * arguments.files):
        with tempfile.TemporaryDirectory() as folder:
            source, out = Path(folder, "in"), Path(folder, "out")
            write_files(source, number)
            for run in ("first", "second"):
                print_row(run_apart(source, out, workers=arguments.workers), run=run)


def print_row(found: dict[str, float], *, run: str) -> None:
    """Print one line of the table."""
    number = found["files"]
    print(
        f"| {number:.0f} | {run} | {number / found['seconds']:.0f} "
        f"| {1000 * found['cpu'] / number:.3f} | {found['peak_mb']:.0f} "
        f"| {found['bytes'] / number:.0f} |",
        flush=True,
    )


def run_apart(source: Path, out: Path, *, workers: int) -> dict[str, float]:
    """Measure in a process of its own, so that peak memory is that of the one run."""
    command = [sys.executable, __file__, "--workers", str(workers), "--measure", source, out]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(source: Path, out: Path, *, workers: int) -> dict[str, float]:
    """Index a folder; return seconds, CPU seconds, peak memory and size of the index."""
    conversion = ConversionSettings(
        gap_tolerance=0.1,
        gaps="refuse",
        tilt="keep",
        volume="first",
        colour="luminance",
        burned_in="refuse",
        region_rules=(),
        text_detection="off",
        compression="fast",
    )
    layout = Layout(out)
    settings = IngestSettings(
        key=layout.pseudonym_key,
        workers=workers,
        archives="open",
        archive_limit_gb=50,
        conversion=conversion,
    )
    start = time.perf_counter()
    number = index_folder(source, layout, settings=settings)
    seconds = time.perf_counter() - start
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "files": number,
        "seconds": seconds,
        "cpu": sum(item.ru_utime + item.ru_stime for item in usage),
        "peak_mb": max(item.ru_maxrss for item in usage) / 1024,
        "bytes": layout.ingest_index.stat().st_size,
    }


def write_files(folder: Path, number: int) -> None:
    """Write CT slices of 16 by 16 pixels, PER_SERIES to a series and a folder."""
    for name, content in build_files(number):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def build_files(number: int) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents: one slice as pydicom writes it, its numbers replaced."""
    template = build_slice()
    for n in range(number):
        series, k = divmod(n, PER_SERIES)
        content = template.replace(b"SSSSSSSS", f"{series:08d}".encode())
        content = content.replace(b"KKKKKKKK", f"{k + 1:08d}".encode())
        yield f"{series // 100:04d}/{series:06d}/{k:03d}.dcm", content


def build_slice() -> bytes:
    """Return a slice whose numbers of series and of instance are marks of eight letters."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3.11111111.22222222"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    for keyword, value in SLICE.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue().replace(b"11111111", b"SSSSSSSS").replace(b"22222222", b"KKKKKKKK")


if __name__ == "__main__":
    main()
