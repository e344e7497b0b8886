"""What packs cost against a file and a sidecar an image: ingestion, another run, masks, reading.

The same archive of synthetic CT is ingested both ways, in turns, and all that was written is read
again: hashed, as an audit does, and decoded, as preprocessing does. So are masks of one ball each,
as the cohort writes them. Last, all images are brought to lie the other way. The ratio of the
medians is the figure; that both leave the same images and masks is checked.

    python benchmarks/packs.py [--series 60] [--slices 40] [--size 128] [--rounds 3] [--folder DIR]
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from ingest import CT, build_slice
from numpy.typing import NDArray

from medvision.io.ingest.run import ingest_folder
from medvision.io.ingest.settings import IngestSettings, IngestSummary
from medvision.io.ingest.workshop import ConversionSettings
from medvision.io.nifti.read import read_nifti
from medvision.io.nifti.write import encode_nifti
from medvision.layout import Layout
from medvision.runtime.files import hash_file, write_bytes
from medvision.runtime.packing import writing_pack

KINDS = ("files", "packs")
STAGES = ("ingest", "nothing new", "hash", "decode", "write masks", "read masks", "turn over")


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
        shape = (arguments.slices, arguments.size, arguments.size)
        for number in range(arguments.series):
            write_series(source, number, shape=shape)
        seconds: dict[str, dict[str, list[float]]] = {
            kind: {stage: [] for stage in STAGES} for kind in KINDS
        }
        written, counts = {}, {}
        for _ in range(arguments.rounds):
            for kind in KINDS:
                out = Path(name, kind)
                shutil.rmtree(out, ignore_errors=True)
                written[kind] = measure(
                    source, out, kind=kind, shape=shape, seconds=seconds[kind]
                ).written
                counts[kind] = count_files(Layout(out))
                seconds[kind]["turn over"].append(turn_over(source, out, kind=kind))
        if written["files"] != written["packs"]:
            raise SystemExit("images must be the same both ways, got others.")
    print(f"{arguments.series} series; files left: {counts['files']}, packs: {counts['packs']}")
    print("| stage | files, CPU ms a series | packs | ratio |\n|---|---|---|---|")
    for stage in STAGES:
        one, other = (
            1000 * statistics.median(seconds[kind][stage]) / arguments.series for kind in KINDS
        )
        print(f"| {stage} | {one:.2f} | {other:.2f} | {other / one:.2f} |")


def count_files(layout: Layout) -> int:
    """Count the files of images, sidecars and masks."""
    return sum(len(list(folder.iterdir())) for folder in (layout.images, layout.masks))


def measure(
    source: Path,
    out: Path,
    *,
    kind: str,
    shape: tuple[int, int, int],
    seconds: dict[str, list[float]],
) -> IngestSummary:
    """Ingest an archive twice, read all images, then masks, and note the CPU seconds of each."""
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

    def list_masks() -> list[Path]:
        return [layout.masks / name for name, _ in found[0].written if name.endswith(".nii.gz")]

    mask = build_ball(shape)
    steps: tuple[Callable[[], None], ...] = (
        *(ingest, ingest, hash_all, decode_all),
        lambda: write_masks(list_masks(), mask, kind=kind),
        lambda: read_masks(list_masks(), mask),
    )
    for stage, step in zip(STAGES[:-1], steps, strict=True):
        start = time.process_time()
        step()
        seconds[stage].append(time.process_time() - start)
    return found[0]


def turn_over(source: Path, out: Path, *, kind: str) -> float:
    """Ingest once more with the other kind of places; return the CPU seconds."""
    other = build_settings(out, "files" if kind == "packs" else "packs")
    start = time.process_time()
    if ingest_folder(source, Layout(out), settings=other).n_done:
        raise SystemExit("images must be moved, got some converted again.")
    return time.process_time() - start


def write_masks(paths: list[Path], mask: NDArray[np.uint8], *, kind: str) -> None:
    """Write one mask under each name, as the cohort does."""
    with writing_pack(paths[0].parent) if kind == "packs" else nullcontext() as pack:
        for path in paths:
            content = b"".join(encode_nifti(mask, affine=np.eye(4), is_placed=True))
            if pack is None:
                write_bytes(path, content)
            else:
                pack.add(path.name, content)


def read_masks(paths: list[Path], mask: NDArray[np.uint8]) -> None:
    """Read all masks, and hold them against the one that was written."""
    for path in paths:
        if not np.array_equal(read_nifti(path).array, mask):
            raise SystemExit("masks must be as they were written, got others.")


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


def build_ball(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A mask of a ball in the middle of a volume of K planes of so many rows and columns."""
    sides = (shape[2], shape[1], shape[0])
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in sides), indexing="ij")
    return (sum(axis**2 for axis in axes) < 0.1).astype(np.uint8)


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
