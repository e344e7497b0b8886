"""`medvision pretrain`: starting weights from synthetic phantoms, or from images without labels."""

import shutil
from typing import TYPE_CHECKING, cast

import numpy as np

from medvision import __version__
from medvision.cli._run import Step, open_step, study_command
from medvision.cli._training.learning import hash_settings, open_store, prepare_device
from medvision.cli._training.self_supervised import pretrain_on_archive
from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.errors import ConfigError
from medvision.io.tables import Cell, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medvision.learn.pretrain import Pretraining

_HISTORY_COLUMNS = ("epoch", "loss", "validation_loss", "validation_accuracy")


@study_command(
    "pretrain",
    help="Train the study's network on a source task, whose weights the transfer arm starts from: "
    "synthetic images, or the archive's own without labels (pretrain.task). Needs model.weights "
    "pretrain. Run again after an interruption, it goes on after the last complete epoch; told to "
    "stop (SIGTERM, SIGUSR1), it ends after the step under way, keeps where it is, and exits "
    "with 75.",
    example="medvision pretrain --set pretrain.epochs=4",
)
def command(study: Study, layout: Layout) -> None:
    """Train and write the starting weights."""
    if not study.needs_pretraining:
        raise ConfigError(
            f"model.weights: value must be pretrain for this step, got {study.model.weights}.",
            "this study needs no pretraining: go on with `medvision train`.",
        )
    is_phantom = study.pretrain.task == "phantom"
    upstream = ("preprocess",) if is_phantom else ("ingest", "cohort", "preprocess")
    with open_step("pretrain", study, upstream=upstream) as step:
        if is_phantom:
            _pretrain(step)
        else:
            pretrain_on_archive(step)
        shutil.rmtree(layout.step("pretrain") / "resume", ignore_errors=True)


def _pretrain(step: Step) -> None:
    """Make the source images in the size of the study's, train on them, and write the result."""
    from medvision.learn.epochs import State
    from medvision.learn.pretrain import pretrain_backbone
    from medvision.phantom.source_task import generate_source_images
    from medvision.runtime.stopping import heed_stop

    section = step.study.pretrain
    device = prepare_device(step)
    shape = open_store(step).array.shape[1:]
    i, j, k = (*shape[1:], 1)[:3]
    volumes, labels, names = generate_source_images(
        n_images=section.images, size=(i, j, k), seed=section.seed
    )
    state = State(step.layout.step("pretrain") / "resume" / "state.pt", hash_settings(step, {}))
    with heed_stop() as should_stop:
        result = pretrain_backbone(
            _fit_shape(volumes, shape),
            labels,
            class_names=names,
            backbone=step.study.model.backbone,
            seed=section.seed,
            epochs=section.epochs,
            batch_size=section.batch_size,
            learning_rate=section.learning_rate,
            amp=section.amp,
            device=device,
            state=state,
            should_stop=should_stop,
        )
    step.seed = section.seed
    _write(step, result, shape=shape, names=tuple(names))


def _fit_shape(volumes: "NDArray[np.float32]", shape: tuple[int, ...]) -> "NDArray[np.float32]":
    """Give volumes (N, 1, I, J, K) the study's channels, and drop K where it is 2D."""
    images = volumes if len(shape) == 4 else volumes[..., 0]
    return np.repeat(images, shape[0], axis=1)


def _write(
    step: Step, result: "Pretraining", *, shape: tuple[int, ...], names: tuple[str, ...]
) -> None:
    """Write weights, history and summary."""
    from medvision.runtime.checkpoint import ModelMeta, save_model

    meta = ModelMeta(
        backbone=step.study.model.backbone,
        spatial_dims=len(shape) - 1,
        channels=shape[0],
        classes=names,
        medvision_version=__version__,
    )
    save_model(step.write(step.layout.pretrained), result.fit.tensors, meta=meta)
    rows = [{**row, "loss": row["train_loss"]} for row in result.fit.history]
    write_table(
        step.write(step.layout.pretrain_history),
        cast(list[dict[str, Cell]], rows),
        columns=_HISTORY_COLUMNS,
    )
    best = result.fit.history[result.fit.best_epoch - 1]
    summary: dict[str, JsonValue] = {
        "classes": list(names),
        "best_epoch": result.fit.best_epoch,
        "validation_accuracy": best["validation_accuracy"],
        "validation_loss": best["validation_loss"],
        "n_training": result.n_training,
        "n_validation": result.n_validation,
    }
    write_json(step.write(step.layout.pretrain_summary), summary)
