"""`medvision ablate`: one fold on one share, without and with synthetic images, every seed."""

import shutil
from collections.abc import Sequence
from typing import cast

import click

from medvision.cli._ablation.fit import Outcome, Task, run_task
from medvision.cli._ablation.gate import OPEN, Gatekeeper
from medvision.cli._ablation.tables import GATE_COLUMNS, TRAINING_COLUMNS
from medvision.cli._ablation.tally import OBEY
from medvision.cli._gate.extractor import open_extractor
from medvision.cli._run import Step, open_step, study_command
from medvision.cli._scorecard.fit import Table
from medvision.cli._scorecard.shares import Subsets, check_fold, choose_shares, write_trainings
from medvision.cli._scorecard.tables import list_prediction_columns
from medvision.cli._training.fitting import Job, list_upstream
from medvision.cli._training.learning import prepare_device, read_groups, read_learning_data
from medvision.cli._training.starting import find_start
from medvision.config.ablation import is_ablated, name_share
from medvision.config.model import Study
from medvision.domain.synthesis.ablation import SYNTHETIC
from medvision.errors import ConfigError
from medvision.layout import Layout


@study_command(
    "ablate",
    help="Train the study's main network on one share of one fold's train subjects: without "
    "additions, with random changes, with synthetic images that the gate accepts and with both, "
    "each with every seed. Nothing is kept but predictions and what the gate said. Run again after "
    "an interruption, it goes on.",
    example="medvision ablate --set synthesise.generator=gan --share 0.25 --fold 0",
)
@click.option("--share", required=True, type=click.FloatRange(0, 1, min_open=True))
@click.option("--fold", required=True, type=click.IntRange(min=0))
def command(study: Study, layout: Layout, *, share: float, fold: int) -> None:
    """Train all variants of one share on one fold."""
    check_asked(study)
    section = study.ablation
    if share not in section.shares:
        raise ConfigError(
            f"--share: share must be one of ablation.shares, {_list(section.shares)}, "
            f"got {share:g}.",
        )
    name = layout.fold_step(name_share(share), fold, stage="ablate")
    upstream = list_upstream(study, study.arms[0])
    with open_step(name, study, upstream=upstream) as step:
        _train_share(step, share, fold=fold)


def check_asked(study: Study) -> None:
    """Refuse where no ablation is asked for.

    Raises:
        ConfigError: With the field that asks for it.
    """
    if not is_ablated(study):
        raise ConfigError(
            "ablation.run: value must be auto, with synthesise.generator set, for this step, got "
            f"{study.ablation.run} and {study.synthesise.generator}.",
            "set synthesise.generator to gan; see docs/explanation/synthesis.md.",
        )


def _list(values: Sequence[float]) -> str:
    """Return numbers in words."""
    return ", ".join(f"{value:g}" for value in values)


def _train_share(step: Step, share: float, *, fold: int) -> None:
    """Train every seed, and write what came of all."""
    study, section = step.study, step.study.ablation
    device = prepare_device(step)
    data = read_learning_data(step)
    check_fold(fold, section.list_folds(len(data.folds)), section="ablation")
    step.seed = section.seed
    arm = study.arms[0]
    job = Job(step, study, data, arm, fold, device, find_start(step, data, arm=arm))
    groups = read_groups(step)
    subsets = choose_shares(
        data,
        groups,
        fold=fold,
        fractions=(share,),
        seeds=section.seeds,
        purpose=f"ablation/{section.seed}",
    )
    keeper = Gatekeeper(
        open_extractor(step, data),
        {item.subject: groups[item.image_id] for item in data.assignments},
        section.gate == OBEY,
    )
    outcomes = [
        outcome
        for seed, (subset,) in subsets.items()
        for outcome in run_task(Task(job, subset, seed, keeper))
    ]
    _write(step, outcomes, subsets=subsets, job=job)
    shutil.rmtree(step.layout.step(step.name) / "resume", ignore_errors=True)


def _write(step: Step, outcomes: Sequence[Outcome], *, subsets: Subsets, job: Job) -> None:
    """Write the job's tables."""
    tables: dict[str, tuple[Table, Sequence[str]]] = {
        "predictions": (
            [row for each in outcomes for row in each.predictions],
            list_prediction_columns(job.data.classes, arm="variant"),
        ),
        "trainings": ([each.training for each in outcomes], TRAINING_COLUMNS),
        "gates": ([row for each in outcomes for row in each.gates], GATE_COLUMNS),
    }
    write_trainings(step, tables, subsets=subsets, fold=job.fold)
    step.facts |= {
        "n_trainings": len(outcomes),
        "n_added": sum(cast(int, each.training["n_added"]) for each in outcomes),
        "n_open": sum(
            each.training["gate"] == OPEN and each.training["variant"] == SYNTHETIC
            for each in outcomes
        ),
    }
