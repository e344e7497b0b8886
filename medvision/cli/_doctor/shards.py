"""Into how many jobs a study's images are worth dividing, by what the work was measured to cost."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from medvision.cli._doctor.findings import Finding
from medvision.cli._run import find_layout
from medvision.config.model import Study
from medvision.config.requests import REQUESTS
from medvision.layout import Layout

STARTUP_S = 5.0
"""CPU seconds that Snakemake itself takes of each job."""

MOST_STARTUP = 0.05
"""Largest share of a job's work that its start may be."""

_MOST_SHARDS = 1000
_MANY = 2
_BENCHMARKS = {
    "ingest": ("ingest", "ingest-index", "ingest-shard-*"),
    "measure": ("measure", "measure-shard-*"),
    "preprocess": ("preprocess", "preprocess-shard-*"),
}
"""Stage to the names of its jobs' benchmarks."""

_CPU_S_PER_MB = {"ingest": 0.007, "measure": 0.03}
"""Stage to CPU seconds for a MB of pixels, where nothing was measured yet.

Source:
    docs/explanation/ingestion.md (393 MB of CT and MR to .nii.gz in 2.8 s) and quality.md (2 to 3 s
    for a CT of 157 MB, besides reading it; a radiograph takes three times as much a MB).
"""


def check_shards(study: Study) -> Iterator[Finding]:
    """Yield, for each stage that works image by image, how far it is worth dividing.

    Args:
        study: The configuration.
    """
    layout = find_layout(study)
    # Ingestion and measuring are divided alike: two jobs of each shard.
    both = [estimate_work(stage, study, layout) for stage in ("ingest", "measure")]
    first = sum(work_s or 0.0 for work_s, _ in both)
    yield _judge_shards("ingest", study.ingest.shards, work_s=first, n_jobs=2, source=both[0][1])
    yield from _judge_longest(study, [work_s for work_s, _ in both])
    work_s, source = estimate_work("preprocess", study, layout)
    shards = study.preprocess.shards
    if work_s is not None:
        yield _judge_shards("preprocess", shards, work_s=work_s, n_jobs=1, source=source)
    else:
        hint = "run it on a part of the archive first: results/benchmarks then says."
        found = f"preprocess.shards {shards}; its cost is not measured yet"
        yield Finding("Shards", "ok" if shards == 1 else "warn", found, hint)


def count_shards(work_s: float, *, n_jobs: int = 1) -> int:
    """Return the most shards whose start stays within its share of the work.

    Args:
        work_s: CPU seconds of the whole work.
        n_jobs: Jobs of each shard.
    """
    return max(1, min(_MOST_SHARDS, int(work_s * MOST_STARTUP / (STARTUP_S * n_jobs))))


def estimate_work(stage: str, study: Study, layout: Layout) -> tuple[float | None, str]:
    """Return the CPU seconds that a stage takes on all images, and where that is known from.

    Args:
        stage: ingest, measure or preprocess.
        study: The configuration.
        layout: Where an earlier run's benchmarks lie.

    Returns:
        (CPU seconds, source): none where nothing is known.
    """
    folder = layout.root / "benchmarks"
    paths = [p for name in _BENCHMARKS[stage] for p in sorted(folder.glob(f"{name}.tsv"))]
    measured = sum(_read_cpu_s(paths))
    n_before = _count_rows(layout.manifest)
    if measured and n_before:
        n_now = study.phantom.subjects if study.data.kind == "phantom" else n_before
        if study.data.labels is not None:
            n_now = max(_count_rows(study.data.labels), n_before)
        return measured * n_now / n_before, "as measured before"
    if stage not in _CPU_S_PER_MB:
        return None, ""
    return _CPU_S_PER_MB[stage] * _sum_mb(study), "by the size of the archive"


def _judge_shards(stage: str, shards: int, *, work_s: float, n_jobs: int, source: str) -> Finding:
    """Say how many shards a stage is worth."""
    most = count_shards(work_s, n_jobs=n_jobs)
    found = f"{stage}.shards {shards}; {_say_time(work_s)} of CPU {source}, worth up to {most}"
    if shards <= most:
        return Finding("Shards", "ok", found)
    share = STARTUP_S * n_jobs * shards / work_s if work_s else 1.0
    told = f"{share:.0%} of" if share < _MANY else f"{share:.0f} times"
    hint = f"starting {n_jobs * shards} jobs is {told} the work: set {stage}.shards lower."
    return Finding("Shards", "warn", found, hint)


def _judge_longest(study: Study, works: Iterable[float | None]) -> Iterator[Finding]:
    """Yield where a shard of ingestion or measuring will not end within the time of its job."""
    for name, work_s in zip(("ingest", "measure"), works, strict=True):
        allowed_s = REQUESTS[name].runtime * 60
        wall_s = (work_s or 0.0) / study.ingest.workers / study.ingest.shards
        if wall_s > allowed_s:
            hint = "raise ingest.shards or ingest.workers."
            found = f"{name}: each job about {_say_time(wall_s)}, and asks for"
            yield Finding("Shards", "warn", f"{found} {_say_time(allowed_s)}", hint)


def _read_cpu_s(paths: Iterable[Path]) -> Iterator[float]:
    """Yield the CPU seconds of each job, read from Snakemake's benchmarks."""
    for path in paths:
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream, delimiter="\t"):
                try:
                    yield float(row["cpu_time"])
                except (KeyError, TypeError, ValueError):
                    # Snakemake writes NA where a job was too short to be looked at.
                    continue


def _count_rows(path: Path) -> int:
    """Return the lines of a table below its header; none where it is not there."""
    if not path.is_file():
        return 0
    with path.open("rb") as stream:
        return max(0, sum(1 for _ in stream) - 1)


def _sum_mb(study: Study) -> float:
    """Return the pixels of the archive in MB, about."""
    if study.data.kind == "phantom":
        i, j, k = study.phantom.size
        return study.phantom.subjects * i * j * k * 2 / 1e6
    folder = study.data.path
    if folder is None or not folder.is_dir():
        return 0.0
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _say_time(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
