"""`medvision predict`: probabilities of the validation and test images, from every checkpoint."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from medvision.cli._learning import LearningData, prepare_device, read_learning_data
from medvision.cli._run import Step, open_step, study_command
from medvision.cli._steps import list_trained
from medvision.config.model import Study
from medvision.domain.intended_use import INTENDED_USE, RESEARCH_USE
from medvision.errors import StaleOutputError
from medvision.io.tables import Cell, write_table
from medvision.layout import Layout
from medvision.runtime.progress import track

if TYPE_CHECKING:
    import torch
    from torch import nn

_SPLITS = ("validation", "test")
PREDICTION_COLUMNS = (
    *("arm", "fold", "repeat", "part", "inner", "seed", "split"),
    *("image_id", "subject", "label", "predicted"),
)


@study_command(
    "predict",
    help="Compute logits and probabilities of validation and test images, of every arm, fold "
    "and seed.",
    example="medvision predict --config config/config.yaml",
)
def command(study: Study, layout: Layout) -> None:
    """Predict with every checkpoint of the study."""
    with open_step(
        "predict", study, upstream=("cohort", "preprocess", *list_trained(study, layout))
    ) as step:
        device = prepare_device(step)
        data = read_learning_data(step)
        rows = list(_predict_all(step, data, device=device))
        columns = [f"{kind}_{name}" for kind in ("logit", "probability") for name in data.classes]
        columns = [*PREDICTION_COLUMNS, *columns, INTENDED_USE]
        write_table(step.write(layout.predictions), rows, columns=columns)
        step.facts["n_predictions"] = len(rows)


def _predict_all(
    step: Step, data: LearningData, *, device: "torch.device"
) -> Iterator[dict[str, Cell]]:
    """Yield the rows in order of arm, fold, seed, split and image."""
    from medvision.runtime.seeds import seed_everything

    # Nothing is random here: this asks for deterministic kernels.
    seed_everything(0)
    keys = [
        (arm, fold, seed)
        for arm in step.study.arms
        for fold in data.folds
        for seed in step.study.train.seeds
    ]
    for arm, fold, seed in track(keys, "predicting", total=len(keys)):
        model = _load(step, data, arm=arm, fold=fold, seed=seed).to(device)
        for split in _SPLITS:
            for row in _predict_split(model, data, fold=fold, split=split, device=device):
                yield {"arm": arm, "fold": fold, "seed": seed, **row}


def _load(step: Step, data: LearningData, *, arm: str, fold: int, seed: int) -> "nn.Module":
    """Load a checkpoint, and refuse one with other classes."""
    from medvision.learn.backbones import build_backbone
    from medvision.runtime.checkpoint import load_model

    path = step.read(step.layout.model(arm, fold, seed=seed))
    model, meta = load_model(path, build=build_backbone)
    if meta.classes != data.classes:
        raise StaleOutputError(
            f"train/{arm}/fold-{fold}: checkpoint must have the classes "
            f"{', '.join(data.classes)}, got {', '.join(meta.classes)}."
        )
    return model


def _predict_split(
    model: "nn.Module", data: LearningData, *, fold: int, split: str, device: "torch.device"
) -> Iterator[dict[str, Cell]]:
    """Yield one row per image of a split, which may be empty."""
    from medvision.learn.predict import compute_probabilities, predict_logits

    chosen = data.select(fold, split)
    if not chosen:
        return
    logits = predict_logits(model, data.examples(chosen), device=device)
    probabilities = compute_probabilities(logits)
    for item, scores, shares in zip(chosen, logits, probabilities, strict=True):
        row: dict[str, Cell] = {
            "repeat": item.repeat,
            "part": item.part,
            "inner": item.inner,
            "split": split,
            "image_id": item.image_id,
            "subject": item.subject,
            "label": item.label,
            "predicted": data.classes[int(scores.argmax())],
            INTENDED_USE: RESEARCH_USE,
        }
        for name, score, share in zip(data.classes, scores, shares, strict=True):
            row |= {f"logit_{name}": float(score), f"probability_{name}": float(share)}
        yield row
