"""The part of `medvision pretrain` that learns from the archive's own images, without labels."""

from typing import TYPE_CHECKING, cast

from medvision import __version__
from medvision.cli._run import Step
from medvision.cli._training.learning import hash_settings, prepare_device
from medvision.cli._training.unlabelled import write_unlabelled_store
from medvision.config.pretrain import PretrainSection
from medvision.domain.record import JsonValue
from medvision.io.tables import Cell, write_table
from medvision.runtime.files import write_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from medvision.learn.dataset import Examples, Transform
    from medvision.learn.objectives import SelfTask
    from medvision.learn.selfsup import SelfPretraining

HISTORY_COLUMNS = ("epoch", "loss", "learning_rate")


def pretrain_on_archive(step: Step) -> None:
    """Learn from the images of subjects in no test set, and write the starting weights.

    Args:
        step: The running step.

    Raises:
        CohortError: There is nothing to learn from, or a test subject is among it.
        TrainingError: There are fewer images than a step takes, or the loss is not finite.
        StoppedError: The run was told to stop; the state is kept.
    """
    device = prepare_device(step)
    step.seed = step.study.pretrain.seed
    examples = write_unlabelled_store(step)
    _write(step, _learn(step, examples, device=device), examples=examples)


def _learn(step: Step, examples: "Examples", *, device: "torch.device") -> "SelfPretraining":
    """Train, or go on training, by the task of the configuration."""
    from medvision.learn.board import open_board
    from medvision.learn.epochs import State
    from medvision.learn.selfsup import pretrain_unlabelled
    from medvision.runtime.stopping import heed_stop

    section, folder = step.study.pretrain, step.layout.step("pretrain")
    with heed_stop() as should_stop, open_board(folder / "tensorboard") as add_row:
        return pretrain_unlabelled(
            examples,
            task=cast("SelfTask", section.task),
            backbone=step.study.model.backbone,
            view=build_view(section, spatial_dims=len(examples.arrays.shape) - 2),
            temperature=section.temperature,
            mask_share=section.mask_share,
            mask_block=section.mask_block,
            seed=section.seed,
            epochs=section.epochs,
            batch_size=section.batch_size,
            learning_rate=section.learning_rate,
            amp=section.amp,
            device=device,
            state=State(folder / "resume" / "state.pt", hash_settings(step, {})),
            on_epoch=add_row,
            should_stop=should_stop,
        )


def build_view(section: PretrainSection, *, spatial_dims: int) -> "Transform":
    """Introduce the random views to the training.

    Args:
        section: How strong they are.
        spatial_dims: 2 or 3.
    """
    from medvision.augment.views import apply_view, draw_view

    def view(images: "Tensor", generator: "torch.Generator") -> "Tensor":
        parameters = draw_view(
            generator,
            n_images=len(images),
            spatial_dims=spatial_dims,
            crop=section.crop,
            blur_voxels=section.blur_voxels,
            flip_axes=section.flip_axes,
            noise_sd=section.noise_sd,
            gain=section.gain,
        )
        return apply_view(images, parameters)

    return view


def _write(step: Step, result: "SelfPretraining", *, examples: "Examples") -> None:
    """Write weights, history and summary."""
    from medvision.runtime.checkpoint import ModelMeta, save_model

    layout, section = step.layout, step.study.pretrain
    shape = examples.arrays.shape[1:]
    meta = ModelMeta(
        backbone=step.study.model.backbone,
        spatial_dims=len(shape) - 1,
        channels=shape[0],
        classes=(),
        medvision_version=__version__,
    )
    save_model(step.write(layout.pretrained), result.tensors, meta=meta)
    write_table(
        step.write(layout.pretrain_history),
        cast(list[dict[str, Cell]], list(result.history)),
        columns=HISTORY_COLUMNS,
    )
    summary: dict[str, JsonValue] = {
        "task": section.task,
        "subjects": section.subjects,
        "n_images": len(examples),
        "n_subjects": len(set(examples.subjects)),
        "n_unlabelled": step.facts["n_unlabelled"],
        "n_tested_left_out": step.facts["n_tested_left_out"],
        "first_loss": result.history[0]["loss"],
        "last_loss": result.history[-1]["loss"],
    }
    write_json(step.write(layout.pretrain_summary), summary)
