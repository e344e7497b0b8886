"""The jobs of a study as the workflow runs them: what each is known by when it is done."""

import re
from dataclasses import dataclass
from pathlib import Path

from medvision.cli._searches import list_searches
from medvision.cli._steps import list_steps
from medvision.config.division import number_jobs
from medvision.config.model import Study
from medvision.layout import Layout


@dataclass(frozen=True)
class Job:
    """One job of the workflow.

    Args:
        name: As its log is named below `logs`: `train/transfer-fold-0`, `ingest-shard-1-of-4`.
        step: The step that it is, or is a part of.
        mark: The file that is there once it is done: the step's record, or a part's own mark.
        is_part: Others do the rest of the step.
        log: What it said.
        benchmark: Snakemake's table of its seconds and memory, once it ended well.
    """

    name: str
    step: str
    mark: Path
    is_part: bool
    log: Path
    benchmark: Path

    @property
    def stage(self) -> str:
        """The stage that it belongs to."""
        return self.step.partition("/")[0]

    @property
    def kind(self) -> str:
        """What jobs that take about as long have in common: the name without its numbers."""
        return re.sub(r"\d+", "#", self.name)


def list_jobs(study: Study, layout: Layout) -> tuple[Job, ...]:
    """Return all jobs of a study in the order of the work, parts before the step that gathers them.

    Args:
        study: The configuration in force.
        layout: Its output folder, whose cohort says how many folds there are.
    """
    jobs: list[Job] = []
    searches = set(list_searches(study, layout))
    for step in list_steps(study, layout):
        stage, *rest = step.split("/")
        name = "/".join([stage, "-".join(rest)]) if rest else stage
        if step in searches:
            jobs += _list_workers(study, layout, step, name)
        elif stage in ("ingest", "measure", "preprocess"):
            jobs += _list_shards(study, layout, stage)
        jobs.append(_make(layout, name, step, mark=layout.record(step)))
    return tuple(jobs)


def _list_workers(study: Study, layout: Layout, step: str, name: str) -> list[Job]:
    """Return the jobs that share a search, where several do."""
    folder = layout.step(step) / "workers"
    return [
        _make(layout, f"{name}-worker-{n}", step, mark=folder / f"{n}.json", is_part=True)
        for n in number_jobs(study.tune.workers)
    ]


def _list_shards(study: Study, layout: Layout, stage: str) -> list[Job]:
    """Return the shards of a stage that is divided among several."""
    section = study.preprocess if stage == "preprocess" else study.ingest
    total = section.shards
    if total == 1:
        return []
    names = [f"{n}-of-{total}" for n in range(1, total + 1)]
    folder = layout.step(stage) / "shards"
    marks = {f"{stage}-shard-{name}": folder / f"{name}.json" for name in names}
    if stage == "ingest":
        marks = {"ingest-index": layout.ingest_shard("index"), **marks}
    return [_make(layout, name, stage, mark=mark, is_part=True) for name, mark in marks.items()]


def _make(layout: Layout, name: str, step: str, *, mark: Path, is_part: bool = False) -> Job:
    """Return a job with the places where the workflow puts its log and its benchmark."""
    log = layout.root / "logs" / f"{name}.log"
    benchmark = layout.root / "benchmarks" / f"{name.replace('/', '-')}.tsv"
    return Job(name, step, mark, is_part, log, benchmark)
