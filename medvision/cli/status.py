"""`medvision status`: how far a study is, from its files alone, also while it runs."""

import shlex
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision.cli._run import study_command
from medvision.cli._status.job_state import STALE, Standing, judge_job, read_held
from medvision.cli._status.jobs import list_jobs
from medvision.cli._status.last_run import read_last_run
from medvision.cli._status.pace import estimate_left, sum_spent
from medvision.config.model import Study
from medvision.layout import Layout
from medvision.runtime.progress import say_duration

if TYPE_CHECKING:
    from rich.table import Table

_SNAKEMAKE = Path(".snakemake")
_MOST_ERRORS = 5
_REFUSED = "more: medvision doctor --profile slurm, which holds the site file to the cluster"
_COLUMNS = ("done", "failed", "at work", "left")


@study_command(
    "status",
    help="Say how far each stage is, how long the rest may take, what was refused and which jobs "
    "failed, with their logs. It reads files alone, so it may be asked while the workflow runs, on "
    "any machine that sees the folder; ask where Snakemake was started.",
    example="medvision status --config config/config.yaml",
)
@click.option(
    "--ended",
    is_flag=True,
    help="The run is over: what began and is not done has failed. The workflow itself says so.",
)
def command(study: Study, layout: Layout, *, ended: bool) -> None:
    """Print a row per stage, what was spent and refused, the last errors, and what is next."""
    last_run = read_last_run(_SNAKEMAKE, is_over=ended)
    jobs = list_jobs(study, layout)
    standings = [judge_job(job, study, layout, last_run=last_run) for job in jobs]
    stages: dict[str, list[Standing]] = {}
    for item in standings:
        stages.setdefault(item.job.stage, []).append(item)
    left = {stage: _sum_left(items) for stage, items in stages.items()}
    click.echo(f"Study: {layout.root}")
    _print_table(stages, left)
    for line in (
        _say_left(standings, list(left.values())),
        _say_spent(standings, layout),
        _say_refused(study, layout),
        *_list_errors(standings),
        _say_next(standings),
    ):
        click.echo(line)


def _sum_left(items: Sequence[Standing]) -> float | None:
    """Return the seconds that a stage's jobs will take, one kind after the other."""
    kinds: dict[str, list[Standing]] = {}
    for item in items:
        kinds.setdefault(item.job.kind, []).append(item)
    told = [estimate_left(kind) for kind in kinds.values()]
    known = [seconds for seconds in told if seconds is not None]
    return sum(known) if len(known) == len(told) else None


def _print_table(stages: dict[str, list[Standing]], left: dict[str, float | None]) -> None:
    """Print how many jobs of each stage are how far."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, padding=(0, 1))
    table.add_column("stage")
    for name in (*_COLUMNS, "time left"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for stage, items in stages.items():
        _add_row(table, stage, items, left_s=left[stage])
    Console().print(table)


def _add_row(
    table: "Table", stage: str, items: Sequence[Standing], *, left_s: float | None
) -> None:
    """Add a stage; what must be done again is left to do."""
    counts = Counter("left" if item.state in STALE else item.state for item in items)
    cells = [str(counts[name] or "") for name in _COLUMNS]
    told = "?" if left_s is None else say_duration(left_s)
    table.add_row(stage, *cells, told if counts["done"] < len(items) else "", _say_state(items))


def _say_state(items: Sequence[Standing]) -> str:
    """Return a stage's state in a word or two: the worst of its jobs'."""
    states = {item.state for item in items}
    if "failed" in states:
        return "✗ failed"
    for state in STALE:
        if state in states:
            return f"! {state}"
    if states == {"done"}:
        return "✓ done"
    return "… at work" if "at work" in states else "– missing"


def _say_left(standings: Sequence[Standing], left: Sequence[float | None]) -> str:
    """Return the time left, as far as finished jobs tell it."""
    n_open = sum(item.is_open for item in standings)
    if not n_open:
        return "Time left: none."
    known = [seconds for seconds in left if seconds is not None]
    n_untold = len(left) - len(known)
    told = say_duration(sum(known))
    if not n_untold:
        return f"Time left: about {told} for {n_open} jobs, at the pace so far."
    stages = "1 stage" if n_untold == 1 else f"{n_untold} stages"
    begun = f"more than {told}" if sum(known) else "not known"
    return f"Time left: {begun}; jobs of {stages} have yet to end for the first time."


def _say_spent(standings: Sequence[Standing], layout: Layout) -> str:
    """Return what was spent on the jobs that are done."""
    spent = sum_spent(standings, layout)
    return (
        f"Spent on what is done: {spent.job_hours:.2f} job hours, {spent.cpu_hours:.2f} CPU hours, "
        f"{spent.gpu_hours:.2f} GPU hours."
    )


def _say_refused(study: Study, layout: Layout) -> str:
    """Return what was refused so far: by ingestion or by its shards, and by preprocessing."""
    record = read_held(layout.record("ingest"))
    total = study.ingest.shards
    numbers = range(1, total + 1) if total > 1 and not record else ()
    marks = [read_held(layout.ingest_shard(f"{n}-of-{total}")) for n in numbers]
    facts = record.get("facts", {})
    refused: Counter[str] = Counter()
    for held in (facts if isinstance(facts, dict) else {}, *marks):
        counts = held.get("refused", {})
        for reason, count in counts.items() if isinstance(counts, dict) else ():
            refused[reason] += count if isinstance(count, int) else 0
    listed = ", ".join(f"{count} {reason}" for reason, count in refused.most_common())
    told = f"{refused.total()} files ({listed})" if refused else "no file"
    return f"Refused so far: {told}, {_count_rows(layout.preprocess_rejects)} images."


def _count_rows(path: Path) -> int:
    """Return the rows of a table below its heading, 0 where there is none."""
    try:
        with path.open(encoding="utf-8") as stream:
            return max(0, sum(1 for _ in stream) - 1)
    except OSError:
        return 0


def _list_errors(standings: Sequence[Standing]) -> list[str]:
    """Return the last errors, the newest first, each with the command that shows more."""
    failed = sorted((item for item in standings if item.error), key=lambda item: -item.at_s)
    lines = [f"Failed: {len(failed)} jobs." if len(failed) != 1 else "Failed: 1 job."]
    for item in failed[:_MOST_ERRORS]:
        clock = time.strftime("%Y-%m-%d %H:%M", time.localtime(item.at_s))
        more = f"more: tail -n 50 {shlex.join(map(str, item.logs))}" if item.logs else _REFUSED
        lines += [f"  {item.job.name}, {clock}: {item.error}", f"    {more}"]
    if (folder := _SNAKEMAKE / "slurm_logs").is_dir() and failed:
        lines.append(f"  What SLURM itself said: {folder}")
    return lines if failed else []


def _say_next(standings: Sequence[Standing]) -> str:
    """Return which job is done next."""
    following = [item for item in standings if item.is_open]
    if not following:
        return "All stages are done."
    first = following[0]
    if first.state != "left" or standings[-1].is_open:
        return f"Next: {first.job.step}."
    # Snakemake asks only for the last, and takes what lies between for temporary.
    (*_, gathering) = (item.job for item in standings if item.job.step == first.job.step)
    return (
        f"Next: {first.job.step}. The last stage is done, so Snakemake would do nothing: add "
        f"--forcerun {shlex.quote(str(gathering.mark))} to its command."
    )
