"""`medvision control`: a training that must fail, or must differ, on the first fold."""

import logging
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import click

from medvision.cli._inference import list_study_views
from medvision.cli._outputs import describe_outputs, list_output_columns
from medvision.cli._run import Step, open_step, study_command
from medvision.cli._searches import find_search
from medvision.cli._training.fitting import Job, Watch, fit_seed, list_upstream
from medvision.cli._training.learning import (
    LearningData,
    hash_settings,
    prepare_device,
    read_learning_data,
)
from medvision.cli._training.starting import find_start
from medvision.cli.predict import PREDICTION_COLUMNS
from medvision.cli.train import choose_settings
from medvision.config.control import CONTROLLED_FOLD
from medvision.config.model import Study
from medvision.domain.intended_use import INTENDED_USE, RESEARCH_USE
from medvision.domain.labels.rows import EXTERNAL, Classes
from medvision.domain.metrics.pooling import LINKS, pool_logits
from medvision.domain.record import JsonValue
from medvision.domain.shortcut.dealt import (
    Dealt,
    count_moved,
    count_siblings,
    deal_images,
    join_units,
    list_copies,
    name_strata,
    permute_labels,
)
from medvision.domain.split import Assignment
from medvision.domain.splits.kinds import name_kinds
from medvision.errors import ConfigError
from medvision.io.tables import Cell, read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

DEALT_COLUMNS = ("image_id", "subject", "unit", "label", "split", "control_label", "control_split")
LEAST_SIBLINGS = 0.2
"""Share of the test images with a sibling in train, below which there is nothing to compare."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a control trains on.

    Args:
        own: The fold's images as the study has them.
        dealt: The same, dealt anew.
        units: image_id to what is dealt as one.
        is_trained: Whether there is anything to train for.
    """

    own: tuple[Assignment, ...]
    dealt: Dealt
    units: Mapping[str, str]
    is_trained: bool


@study_command(
    "control",
    help="Train the study's own network on labels permuted among subjects, or on images split as "
    "if each were a subject's: what must fail, or must differ, if nothing leaks. The network "
    "is not kept. Run again after an interruption, it goes on.",
    example="medvision control --arm permuted --fold 0",
)
@click.option("--arm", required=True, type=click.Choice(["permuted", "image-level"]))
@click.option("--fold", required=True, type=click.IntRange(CONTROLLED_FOLD, CONTROLLED_FOLD))
def command(study: Study, layout: Layout, *, arm: str, fold: int) -> None:
    """Train one control on the first fold."""
    if arm not in study.control.trainings:
        raise ConfigError(
            f"--arm: control must be one of control.trainings, got {arm}.",
            "name it in control.trainings.",
        )
    main = study.arms[0]
    searches = find_search(study, layout, arm=main, fold=fold)
    upstream = (*list_upstream(study, main), *searches)
    name = layout.fold_step(arm, fold, stage="control")
    with open_step(name, study, upstream=upstream) as step:
        _run(step, arm, fold=fold, searches=searches)


def _run(step: Step, name: str, *, fold: int, searches: tuple[str, ...]) -> None:
    """Deal, train, predict and write."""
    device = prepare_device(step)
    data = read_learning_data(step)
    step.seed = step.study.control.seed
    plan = _plan(step, name, data=data, fold=fold)
    start = find_start(step, data, arm=step.study.arms[0])
    settings = choose_settings(step, searches)
    dealt = replace(data, assignments=plan.dealt.assignments)
    job = Job(step, settings, dealt, step.study.arms[0], fold, device, start)
    rows: list[dict[str, Cell]] = []
    facts: dict[str, JsonValue] = {}
    if plan.is_trained:
        rows, facts = _train(job, name)
    _write(step, plan, rows=rows, facts=facts, data=data)
    shutil.rmtree(step.layout.step(step.name) / "resume", ignore_errors=True)


def _plan(step: Step, name: str, *, data: LearningData, fold: int) -> Plan:
    """Deal labels or images."""
    cohort = read_table(step.read(step.layout.cohort))
    pairs = read_table(step.read(step.layout.leakage), required=("image_a", "image_b"))
    held = data.store.rows()
    own = tuple(
        item
        for item in data.assignments
        if item.fold == fold and item.split != EXTERNAL and item.image_id in held
    )
    groups = {row["image_id"]: row["group"] or row["subject"] for row in cohort}
    copies = list_copies({row["image_id"]: row.get("pixel_digest", "") for row in cohort})
    known = [(row["image_a"], row["image_b"]) for row in pairs]
    purpose = f"{name}/{step.study.control.seed}/{fold}"
    labels = [item.label for item in own]
    classes = Classes(data.classes, None, task=data.task)
    if name == "permuted":
        units = join_units(groups, [*copies, *known])
        kinds = name_kinds(labels, classes)
        dealt = permute_labels(own, units, purpose=purpose, kinds=kinds)
        return Plan(own, dealt, units, is_trained=True)
    dealt = deal_images(own, strata=name_strata(labels, classes), purpose=purpose)
    n_siblings, n_tested = count_siblings(dealt.assignments, groups)
    return Plan(own, dealt, groups, is_trained=n_siblings >= LEAST_SIBLINGS * max(n_tested, 1))


def _train(job: Job, name: str) -> tuple[list[dict[str, Cell]], dict[str, JsonValue]]:
    """Fit the network of the first seed, and predict the test images with its best epoch."""
    from medvision.learn.epochs import State
    from medvision.learn.predict import predict_views
    from medvision.runtime.stopping import heed_stop

    step, seed = job.step, job.settings.train.seeds[0]
    parts: dict[str, JsonValue] = {"weights": job.start.digest, "form": job.start.describe()}
    path = step.layout.step(step.name) / "resume" / "state.pt"
    with heed_stop() as should_stop:
        watch = Watch(
            f"control {name}, fold {job.fold}",
            state=State(path, hash_settings(step, parts)),
            should_stop=should_stop,
        )
        trained = fit_seed(job, seed, watch=watch)
    trained.model.load_state_dict(trained.fit.tensors)
    chosen = job.data.select(job.fold, "test")
    logits = predict_views(
        trained.model.to(job.device),
        job.data.examples(chosen),
        device=job.device,
        views=list_study_views(step, job.data),
    )
    pooled = pool_logits(logits, LINKS[job.data.task])
    cells = describe_outputs(job.data, chosen, logits=pooled, scale=trained.fit.scale)
    place = {"arm": name, "seed": seed, INTENDED_USE: RESEARCH_USE}
    rows = [{**place, **vars(item), **outputs} for item, outputs in zip(chosen, cells, strict=True)]
    fit = trained.fit
    return rows, {"seed": seed, "epochs": len(fit.history), "best_epoch": fit.best_epoch}


def _write(
    step: Step,
    plan: Plan,
    *,
    rows: list[dict[str, Cell]],
    facts: dict[str, JsonValue],
    data: LearningData,
) -> None:
    """Write predictions, who was dealt what, and the training in a few numbers."""
    layout = step.layout
    columns = [*PREDICTION_COLUMNS, *list_output_columns(data), INTENDED_USE]
    write_table(step.write(layout.table(step.name, "predictions")), rows, columns=columns)
    given = {item.image_id: item for item in plan.dealt.assignments}
    table: list[dict[str, Cell]] = [
        {
            "image_id": item.image_id,
            "subject": item.subject,
            "unit": plan.units[item.image_id],
            "label": item.label,
            "split": item.split,
            "control_label": given[item.image_id].label,
            "control_split": given[item.image_id].split,
        }
        for item in plan.own
    ]
    write_table(step.write(layout.table(step.name, "dealt")), table, columns=DEALT_COLUMNS)
    n_siblings, n_tested = count_siblings(plan.dealt.assignments, plan.units)
    summary: dict[str, JsonValue] = {
        "is_trained": plan.is_trained,
        "n_tested": n_tested,
        "n_siblings": n_siblings,
        "n_moved": count_moved(plan.own, plan.dealt.assignments),
        "n_of_labels": _count_labels(plan, data),
        "n_units": len({plan.units[item.image_id] for item in plan.own}),
        "n_draws": plan.dealt.n_draws,
        **facts,
    }
    write_json(step.write(layout.step(step.name) / "summary.json"), summary)
    step.facts |= summary


def _count_labels(plan: Plan, data: LearningData) -> dict[str, JsonValue]:
    """Count the images of each class or finding, with the study's labels and the control's."""
    classes = Classes(data.classes, None, task=data.task)
    kinds = name_kinds([item.label for item in plan.own], classes)
    own, dealt = (
        Counter(name for item in held for name in kinds[item.label])
        for held in (plan.own, plan.dealt.assignments)
    )
    return {name: {"own": own[name], "dealt": dealt[name]} for name in sorted(own)}
