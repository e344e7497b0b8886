"""`medvision train`: one arm on one fold, a network per seed."""

import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision import __version__
from medvision.cli._run import Step, study_command
from medvision.cli._searches import chosen_path, find_search, read_chosen
from medvision.cli._synthetic.accepted import add_accepted, list_added
from medvision.cli._training.changes import write_changes
from medvision.cli._training.checkpoints import choose_kept, write_checkpoints
from medvision.cli._training.fitting import (
    Job,
    Trained,
    Watch,
    describe_training,
    fit_seed,
    list_upstream,
)
from medvision.cli._training.learning import hash_settings, prepare_device, read_learning_data
from medvision.cli._training.starting import find_start
from medvision.cli._training.team import (
    find_stop_mark,
    is_under_torchrun,
    open_shared_step,
    start_team,
)
from medvision.cli._training.views import open_views
from medvision.config.model import Study
from medvision.domain.arms import ARMS
from medvision.domain.record import JsonValue
from medvision.domain.synthesis.synthetic import is_synthetic
from medvision.errors import ConfigError
from medvision.io.tables import write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json
from medvision.runtime.team import Team, join_team

if TYPE_CHECKING:
    from medvision.learn.train import Fit
    from medvision.learn.transfer import WeightsReport

HISTORY_COLUMNS = (
    "epoch",
    "train_loss",
    "validation_loss",
    "validation_auc",
    "learning_rate",
)
_FIGURES = {("regression", "validation_auc"): "validation_mae"}
WEIGHTS_COLUMNS = (
    *("tensor", "status", "model_shape", "file_shape"),
    *("file_tensor", "adaptation"),
)

_log = logging.getLogger(__name__)


@study_command(
    "train",
    help="Fine-tune one arm on one fold, one network per seed. Run again after an interruption, "
    "it goes on after the last complete epoch; told to stop (SIGTERM, SIGUSR1), it "
    "ends after the step under way, keeps where it is, and exits with 75. By "
    "compute.processes_per_node and compute.nodes several processes divide each step's images: it "
    "starts them itself, on several nodes in a SLURM job.",
    example="medvision train --config config/config.yaml --arm transfer --fold 0",
)
@click.option("--arm", required=True, type=click.Choice(ARMS))
@click.option("--fold", required=True, type=click.IntRange(min=0))
def command(study: Study, layout: Layout, *, arm: str, fold: int) -> None:
    """Train all seeds of one arm on one fold."""
    if start_team(study, ("train", "--arm", arm, "--fold", str(fold))):
        return
    searches = find_search(study, layout, arm=arm, fold=fold)
    upstream = (*list_upstream(study, arm), *searches, *list_added(study, fold))
    name = layout.fold_step(arm, fold)
    with (
        join_team() as team,
        open_shared_step(name, study, upstream=upstream, team=team) as step,
    ):
        _train_fold(step, arm=arm, fold=fold, searches=searches, team=team)


def _train_fold(step: Step, *, arm: str, fold: int, searches: tuple[str, ...], team: Team) -> None:
    """Train one network per seed, and drop the resume data when all are done."""
    device = prepare_device(step, team=team)
    data = read_learning_data(step)
    if fold not in data.folds:
        raise ConfigError(
            f"--fold: fold must be one of {', '.join(map(str, data.folds))}, got {fold}.",
            "folds count from 0; cohort.folds, inner_folds and repeats say how many there are.",
        )
    data = add_accepted(step, data, fold=fold)
    start = find_start(step, data, arm=arm)
    settings = choose_settings(step, searches)
    job = Job(step, settings, data, arm, fold, device, start, team=team)
    seeds = step.study.train.seeds
    for seed in seeds:
        _train_seed(job, seed)
    step.facts["seeds"] = list(seeds)
    if team.size > 1:
        step.facts["processes"] = team.size
    for seed in seeds if team.is_first else ():
        shutil.rmtree(_path(job, seed, "resume"), ignore_errors=True)


def choose_settings(step: Step, searches: tuple[str, ...]) -> Study:
    """Return the settings of a training: the study's, with what its part's search chose.

    Args:
        step: The running step; what was chosen is registered with it.
        searches: The step of its part's search, if any.
    """
    settings = step.study
    for search in searches:
        chosen = read_chosen(step.read(chosen_path(step.layout, search)))
        settings = settings.with_values(chosen)
        step.facts["chosen"] = chosen
    return settings


def _train_seed(job: Job, seed: int) -> None:
    """Fit and write one network, or go on where it was interrupted."""
    from medvision.learn.epochs import State
    from medvision.runtime.stopping import heed_stop

    def write(report: "WeightsReport") -> None:
        rows = [asdict(row) for row in report.rows]
        write_table(job.step.write(_path(job, seed, "weights.tsv")), rows, columns=WEIGHTS_COLUMNS)

    parts: dict[str, JsonValue] = {
        "seed": seed,
        "weights": job.start.digest,
        "form": job.start.describe(),
    }
    if job.team.size > 1:
        parts["processes"] = job.team.size
    # The first one's: the machines of a team may name their GPUs differently.
    digest = job.team.gather(hash_settings(job.step, parts))[0]
    with (
        heed_stop(is_patient=is_under_torchrun(), mark=find_stop_mark()) as should_stop,
        open_views(job, seed, digest=digest) as show_row,
    ):
        watch = Watch(
            f"training {job.arm}, fold {job.fold}, seed {seed}",
            state=State(_path(job, seed, "resume") / "state.pt", digest),
            on_epoch=show_row,
            on_report=write if job.team.is_first else None,
            should_stop=should_stop,
            keep_epochs=choose_kept(job.step.study, job.settings, arm=job.arm, seed=seed),
        )
        trained = fit_seed(job, seed, watch=watch)
    if job.team.is_first:
        _write_model(job, trained.fit, seed=seed)
        _write_summary(job, trained, seed=seed)
        write_changes(job, seed=seed, n_epochs=len(trained.fit.history))


def _path(job: Job, seed: int, name: str) -> Path:
    """Return a file in a seed's folder."""
    return job.step.layout.seed(job.arm, job.fold, seed=seed) / name


def _write_model(job: Job, fit: "Fit", *, seed: int) -> None:
    """Write the best epoch's network, those kept on the way, and the history."""
    from medvision.runtime.checkpoint import ModelMeta, save_model

    meta = ModelMeta(
        backbone=job.settings.model.backbone,
        spatial_dims=job.data.store.spatial_dims,
        channels=job.data.channels,
        classes=job.data.classes,
        medvision_version=__version__,
        form=job.start.form,
        task=job.data.task,
        scale=fit.scale,
    )
    save_model(job.step.write(_path(job, seed, "model.safetensors")), fit.tensors, meta=meta)
    folder = job.step.layout.seed(job.arm, job.fold, seed=seed)
    write_checkpoints(job.step, folder, fit=fit, settings=describe_training(job)[0], meta=meta)
    columns = [_FIGURES.get((job.data.task, name), name) for name in HISTORY_COLUMNS]
    write_table(job.step.write(_path(job, seed, "history.tsv")), fit.history, columns=columns)


def _write_summary(job: Job, trained: Trained, *, seed: int) -> None:
    """Write what became of the starting weights, and the training in a few numbers."""
    from medvision.learn.freezing import count_trainable

    if trained.report is None:
        write_table(job.step.write(_path(job, seed, "weights.tsv")), [], columns=WEIGHTS_COLUMNS)
    trainable, parameters = count_trainable(trained.model)
    fit, report = trained.fit, trained.report
    best = fit.history[fit.best_epoch - 1]
    summary: dict[str, JsonValue] = {
        "best_epoch": fit.best_epoch,
        "epochs": len(fit.history),
        "is_stopped_early": fit.is_stopped_early,
        "reuses_features": fit.reuses_features,
        "validation_loss": best["validation_loss"],
        **{name: best[name] for name in ("validation_auc", "validation_mae") if name in best},
        "parameters": parameters,
        "trainable_parameters": trainable,
        **_count_training(job),
        "n_validation": len(job.data.select(job.fold, "validation")),
        "weights_match": report.match if report is not None else None,
        "weights_source": job.start.source,
        "weights_layout": report.layout if report is not None else None,
        "network_form": job.start.describe(),
    }
    write_json(job.step.write(_path(job, seed, "summary.json")), summary)


def _count_training(job: Job) -> dict[str, JsonValue]:
    """Return how many real images are trained on; synthetic ones too, where these are taken."""
    chosen = job.data.select(job.fold, "train")
    n_synthetic = sum(is_synthetic({"image_id": item.image_id}) for item in chosen)
    counts: dict[str, JsonValue] = {"n_training": len(chosen) - n_synthetic}
    return counts | ({"n_synthetic": n_synthetic} if job.step.study.synthesise.is_taken else {})
