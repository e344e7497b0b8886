"""The checkpoints kept on the way of a training: which, with what loss, and where they lie."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from medvision.cli._run import Step
from medvision.domain.explanation.influence import choose_epochs
from medvision.domain.record import JsonValue
from medvision.errors import DataError
from medvision.runtime.files import read_json, write_json

if TYPE_CHECKING:
    from medvision.config.model import Study
    from medvision.learn.losses import Loss
    from medvision.learn.settings import TrainSettings
    from medvision.learn.train import Fit
    from medvision.runtime.checkpoint import ModelMeta

LISTING = "checkpoints.json"

Find = Callable[[str], Path | None]
"""Return a file by its name; None where there is none."""


@dataclass(frozen=True)
class Moment:
    """One checkpoint: its epoch from 1, the learning rate of its last step, and its file."""

    epoch: int
    learning_rate: float
    path: Path


def choose_kept(study: "Study", settings: "Study", *, arm: str, seed: int) -> tuple[int, ...]:
    """Return the epochs that a training keeps: of the networks that are explained, and no others.

    Args:
        study: The configuration in force, which says how many.
        settings: The same with what a search chose, which says of how many epochs.
        arm: Arm of the training.
        seed: Its seed.
    """
    if arm != study.arms[0] or seed != min(study.train.seeds):
        return ()
    return choose_epochs(settings.train.epochs, study.train.keep_checkpoints)


def write_checkpoints(
    step: Step, folder: Path, *, fit: "Fit", settings: "TrainSettings", meta: "ModelMeta"
) -> None:
    """Write what was kept, and with what loss it was trained; nothing where nothing was kept.

    Args:
        step: The running step.
        folder: The training's own.
        fit: The finished training.
        settings: How it was trained.
        meta: What a checkpoint says of its network.
    """
    from medvision.runtime.checkpoint import save_model

    for stale in (folder / LISTING, *folder.glob("checkpoint-*.safetensors")):
        stale.unlink(missing_ok=True)
    if not fit.checkpoints:
        return
    rows: list[JsonValue] = []
    for epoch, tensors in sorted(fit.checkpoints.items()):
        name = f"checkpoint-{epoch:04d}.safetensors"
        save_model(step.write(folder / name), tensors, meta=meta)
        rate = fit.history[epoch - 1]["learning_rate"]
        rows.append({"file": name, "epoch": epoch, "learning_rate": rate})
    loss: JsonValue = {
        "name": settings.loss,
        "task": settings.task,
        "class_weights": fit.class_weights.tolist(),
        "focal_gamma": settings.focal_gamma,
        "label_smoothing": settings.label_smoothing,
    }
    write_json(step.write(folder / LISTING), {"checkpoints": rows, "loss": loss})


def read_checkpoints(find: Find) -> "tuple[list[Moment], Loss | None]":
    """Read which checkpoints a training kept, and with what loss it was trained.

    Args:
        find: Returns a file of the training's own folder by its name.

    Returns:
        (checkpoints by epoch, loss with weights in float64); none and None where none was kept.

    Raises:
        DataError: A checkpoint that is listed is not there.
    """
    listing = find(LISTING)
    if listing is None:
        return [], None
    held = cast(Mapping[str, JsonValue], read_json(listing))
    rows = cast(list[Mapping[str, JsonValue]], held["checkpoints"])
    moments = [
        Moment(
            int(str(row["epoch"])),
            float(str(row["learning_rate"])),
            _find_listed(find, str(row["file"])),
        )
        for row in rows
    ]
    return moments, _build_loss(cast(Mapping[str, JsonValue], held["loss"]))


def _find_listed(find: Find, name: str) -> Path:
    """Return a checkpoint that a listing names; it lies beside it."""
    path = find(name) if "/" not in name else None
    if path is None:
        raise DataError(f"{LISTING}: checkpoint must be beside it, got no {name}.")
    return path


def _build_loss(held: Mapping[str, JsonValue]) -> "Loss":
    """Return the loss that a listing describes."""
    import torch

    from medvision.learn.losses import Loss

    weights = torch.tensor(cast(list[float], held["class_weights"]), dtype=torch.float64)
    plain = Loss(cast("str", held["name"]), weights)  # type: ignore[arg-type]  # of the listing
    return replace(
        plain,
        task=held["task"],  # type: ignore[arg-type]  # as the training wrote it
        focal_gamma=float(str(held["focal_gamma"])),
        label_smoothing=float(str(held["label_smoothing"])),
    )
