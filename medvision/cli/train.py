"""`medvision train`: one arm on one fold, a network per seed."""

import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision import __version__
from medvision.cli._learning import (
    LearningData,
    hash_settings,
    prepare_device,
    read_learning_data,
)
from medvision.cli._run import Step, open_step, study_command
from medvision.cli._starting import Start, find_start
from medvision.config.model import Study
from medvision.domain.arms import ARMS
from medvision.domain.record import JsonValue
from medvision.errors import ConfigError
from medvision.io.tables import write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from medvision.learn.dataset import Transform
    from medvision.learn.train import Fit
    from medvision.learn.transfer import WeightsReport

HISTORY_COLUMNS = (
    "epoch",
    "train_loss",
    "validation_loss",
    "validation_auc",
    "learning_rate",
)
WEIGHTS_COLUMNS = (
    *("tensor", "status", "model_shape", "file_shape"),
    *("file_tensor", "adaptation"),
)

_log = logging.getLogger(__name__)


@study_command(
    "train",
    help="Fine-tune one arm on one fold, one network per seed. Run again after an interruption, "
    "it goes on after the last complete epoch.",
    example="medvision train --config config/config.yaml --arm transfer --fold 0",
)
@click.option("--arm", required=True, type=click.Choice(ARMS))
@click.option("--fold", required=True, type=click.IntRange(min=0))
def command(study: Study, layout: Layout, *, arm: str, fold: int) -> None:
    """Train all seeds of one arm on one fold."""
    if arm not in study.arms:
        raise ConfigError(
            f"--arm: arm must be one of {', '.join(study.arms)} for model.weights "
            f"{study.model.weights}, got {arm}.",
            "set train.compare_scratch to true to train scratch too."
            if arm == "scratch"
            else "set model.weights to pretrain, a name, a file or a study to train transfer.",
        )
    upstream = ["cohort", "preprocess"]
    if arm == "transfer" and study.model.weights == "pretrain":
        upstream.append("pretrain")
    with open_step(layout.fold_step(arm, fold), study, upstream=upstream) as step:
        _train_fold(step, arm=arm, fold=fold)


@dataclass(frozen=True)
class _Job:
    """What all seeds of one arm on one fold have in common."""

    step: Step
    data: LearningData
    arm: str
    fold: int
    device: "torch.device"
    start: Start

    def path(self, seed: int, name: str) -> Path:
        """Return a file in a seed's folder."""
        return self.step.layout.seed(self.arm, self.fold, seed=seed) / name


def _train_fold(step: Step, *, arm: str, fold: int) -> None:
    """Train one network per seed, and drop the resume data when all are done."""
    device = prepare_device(step)
    data = read_learning_data(step)
    if fold not in data.folds:
        raise ConfigError(
            f"--fold: fold must be one of {', '.join(map(str, data.folds))}, got {fold}.",
            "folds count from 0; cohort.folds, inner_folds and repeats say how many there are.",
        )
    start = find_start(step, data, arm=arm)
    job = _Job(step, data, arm, fold, device, start)
    seeds = step.study.train.seeds
    for seed in seeds:
        _train_seed(job, seed)
    step.facts["seeds"] = list(seeds)
    for seed in seeds:
        shutil.rmtree(job.path(seed, "resume"), ignore_errors=True)


def _train_seed(job: _Job, seed: int) -> None:
    """Build, load, freeze, fit and write one network."""
    from medvision.learn.backbones import blocks
    from medvision.learn.freezing import freeze

    model, report = _build_model(job, seed)
    section = job.step.study.model
    # A network from scratch has nothing worth keeping: its policy is always full.
    frozen = freeze(
        model,
        blocks(section.backbone),
        policy=section.policy if job.start.path is not None else "full",
        frozen_blocks=section.frozen_blocks,
    )
    fit = _fit(job, model, seed=seed, frozen=frozen)
    _write_model(job, fit, seed=seed)
    _write_summary(job, fit, seed=seed, model=model, report=report)


def _build_model(job: _Job, seed: int) -> "tuple[nn.Module, WeightsReport | None]":
    """Build a network, random from the seed, and give it the starting weights if any."""
    from medvision.learn.backbones import build_backbone, head_names
    from medvision.learn.sources import read_weights
    from medvision.learn.transfer import load_weights
    from medvision.runtime.seeds import derive_seed, seed_everything

    section = job.step.study.model
    seed_everything(derive_seed("initial-weights", job.fold, seed))
    model = build_backbone(
        section.backbone,
        spatial_dims=job.data.store.spatial_dims,
        channels=job.data.channels,
        n_classes=len(job.data.classes),
        form=job.start.form,
    )
    if job.start.path is None:
        return model, None

    def write(report: "WeightsReport") -> None:
        rows = [asdict(row) for row in report.rows]
        write_table(job.step.write(job.path(seed, "weights.tsv")), rows, columns=WEIGHTS_COLUMNS)

    report = load_weights(
        model,
        read_weights(job.start.path),
        head=head_names(section.backbone),
        minimum_match=section.minimum_match,
        adapt_3d=section.adapt_3d,
        on_report=write,
    )
    _log.info("weights: %d tensors loaded, %.0f %% of the backbone", *_count(report))
    return model, report


def _count(report: "WeightsReport") -> tuple[int, float]:
    """Return (tensors loaded or adapted, matching share in percent)."""
    return report.count("loaded") + report.count("adapted"), 100 * report.match


def _fit(job: _Job, model: "nn.Module", *, seed: int, frozen: tuple[str, ...]) -> "Fit":
    """Train, or go on training, on this fold's images."""
    from medvision.learn.board import open_board
    from medvision.learn.train import State, fit_network
    from medvision.runtime.seeds import derive_seed

    settings = dict(job.step.study.train)
    del settings["seeds"], settings["compare_scratch"]
    parts = {"seed": seed, "weights": job.start.digest, "form": job.start.describe()}
    digest = hash_settings(job.step, parts)
    with open_board(job.path(seed, "tensorboard")) as add_row:
        return fit_network(
            model,
            job.data.examples(job.data.select(job.fold, "train")),
            validation=job.data.examples(job.data.select(job.fold, "validation")),
            n_classes=len(job.data.classes),
            frozen=frozen,
            seed=derive_seed("train", job.fold, seed),
            device=job.device,
            transform=_build_transform(job.step.study, job.data.store.spatial_dims),
            state=State(job.path(seed, "resume") / "state.pt", digest),
            on_epoch=add_row,
            description=f"training {job.arm}, fold {job.fold}, seed {seed}",
            **settings,
        )


def _build_transform(study: Study, spatial_dims: int) -> "Transform | None":
    """Introduce the augmentation to the training; None where nothing is to change."""
    from medvision.augment.batch import apply_parameters, draw_parameters

    section = study.augment
    if not any(dict(section).values()):
        return None

    def transform(images: "Tensor", generator: "torch.Generator") -> "Tensor":
        parameters = draw_parameters(
            generator, n_images=len(images), spatial_dims=spatial_dims, **dict(section)
        )
        return apply_parameters(images, parameters)

    return transform


def _write_model(job: _Job, fit: "Fit", *, seed: int) -> None:
    """Write the best epoch's network and the history."""
    from medvision.runtime.checkpoint import ModelMeta, save_model

    meta = ModelMeta(
        backbone=job.step.study.model.backbone,
        spatial_dims=job.data.store.spatial_dims,
        channels=job.data.channels,
        classes=job.data.classes,
        medvision_version=__version__,
        form=job.start.form,
    )
    save_model(job.step.write(job.path(seed, "model.safetensors")), fit.tensors, meta=meta)
    write_table(job.step.write(job.path(seed, "history.tsv")), fit.history, columns=HISTORY_COLUMNS)


def _write_summary(
    job: _Job, fit: "Fit", *, seed: int, model: "nn.Module", report: "WeightsReport | None"
) -> None:
    """Write what became of the starting weights, and the training in a few numbers."""
    from medvision.learn.freezing import count_trainable

    if report is None:
        write_table(job.step.write(job.path(seed, "weights.tsv")), [], columns=WEIGHTS_COLUMNS)
    trainable, parameters = count_trainable(model)
    best = fit.history[fit.best_epoch - 1]
    summary: dict[str, JsonValue] = {
        "best_epoch": fit.best_epoch,
        "epochs": len(fit.history),
        "is_stopped_early": fit.is_stopped_early,
        "validation_loss": best["validation_loss"],
        "validation_auc": best["validation_auc"],
        "parameters": parameters,
        "trainable_parameters": trainable,
        "n_training": len(job.data.select(job.fold, "train")),
        "n_validation": len(job.data.select(job.fold, "validation")),
        "weights_match": report.match if report is not None else None,
        "weights_source": job.start.source,
        "weights_layout": report.layout if report is not None else None,
        "network_form": job.start.describe(),
    }
    write_json(job.step.write(job.path(seed, "summary.json")), summary)
