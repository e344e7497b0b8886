"""One network of a study fitted on one fold, for the training itself and for trials of a search."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from medvision.cli._run import Step
from medvision.cli._training.learning import LearningData
from medvision.cli._training.starting import Start
from medvision.config.model import Study
from medvision.config.task import choose_loss
from medvision.domain.scorecard.subsets import choose_evenly
from medvision.domain.split import Assignment
from medvision.errors import ConfigError
from medvision.runtime.team import ALONE, Team

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from medvision.learn.dataset import Transform
    from medvision.learn.epochs import HistoryRow, State
    from medvision.learn.freezing import Freezing
    from medvision.learn.settings import TrainSettings
    from medvision.learn.train import Fit
    from medvision.learn.transfer import WeightsReport

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What all networks of one arm on one fold have in common.

    Args:
        step: The running step.
        settings: The configuration that the training obeys: what a search chose is in it.
        data: The images, and who is on which side.
        arm: transfer or scratch.
        fold: Number of the training.
        device: Where to train.
        start: Starting weights and form of the network.
        team: The processes that train each network together.
        passes: How often an epoch shows each training image.
        n_extra: How many of them it shows once more, in 0 to all but one.
    """

    step: Step
    settings: Study
    data: LearningData
    arm: str
    fold: int
    device: "torch.device"
    start: Start
    passes: int = 1
    n_extra: int = 0
    team: Team = ALONE


@dataclass(frozen=True)
class Watch:
    """What is said and kept on the way.

    Args:
        description: What the progress display says.
        state: Where the unfinished training is kept, or None.
        on_epoch: Told every epoch's row.
        on_report: Told what became of the starting weights.
        should_stop: Asked before every step whether to keep the state and end.
        keep_epochs: Epochs whose weights are kept besides the best.
    """

    description: str
    state: "State | None" = None
    on_epoch: "Callable[[HistoryRow], None] | None" = None
    on_report: "Callable[[WeightsReport], None] | None" = None
    should_stop: Callable[[], bool] = lambda: False
    keep_epochs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Trained:
    """A network at its last epoch, what became of its starting weights, and its training."""

    model: "nn.Module"
    report: "WeightsReport | None"
    fit: "Fit"


def list_upstream(study: Study, arm: str) -> tuple[str, ...]:
    """Return the steps that every training of an arm stands on.

    Raises:
        ConfigError: The study has no such arm.
    """
    if arm not in study.arms:
        raise ConfigError(
            f"--arm: arm must be one of {', '.join(study.arms)} for model.weights "
            f"{study.model.weights}, got {arm}.",
            "set train.compare_scratch to true to train scratch too."
            if arm == "scratch"
            else "set model.weights to pretrain, a name, a file or a study to train transfer.",
        )
    is_pretrained = arm == "transfer" and study.model.weights == "pretrain"
    return ("cohort", "preprocess", *(("pretrain",) if is_pretrained else ()))


def fit_seed(job: Job, seed: int, *, watch: Watch) -> Trained:
    """Build, load, freeze and fit one network.

    Args:
        job: Arm, fold, settings and data.
        seed: Seed of the initial weights and of the training.
        watch: What is said and kept on the way.

    Raises:
        TrainingError: The images cannot be trained on, or the loss is not finite.
        WeightsError: The starting weights do not fit.
    """
    model, report = build_model(job, seed, watch=watch)
    return Trained(model, report, _fit(job, model, seed=seed, watch=watch))


def build_model(job: Job, seed: int, *, watch: Watch) -> "tuple[nn.Module, WeightsReport | None]":
    """Build a network, random from the seed, and give it the starting weights if any.

    Args:
        job: Arm, fold, settings and data.
        seed: Seed of the initial weights.
        watch: Is told what became of the starting weights.

    Returns:
        (network, what became of every tensor; None from scratch), the same each time.

    Raises:
        WeightsError: The starting weights do not fit.
    """
    from medvision.learn.backbones import build_backbone, head_names
    from medvision.learn.sources import read_weights
    from medvision.learn.transfer import load_weights
    from medvision.runtime.seeds import derive_seed, seed_everything

    section = job.settings.model
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

    report = load_weights(
        model,
        read_weights(job.start.path),
        head=head_names(section.backbone),
        minimum_match=section.minimum_match,
        adapt_3d=section.adapt_3d,
        on_report=watch.on_report,
    )
    _log.info("weights: %d tensors loaded, %.0f %% of the backbone", *_count(report))
    return model, report


def _count(report: "WeightsReport") -> tuple[int, float]:
    """Return (tensors loaded or adapted, matching share in percent)."""
    return report.count("loaded") + report.count("adapted"), 100 * report.match


def list_shown(job: Job, seed: int) -> list[Assignment]:
    """Return the training images of an epoch, as often as it shows them.

    Args:
        job: Fold, data, passes and how many images are shown once more: each class in its
            proportion, and who of a class by the seed.
        seed: Seed of the network.
    """
    chosen = job.data.select(job.fold, "train")
    purpose = f"shown-once-more/{job.fold}/{seed}"
    return chosen * job.passes + choose_evenly(chosen, job.n_extra, purpose=purpose)


def describe_training(job: Job) -> "tuple[TrainSettings, Freezing]":
    """Return the settings of one network, and what of it is kept frozen.

    Args:
        job: Arm, fold, settings and data.
    """
    from medvision.learn.backbones import blocks
    from medvision.learn.freezing import Freezing
    from medvision.learn.settings import TrainSettings

    section = job.settings.model
    values = dict(job.settings.train)
    for name in ("seeds", "compare_scratch", "mlflow", "keep_checkpoints", "record_changes"):
        del values[name]
    values |= {"task": job.data.task, "loss": choose_loss(job.data.task, values["loss"])}
    settings = TrainSettings(**values)
    if job.start.path is None:
        # A network from scratch has nothing worth keeping: all of it is trained, at one rate.
        return replace(settings, depth_decay=1.0), Freezing(blocks(section.backbone), "full")
    return settings, Freezing(
        blocks(section.backbone),
        section.policy,
        frozen_blocks=section.frozen_blocks,
        unfreeze_epochs=section.unfreeze_epochs,
    )


def _fit(job: Job, model: "nn.Module", *, seed: int, watch: Watch) -> "Fit":
    """Train, or go on training, on this fold's images."""
    from medvision.learn.train import fit_network
    from medvision.runtime.seeds import derive_seed

    settings, freezing = describe_training(job)
    return fit_network(
        model,
        job.data.examples(list_shown(job, seed)),
        validation=job.data.examples(job.data.select(job.fold, "validation")),
        n_classes=len(job.data.classes),
        settings=settings,
        freezing=freezing,
        seed=derive_seed("train", job.fold, seed),
        device=job.device,
        transform=_build_transform(job.settings, job.data.store.spatial_dims),
        state=watch.state,
        on_epoch=watch.on_epoch,
        should_stop=watch.should_stop,
        description=watch.description,
        team=job.team,
        keep_epochs=watch.keep_epochs,
    )


def _build_transform(study: Study, spatial_dims: int) -> "Transform | None":
    """Introduce the augmentation to the training; None where nothing is to change."""
    from medvision.augment.batch import apply_parameters, draw_parameters
    from medvision.learn.dataset import Share

    section = study.augment
    if not any(dict(section).values()):
        return None

    def transform(
        images: "Tensor", generator: "torch.Generator", share: Share | None = None
    ) -> "Tensor":
        n_images = len(images) if share is None else share.n_images
        parameters = draw_parameters(
            generator, n_images=n_images, spatial_dims=spatial_dims, **dict(section)
        )
        return apply_parameters(images, parameters, rows=None if share is None else share.rows)

    return transform
