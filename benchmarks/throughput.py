"""What a CT costs from DICOM to array, and what that makes of an archive: a model on paper.

Series of 512 x 512 slices beside a dozen small ones, once with and once without: the difference in
CPU seconds, bytes and files of each stage, divided by their number, is what one costs. Then stages
of an archive on a cluster, at those costs; and a few hundred phantom series hold the sum to what a
run of them takes.

    python benchmarks/throughput.py [--slices 300] [--series 1000000] [--nodes 50] [--cores 16]
    python benchmarks/throughput.py --phantoms 75 300
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ingest import CT, build_slice

STAGES = ("ingest", "measure", "cohort", "preprocess")
N_LARGE, N_SMALL = 2, 12
SMALL_SHAPE = (24, 48, 48)
START = "import sys; from medvision.cli.main import main; main()"


@dataclass(frozen=True)
class Cost:
    """What a stage takes and leaves: CPU seconds, MB written, files left."""

    cpu_s: float
    mb: float
    files: float


def main() -> None:
    """Print what a CT costs, and the model; or the costs of phantoms at several sizes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--series", type=int, default=1_000_000)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--cores", type=int, default=16, help="of a node")
    parser.add_argument("--phantoms", type=int, nargs="+", help="measure so many instead")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    if arguments.phantoms:
        show_phantoms(arguments.phantoms)
        return
    costs = measure_ct(arguments.slices)
    print("| stage | CPU s a CT | MB a CT | files a CT |\n|---|---|---|---|")
    for stage, cost in costs.items():
        print(f"| {stage} | {cost.cpu_s:.2f} | {cost.mb:.2f} | {cost.files:.1f} |")
    show_model(costs, arguments)


def measure_ct(n_slices: int) -> dict[str, Cost]:
    """Return what each stage costs for one CT of 512 x 512."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = (Path(folder, name) for name in ("few", "many"))
        for place, n_large in ((few, 0), (many, N_LARGE)):
            write_archive(place, n_large=n_large, n_slices=n_slices)
        without, with_large = (run_stages(list_archive_options(place)) for place in (few, many))
    return {
        stage: Cost(
            (with_large[stage].cpu_s - without[stage].cpu_s) / N_LARGE,
            (with_large[stage].mb - without[stage].mb) / N_LARGE,
            (with_large[stage].files - without[stage].files) / N_LARGE,
        )
        for stage in STAGES
    }


def write_archive(folder: Path, *, n_large: int, n_slices: int) -> None:
    """Write small series and large ones as DICOM, and their labels."""
    rng = np.random.default_rng(1)
    rows = []
    for number in range(N_SMALL + n_large):
        shape = SMALL_SHAPE if number < N_SMALL else (n_slices, 512, 512)
        target = folder / "archive" / f"series-{number}"
        target.mkdir(parents=True)
        for k in range(shape[0]):
            # Smooth along a row, with a scanner's noise: what compresses as a CT does.
            smooth = np.cumsum(rng.normal(0, 8, shape[1:]), axis=1)
            plane = np.clip(smooth + rng.normal(0, 12, shape[1:]) + 1000, 0, 4095)
            dataset = build_slice(plane.astype(np.int16), CT, number, k)
            dataset.save_as(target / f"{k:05d}.dcm", enforce_file_format=True)
        rows.append((f"P{number}", ("well", "sick")[number % 2]))
    with (folder / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("subject", "label"), *rows])


def list_archive_options(folder: Path) -> list[str]:
    """Return the options that point a command at an archive."""
    return [
        *("--set", "data.kind=dicom", "--set", f"data.path={folder / 'archive'}"),
        *("--set", f"data.labels={folder / 'labels.csv'}", "--set", "ingest.workers=1"),
        *("--set", f"output.path={folder / 'results'}", "--set", "preprocess.workers=1"),
        *("--set", "cohort.folds=2", "--set", "preprocess.size=[96,96,96]", "--quiet"),
    ]


def run_stages(options: list[str], stages: tuple[str, ...] = STAGES) -> dict[str, Cost]:
    """Return what each stage costs, of commands run one after the other."""
    (root,) = (Path(text.partition("=")[2]) for text in options if text.startswith("output.path="))
    return {stage: run_stage(stage, options, root / stage) for stage in stages}


def run_stage(stage: str, options: list[str], left: Path) -> Cost:
    """Run a command; return what it and its children took, and what lies in its folder."""
    process = subprocess.Popen([sys.executable, "-c", START, stage, *options])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{stage} failed with exit code {process.returncode}")
    files = [path for path in left.rglob("*") if path.is_file()]
    n_bytes = sum(path.stat().st_size for path in files)
    cpu_s = usage.ru_utime + usage.ru_stime
    return Cost(cpu_s, n_bytes / 1e6, len(files))


def show_model(costs: dict[str, Cost], arguments: argparse.Namespace) -> None:
    """Print what shards on all cores of all nodes take; what one job does alone is not in it."""
    n, cores = arguments.series, arguments.cores
    print(f"\n{n} CTs on {arguments.nodes} nodes of {cores} cores:")
    print("| stage | node hours | hours by the clock | TB written | files |\n|---|---|---|---|---|")
    for stage in ("ingest", "measure", "preprocess"):
        cost = costs[stage]
        node_hours = n * cost.cpu_s / cores / 3600
        written = f"{n * cost.mb / 1e6:.1f} | {n * cost.files:.0f}"
        print(f"| {stage} | {node_hours:.0f} | {node_hours / arguments.nodes:.1f} | {written} |")


def show_phantoms(sizes: list[int]) -> None:
    """Print what the stages take for phantom cohorts of several sizes, and files left."""
    print("| phantoms | stage | CPU s | CPU ms a series | MB | files |\n|---|---|---|---|---|---|")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            options = [
                *("--set", f"phantom.subjects={size}", "--set", f"output.path={folder}/results"),
                *(
                    "--set",
                    "ingest.workers=1",
                    "--set",
                    "ingest.accept=[missing-slice,truncated]",
                    "--quiet",
                ),
            ]
            for stage, cost in run_stages(options, ("phantom", *STAGES)).items():
                each = 1000 * cost.cpu_s / size
                figures = f"{cost.cpu_s:.1f} | {each:.0f} | {cost.mb:.0f} | {cost.files:.0f}"
                print(f"| {size} | {stage} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
