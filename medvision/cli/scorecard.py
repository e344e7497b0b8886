"""`medvision scorecard`: one start on one fold, on every share of the subjects, with every seed."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace

import click

from medvision.cli._run import Step, open_step, study_command
from medvision.cli._scorecard.fit import Outcome, Table, Task, run_task
from medvision.cli._scorecard.shares import Subsets, check_fold, choose_shares, write_trainings
from medvision.cli._scorecard.tables import (
    SIMILARITY_COLUMNS,
    TRAINING_COLUMNS,
    list_prediction_columns,
)
from medvision.cli._training.fitting import Job
from medvision.cli._training.learning import prepare_device, read_groups, read_learning_data
from medvision.cli._training.starting import find_start
from medvision.config.model import Study
from medvision.config.scorecard import ScorecardArm
from medvision.domain.record import JsonValue
from medvision.domain.scorecard.subsets import Subset
from medvision.errors import ConfigError
from medvision.layout import Layout
from medvision.runtime.files import write_json

_log = logging.getLogger(__name__)


@study_command(
    "scorecard",
    help="Train one start of the scorecard on one fold: a network for each share of the train "
    "subjects and each seed. The networks themselves are not kept. Run again after an "
    "interruption, it goes on.",
    example="medvision scorecard --set 'scorecard.sources=[pretrain]' --arm pretrain-full --fold 0",
)
@click.option(
    "--arm",
    required=True,
    metavar="NAME",
    help="scratch, or a source and a policy, such as pretrain-linear.",
)
@click.option("--fold", required=True, type=click.IntRange(min=0))
def command(study: Study, layout: Layout, *, arm: str, fold: int) -> None:
    """Train all networks of one arm on one fold."""
    chosen = find_arm(study, arm)
    is_pretrained = chosen.weights == "pretrain" and not chosen.is_scratch
    upstream = ("cohort", "preprocess", *(("pretrain",) if is_pretrained else ()))
    name = layout.fold_step(arm, fold, stage="scorecard")
    with open_step(name, study, upstream=upstream) as step:
        _train_fold(step, chosen, fold=fold)


def find_arm(study: Study, name: str) -> ScorecardArm:
    """Return an arm of the scorecard by its name.

    Raises:
        ConfigError: There is no scorecard, or no such arm.
    """
    arms = {arm.name: arm for arm in study.scorecard.arms}
    if not arms:
        raise ConfigError(
            "scorecard.sources: starting weights to compare must be named, got none.",
            "set scorecard.sources, to [pretrain] for one; see docs/explanation/"
            "transfer-scorecard.md.",
        )
    if name not in arms:
        raise ConfigError(
            f"--arm: arm must be one of {', '.join(arms)}, got {name}.",
            "an arm is scratch, or one of scorecard.sources with one of scorecard.policies.",
        )
    return arms[name]


def _train_fold(step: Step, arm: ScorecardArm, *, fold: int) -> None:
    """Train on every share with every seed, and write what came of all."""
    study, section = step.study, step.study.scorecard
    device = prepare_device(step)
    data = read_learning_data(step)
    check_fold(fold, section.list_folds(len(data.folds)), section="scorecard")
    # The study as it would be with these weights and this policy.
    model = study.model.model_copy(update={"weights": arm.weights, "policy": arm.policy})
    settings = study.model_copy(update={"model": model})
    kind = "scratch" if arm.is_scratch else "transfer"
    # What it reads is registered with the step: the copy shares its tables.
    start = find_start(replace(step, study=settings), data, arm=kind)
    job = Job(step, settings, data, arm.name, fold, device, start)
    subsets = choose_shares(
        data,
        read_groups(step),
        fold=fold,
        fractions=section.fractions,
        seeds=section.seeds,
        purpose=f"scorecard/{section.seed}",
    )
    _log.info(_announce(study, arm, subsets=subsets[section.seeds[0]], n_folds=len(data.folds)))
    largest = max(section.fractions)
    outcomes = [
        run_task(Task(job, subset, seed, compares=subset.fraction == largest))
        for seed, shares in subsets.items()
        for subset in shares
    ]
    _write(step, outcomes, subsets=subsets, job=job)
    shutil.rmtree(step.layout.step(step.name) / "resume", ignore_errors=True)


def _announce(study: Study, arm: ScorecardArm, *, subsets: Sequence[Subset], n_folds: int) -> str:
    """Say what this job costs, and the whole scorecard."""
    section = study.scorecard
    n_each = len(section.fractions) * len(section.seeds)
    n_jobs = len(section.arms) * len(section.list_folds(n_folds))
    shares = ", ".join(
        f"{len(each.subjects)} ({each.fraction:.0%}"
        f"{', one of each class' if each.is_exceeded else ''})"
        for each in subsets
    )
    return (
        f"scorecard: {arm.name}: {n_each} trainings, on {shares} subjects, seeds: "
        f"{len(section.seeds)}; {n_jobs * n_each} trainings in {n_jobs} jobs in all"
    )


def _write(step: Step, outcomes: Sequence[Outcome], *, subsets: Subsets, job: Job) -> None:
    """Write the job's tables, and what it started from."""
    tables: dict[str, tuple[Table, Sequence[str]]] = {
        "predictions": (
            [row for each in outcomes for row in each.predictions],
            list_prediction_columns(job.data.classes),
        ),
        "trainings": ([each.training for each in outcomes], TRAINING_COLUMNS),
        "cka": ([row for each in outcomes for row in each.similarity], SIMILARITY_COLUMNS),
    }
    write_trainings(step, tables, subsets=subsets, fold=job.fold)
    summary: dict[str, JsonValue] = {
        "arm": job.arm,
        "policy": job.settings.model.policy,
        "weights_source": job.start.source,
        "weights_digest": job.start.digest,
        "network_form": job.start.describe(),
    }
    write_json(step.write(step.layout.step(step.name) / "summary.json"), summary)
    step.facts |= {"n_trainings": len(outcomes), **summary}
