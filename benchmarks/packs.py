"""What packs cost against a file and a sidecar an image: ingestion, another run, and reading.

The same archive of synthetic CT is ingested both ways, in turns, and all that was written is read
again: hashed, as an audit does, and decoded, as preprocessing does. The ratio of the medians is
the figure; that both leave the same images is checked.

    python benchmarks/packs.py [--series 60] [--slices 40] [--size 128] [--rounds 3] [--folder DIR]
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ingest import CT, build_slice

from medvision.io.ingest.run import ingest_folder
from medvision.io.ingest.settings import IngestSettings, IngestSummary
from medvision.io.ingest.workshop import ConversionSettings
from medvision.io.nifti.read import read_nifti
from medvision.layout import Layout
from medvision.runtime.files import hash_file

KINDS = ("files", "packs")
STAGES = ("ingest", "nothing new", "hash", "decode")


def main() -> None:
    """Print a row per stage: CPU milliseconds a series of both ways, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--series", type=int, default=60)
    parser.add_argument("--slices", type=int, default=40)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="disk to be measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        source = Path(name, "in")
        for number in range(arguments.series):
            write_series(source, number, shape=(arguments.slices, arguments.size, arguments.size))
        seconds: dict[str, dict[str, list[float]]] = {
            kind: {stage: [] for stage in STAGES} for kind in KINDS
        }
        written = {}
        for _ in range(arguments.rounds):
            for kind in KINDS:
                out = Path(name, kind)
                shutil.rmtree(out, ignore_errors=True)
                written[kind] = measure(source, out, kind=kind, seconds=seconds[kind]).written
        if written["files"] != written["packs"]:
            raise SystemExit("images must be the same both ways, got others.")
        counts = {kind: len(list(Layout(Path(name, kind)).images.iterdir())) for kind in KINDS}
    print(f"{arguments.series} series; files left: {counts['files']}, packs: {counts['packs']}")
    print("| stage | files, CPU ms a series | packs | ratio |\n|---|---|---|---|")
    for stage in STAGES:
        one, other = (
            1000 * statistics.median(seconds[kind][stage]) / arguments.series for kind in KINDS
        )
        print(f"| {stage} | {one:.2f} | {other:.2f} | {other / one:.2f} |")


def measure(
    source: Path, out: Path, *, kind: str, seconds: dict[str, list[float]]
) -> IngestSummary:
    """Ingest an archive twice, read all images, and note the CPU seconds of each."""
    layout, settings = Layout(out), build_settings(out, kind)
    found: list[IngestSummary] = []

    def ingest() -> None:
        found.append(ingest_folder(source, layout, settings=settings))

    def hash_all() -> None:
        for name, digest in found[0].written:
            if hash_file(layout.images / name) != digest:
                raise SystemExit("images must be as they were written, got others.")

    def decode_all() -> None:
        for name, _ in found[0].written:
            if not name.endswith(".json"):
                read_nifti(layout.images / name)

    steps: tuple[Callable[[], None], ...] = (ingest, ingest, hash_all, decode_all)
    for stage, step in zip(STAGES, steps, strict=True):
        start = time.process_time()
        step()
        seconds[stage].append(time.process_time() - start)
    return found[0]


def write_series(folder: Path, number: int, *, shape: tuple[int, int, int]) -> None:
    """Write one series: smooth along a row, with a scanner's noise, as a CT compresses."""
    rng = np.random.default_rng(number)
    target = folder / f"series-{number}"
    target.mkdir(parents=True)
    for k in range(shape[0]):
        smooth = np.cumsum(rng.normal(0, 8, shape[1:]), axis=1)
        plane = np.clip(smooth + rng.normal(0, 12, shape[1:]) + 1000, 0, 4095)
        dataset = build_slice(plane.astype(np.int16), CT, number, k)
        dataset.save_as(target / f"{k:05d}.dcm", enforce_file_format=True)


def build_settings(out: Path, kind: str) -> IngestSettings:
    """The defaults of the configuration, one worker."""
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
    return IngestSettings(
        key=out.parent / "pseudonym.key",
        workers=1,
        archives="open",
        archive_limit_gb=50.0,
        conversion=conversion,
        images="packs" if kind == "packs" else "files",
    )


if __name__ == "__main__":
    main()
