"""Seconds and peak memory of each stage of a run, from what Snakemake measured."""

import argparse
import csv
from pathlib import Path


def read_jobs(results: Path) -> list[tuple[str, float, float, float]]:
    """Return (job, wall seconds, CPU seconds, peak memory in MB) of each job."""
    jobs = []
    for path in sorted((results / "benchmarks").glob("*.tsv")):
        with path.open(newline="") as stream:
            row = list(csv.DictReader(stream, delimiter="\t"))[-1]
        figures = (float(row[name]) for name in ("s", "cpu_time", "max_rss"))
        jobs.append((path.stem, *figures))
    return jobs


def main() -> None:
    """Print the table, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="output folder of a run by Snakemake")
    jobs = read_jobs(parser.parse_args().results)
    print("| job | seconds | CPU seconds | peak MB |\n|---|---|---|---|")
    for name, seconds, cpu, peak in jobs:
        print(f"| {name} | {seconds:.1f} | {cpu:.1f} | {peak:.0f} |")
    total, most = sum(job[2] for job in jobs), max(job[3] for job in jobs)
    print(f"| all | | {total:.1f} | {most:.0f} |")


if __name__ == "__main__":
    main()
