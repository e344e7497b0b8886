"""From checkpoints to final logits: views averaged, temperatures fitted, seeds pooled."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from medvision.cli._novelty import judge_novelty, predict_splits
from medvision.cli._run import Step
from medvision.cli._training.learning import LearningData
from medvision.config.predict import PredictSection
from medvision.domain.arms import ALL_SEEDS, name_ensemble
from medvision.domain.metrics.pooling import LINKS, Logits, pool_logits
from medvision.domain.metrics.temperature import (
    Temperature,
    fit_temperatures,
    list_divisors,
    part_questions,
)
from medvision.domain.novelty.distance import Novelty
from medvision.errors import StaleOutputError
from medvision.runtime.progress import track

if TYPE_CHECKING:
    import torch
    from torch import nn

    from medvision.learn.predict import View
    from medvision.runtime.checkpoint import ModelMeta


@dataclass(frozen=True)
class Predicted:
    """What one network, or the networks of all seeds together, make of one fold.

    Args:
        arm: Arm, or the ensemble of one.
        fold: Training.
        seed: Its seed, `ALL_SEEDS` for all together.
        logits: Split to (N, C), divided by the temperature; images as `LearningData.select`.
        temperatures: What was fitted on the validation images, finding to its own, of classes under
            the empty name; empty where nothing was asked for.
        scale: Of a value, the (mean, standard deviation) that it was trained in.
        novelty: Split to how far its images lie from the train images; a split without images, and
            an ensemble, has none.
    """

    arm: str
    fold: int
    seed: int
    logits: Mapping[str, Logits]
    temperatures: Mapping[str, Temperature]
    scale: tuple[float, float] | None = None
    novelty: Mapping[str, Novelty] = field(default_factory=dict)


def predict_fold(
    step: Step, data: LearningData, *, arm: str, fold: int, device: "torch.device"
) -> Iterator[Predicted]:
    """Predict with every checkpoint of a fold, and with those of all seeds together where asked.

    Args:
        step: The running step; checkpoints that are read are registered with it.
        data: Images and folds.
        arm: Arm.
        fold: Training; no image of another one's is looked at.
        device: Where to compute.

    Returns:
        Results in order of seed, the ensemble behind its members.

    Raises:
        StaleOutputError: A checkpoint has other classes.
    """
    from medvision.learn.backbones import head_names
    from medvision.runtime.seeds import seed_everything

    # Nothing is random here: this asks for deterministic kernels.
    seed_everything(0)
    study, views = step.study, list_study_views(step, data)
    section, seeds = study.predict, study.train.seeds
    members: list[Mapping[str, Logits]] = []
    scale: tuple[float, float] | None = None
    for seed in track(seeds, f"predicting {arm}, fold {fold}", total=len(seeds)):
        model, meta = _load(step, data, arm=arm, fold=fold, seed=seed)
        seen = predict_splits(
            model,
            data,
            fold=fold,
            device=device,
            views=views,
            head=None if section.novelty == "off" else head_names(meta.backbone)[0],
            n_reference=section.novelty_images,
        )
        members.append(seen.logits)
        scale = meta.scale
        single = finish(data, members[-1:], place=(arm, fold, seed), section=section)
        yield replace(single, scale=scale, novelty=judge_novelty(seen.features, section))
    if section.ensemble == "seeds":
        place = (name_ensemble(arm), fold, ALL_SEEDS)
        # The networks of all seeds were trained on the same values, in the same scale.
        yield replace(finish(data, members, place=place, section=section), scale=scale)


def finish(
    data: LearningData,
    members: Sequence[Mapping[str, Logits]],
    *,
    place: tuple[str, int, int],
    section: PredictSection,
) -> Predicted:
    """Pool the members' probabilities, then fit a temperature on the validation images.

    Args:
        data: Names the true classes; those of the validation images alone are looked at.
        members: Split to (N, C) logits, for each network.
        place: Arm, fold and seed of the result.
        section: Whether temperatures are fitted, and on how many subjects at least.
    """
    pooled = {
        split: pool_logits(np.stack([each[split] for each in members]), LINKS[data.task])
        for split in members[0]
    }
    if section.temperature == "off":
        return Predicted(*place, pooled, {})
    chosen = data.select(place[1], "validation")
    questions = part_questions(
        pooled["validation"],
        [item.label for item in chosen],
        subjects=[item.subject for item in chosen],
        names=data.classes,
        task=data.task,
    )
    fitted = fit_temperatures(questions, least=section.temperature_subjects)
    divisors = list_divisors({name: each.value for name, each in fitted.items()}, data.classes)
    return Predicted(*place, {split: held / divisors for split, held in pooled.items()}, fitted)


def list_study_views(step: Step, data: LearningData) -> "Sequence[View]":
    """Return the views of each image, the image itself first.

    Args:
        step: The running step, whose settings name the views.
        data: The images.
    """
    from medvision.augment.fixed_views import list_views

    section = step.study.predict
    return list_views(
        section.views,
        data.store.spatial_dims,
        flip_axes=step.study.augment.flip_axes,
        shift_voxels=section.shift_voxels,
        zoom=section.zoom,
    )


def _load(
    step: Step, data: LearningData, *, arm: str, fold: int, seed: int
) -> "tuple[nn.Module, ModelMeta]":
    """Load a checkpoint with what it says of itself, and refuse one with other classes."""
    from medvision.learn.backbones import build_backbone
    from medvision.runtime.checkpoint import load_model

    path = step.read(step.layout.model(arm, fold, seed=seed))
    model, meta = load_model(path, build=build_backbone)
    if (meta.task, meta.classes) != (data.task, data.classes):
        raise StaleOutputError(
            f"train/{arm}/fold-{fold}: checkpoint must have the classes "
            f"{', '.join(data.classes)}, got {', '.join(meta.classes)}."
        )
    return model, meta
