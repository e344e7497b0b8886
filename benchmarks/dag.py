"""What Snakemake itself costs: CPU seconds and peak memory for 1,000 to 1,000,000 series.

The real workflow, with empty files in place of all that it writes and a table of labels of one row
a series. Planned anew, planned again when all is done, and after 100 subjects were added; and what
one job of a cluster takes to plan itself. One at a time, each in a process of its own.

    python benchmarks/dag.py [--series 1000 50000 1000000] [--per-shard 1000]
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

SNAKEFILE = Path(__file__).parents[1] / "Snakefile"
ADDED = 100


def main() -> None:
    """Print a row per number of series and kind of run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--series", type=int, nargs="+", default=[1000, 50_000, 1_000_000])
    parser.add_argument("--per-shard", type=int, default=1000, help="series in a shard")
    arguments = parser.parse_args()
    print("| series | shards | run | jobs | CPU s | peak MB |\n|---|---|---|---|---|---|")
    for n_series in arguments.series:
        n_shards = -(-n_series // arguments.per_shard)
        with tempfile.TemporaryDirectory() as folder:
            simulate(Path(folder), n_series=n_series, n_shards=n_shards)


def simulate(folder: Path, *, n_series: int, n_shards: int) -> None:
    """Measure all runs on one study."""
    write_study(folder, n_series=n_series, n_shards=n_shards)
    place = f"| {n_series} | {n_shards}"
    print_row(place, "first, dry", *measure(folder, "--dry-run"))
    rule = "ingest_shard" if n_shards > 1 else "ingest"
    one = f"{rule}:shard=1,shards={n_shards}" if n_shards > 1 else f"{rule}:"
    only = ("--target-jobs", one, "--allowed-rules", rule, "--force", "--nolock")
    finish(folder)
    print_row(place, "one job of a cluster, planning itself", *measure(folder, "--dry-run", *only))
    print_row(place, "all done", *measure(folder, "--dry-run"))
    with (folder / "labels.csv").open("a") as stream:
        stream.writelines(f"added-{n},0\n" for n in range(ADDED))
    again = ("--forcerun", "ingest_index" if n_shards > 1 else "ingest")
    print_row(place, f"{ADDED} subjects added", *measure(folder, "--dry-run", *again))


def write_study(folder: Path, *, n_series: int, n_shards: int) -> None:
    """Write a configuration and its table of labels; nobody looks at the images."""
    (folder / "scans").mkdir()
    with (folder / "labels.csv").open("w") as stream:
        stream.write("subject,label\n")
        stream.writelines(f"subject-{n},{n % 2}\n" for n in range(n_series))
    values = {
        "data": {"kind": "dicom", "path": "scans", "labels": "labels.csv"},
        "ingest": {"shards": n_shards, "workers": 1},
        "preprocess": {"shards": n_shards, "workers": 1},
        "model": {"weights": "none"},
        "output": {"path": "results"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(values))


def list_command(*options: str) -> list[str]:
    """Return a command line of Snakemake on the study of the working folder."""
    start = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE)]
    return [*start, "--configfile", "config.yaml", "--cores", "8", *options]


def finish(folder: Path) -> None:
    """Make every file that the workflow would write, empty, and have Snakemake take note of it."""
    for line in run(folder, "--summary").splitlines():
        name = line.partition("\t")[0]
        if name.startswith("results/"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # A name without an ending is a folder's.
            path.touch() if path.suffix else path.mkdir(exist_ok=True)
    run(folder, "--touch", "--scheduler", "greedy")


def run(folder: Path, *options: str) -> str:
    """Run Snakemake on a study; return what it printed."""
    command = list_command(*options)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return done.stdout


def measure(folder: Path, *options: str) -> tuple[int, float, float]:
    """Return how many jobs a run would do, its CPU seconds and its peak memory in MB."""
    told = folder / "told.txt"
    with told.open("w") as stream:
        process = subprocess.Popen(
            list_command(*options), cwd=folder, stdout=stream, stderr=subprocess.STDOUT
        )
        # Not communicate: wait4 tells what this one process used.
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    text = told.read_text()
    if process.returncode:
        raise SystemExit(text[-2000:])
    total = re.findall(r"^total +(\d+)$", text, re.MULTILINE)
    n_jobs = int(total[-1]) if total else 0
    return n_jobs, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def print_row(place: str, run: str, n_jobs: int, cpu_s: float, peak_mb: float) -> None:
    """Print one line of the table."""
    print(f"{place} | {run} | {n_jobs} | {cpu_s:.1f} | {peak_mb:.0f} |", flush=True)


if __name__ == "__main__":
    main()
