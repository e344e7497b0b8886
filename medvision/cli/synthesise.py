"""`medvision synthesise`: one fold's generator, and the images that it draws."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision import __version__
from medvision.cli._run import Step, open_step, study_command
from medvision.cli._synthetic.files import check_drawing, write_drawn
from medvision.cli._training.learning import (
    LearningData,
    hash_settings,
    prepare_device,
    read_learning_data,
)
from medvision.config.model import Study
from medvision.domain.geometry import compute_orientation
from medvision.domain.intended_use import INTENDED_USE, RESEARCH_USE
from medvision.domain.split import Assignment
from medvision.domain.synthesis.synthetic import (
    check_enough_subjects,
    check_learnt_from,
    count_wanted,
    name_step,
)
from medvision.errors import ConfigError
from medvision.io.tables import Cell, write_table
from medvision.layout import Layout

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from medvision.synthesis.board import Board
    from medvision.synthesis.course import State
    from medvision.synthesis.images import RealImages
    from medvision.synthesis.settings import GanSettings
    from medvision.synthesis.train import Trained, Watch

HISTORY_COLUMNS = (
    *("step", "generator_loss", "discriminator_loss"),
    *("real_logit", "drawn_logit", "r1"),
)
SOURCE_COLUMNS = ("image_id", "subject", "label")


@study_command(
    "synthesise",
    help="Train a generator on one fold's train subjects, and draw synthetic images of each class "
    "from it. Needs synthesise.generator. Run again after an interruption, it goes on after the "
    "last kept step; told to stop (SIGTERM, SIGUSR1), it ends after the step under way, keeps "
    "where it is, and exits with 75.",
    example="medvision synthesise --set synthesise.generator=gan --fold 0",
)
@click.option("--fold", required=True, type=click.IntRange(min=0))
def command(study: Study, layout: Layout, *, fold: int) -> None:
    """Train the generator of one fold and draw its images."""
    check_drawing(study)
    with open_step(name_step(fold), study, upstream=("cohort", "preprocess")) as step:
        _synthesise(step, fold)
        shutil.rmtree(layout.step(step.name) / "resume", ignore_errors=True)


def _synthesise(step: Step, fold: int) -> None:
    """Choose the images, train, draw and write."""
    from medvision.synthesis.grids import check_size

    section = step.study.synthesise
    device = prepare_device(step)
    data = read_learning_data(step)
    if fold not in data.folds:
        raise ConfigError(
            f"--fold: fold must be one of {', '.join(map(str, data.folds))}, got {fold}.",
            "folds count from 0; cohort.folds, inner_folds and repeats say how many there are.",
        )
    check_size(data.store.array.shape[2:])
    chosen = data.select(fold, "train")
    check_learnt_from(chosen, data.assignments)
    minimum = section.minimum_subjects
    check_enough_subjects(chosen, data.classes, minimum=minimum, fold=fold)
    counts = Counter(item.label for item in chosen)
    wanted = count_wanted({name: counts[name] for name in data.classes}, section.ratio)
    step.seed = section.seed
    trained = _train(step, data, chosen, fold=fold, device=device)
    _write_training(step, trained, data=data, chosen=chosen, fold=fold)
    write_drawn(step, trained, data=data, wanted=wanted, fold=fold)
    step.facts |= {
        "n_learnt_from": len(chosen),
        "n_subjects": len({item.subject for item in chosen}),
        "n_synthetic": {name: wanted[name] for name in data.classes},
    }


def describe_gan(study: Study) -> "GanSettings":
    """Return how the generator is trained, of the configuration's values."""
    from dataclasses import fields

    from medvision.synthesis.settings import GanSettings

    section = study.synthesise
    return GanSettings(**{own.name: getattr(section, own.name) for own in fields(GanSettings)})


def open_real(data: LearningData, chosen: list[Assignment]) -> "RealImages":
    """Give a generator its train images, and no way to any other.

    Args:
        data: The study's images.
        chosen: Those that it may learn from.
    """
    import numpy as np

    from medvision.learn.dataset import read_images
    from medvision.synthesis.images import RealImages

    rows = data.store.rows()
    own = np.array([rows[item.image_id] for item in chosen], dtype=np.int64)

    def load(positions: "NDArray[np.int64]") -> "Tensor":
        return read_images(data.store.array, own[positions], room=None)

    return RealImages(
        load=load,
        labels=np.array([data.classes.index(item.label) for item in chosen], dtype=np.int64),
        names=tuple(item.image_id for item in chosen),
        shape=tuple(data.store.array.shape[1:]),
        n_classes=len(data.classes),
    )


def _train(
    step: Step, data: LearningData, chosen: list[Assignment], *, fold: int, device: "torch.device"
) -> "Trained":
    """Train, or go on training, and show how it goes."""
    from medvision.runtime.seeds import derive_seed
    from medvision.runtime.stopping import heed_stop
    from medvision.synthesis.board import open_board
    from medvision.synthesis.course import State
    from medvision.synthesis.train import train_gan

    folder = step.layout.step(step.name)
    state = State(folder / "resume" / "state.pt", hash_settings(step, {"fold": fold}))
    real = open_real(data, chosen)
    with heed_stop() as should_stop, open_board(folder / "tensorboard") as board:
        return train_gan(
            real,
            settings=describe_gan(step.study),
            seed=derive_seed("synthesise", fold, step.study.synthesise.seed),
            device=device,
            state=state,
            watch=_watch(step, data, real, board=board, state=state, should_stop=should_stop),
        )


def _watch(
    step: Step,
    data: LearningData,
    real: "RealImages",
    *,
    board: "Board",
    state: "State",
    should_stop: Callable[[], bool],
) -> "Watch":
    """Say where rows and pictures go, and show the real images that samples will stand beside."""
    from medvision.synthesis.board import render_sheet, write_sheet
    from medvision.synthesis.train import Watch

    folder = step.layout.step(step.name) / "grids"
    flips = _list_flips(data, real.names[0])
    if not state.path.exists():
        # Pictures of other settings would be files that no record accounts for.
        shutil.rmtree(folder, ignore_errors=True)
        board.add_sheet("real", 0, render_sheet(_gather_real(real), flip_axes=flips))

    def show(n_steps: int, images: "NDArray[np.float32]") -> None:
        sheet = render_sheet(images, flip_axes=flips)
        write_sheet(_grid_path(folder, n_steps), sheet)
        board.add_sheet("drawn", n_steps, sheet)

    return Watch(
        f"synthesise, fold {step.name.rpartition('-')[2]}",
        on_row=board.add_row,
        on_grid=show,
        should_stop=should_stop,
    )


def _gather_real(real: "RealImages") -> "NDArray[np.float32]":
    """Return the first train images of each class, (classes, 8, C, I, J[, K]), for the eyes."""
    import numpy as np

    from medvision.synthesis.train import GRID_COLUMNS

    rows = [
        np.resize(np.flatnonzero(real.labels == label)[:GRID_COLUMNS], GRID_COLUMNS)
        for label in range(real.n_classes)
    ]
    return np.stack([real.load(positions).numpy() for positions in rows])


def _list_flips(data: LearningData, image_id: str) -> tuple[int, ...]:
    """Return the axes to turn round so that the right is on the left and the front on top."""
    code = compute_orientation(data.store.tensor_affine(image_id))
    return tuple(axis for axis in (0, 1) if code[axis] in "RA")


def _grid_path(folder: Path, n_steps: int) -> Path:
    """Return a picture of samples."""
    return folder / f"step-{n_steps:07d}.png"


def _write_training(
    step: Step, trained: "Trained", *, data: LearningData, chosen: list[Assignment], fold: int
) -> None:
    """Write the generator, its history, and whom it has learnt from."""
    from medvision.synthesis.train import list_grid_steps
    from medvision.synthesis.weights import GeneratorMeta, save_generator

    folder, settings = step.layout.step(step.name), describe_gan(step.study)
    for n_steps in list_grid_steps(settings):
        step.write(_grid_path(folder / "grids", n_steps))
    save_generator(
        step.write(folder / "generator.safetensors"),
        trained.generator,
        meta=GeneratorMeta(
            shape=tuple(data.store.array.shape[1:]),
            classes=data.classes,
            latent=settings.latent,
            width=settings.width,
            fold=fold,
        ),
        scale=trained.scale,
        note={"medvision_version": __version__, INTENDED_USE: RESEARCH_USE},
    )
    write_table(step.write(folder / "history.tsv"), trained.history, columns=HISTORY_COLUMNS)
    sources: list[dict[str, Cell]] = [
        {"image_id": item.image_id, "subject": item.subject, "label": item.label} for item in chosen
    ]
    write_table(step.write(folder / "sources.tsv"), sources, columns=SOURCE_COLUMNS)
