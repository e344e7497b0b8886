"""Training a generator on the train images of one fold: steps, states kept, pictures on the way."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medvision.errors import StoppedError
from medvision.runtime.progress import track
from medvision.runtime.seeds import derive_seed
from medvision.synthesis.course import (
    Cell,
    Course,
    State,
    keep_course,
    resume_course,
    start_course,
)
from medvision.synthesis.images import RealImages, Scale, measure_scale
from medvision.synthesis.networks import Generator
from medvision.synthesis.settings import GanSettings
from medvision.synthesis.step import take_step

GRID_COLUMNS = 8
"""Images of each class in a picture of samples."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watch:
    """What is told and asked on the way.

    Args:
        description: What the progress display says.
        on_row: Told every row of the history.
        on_grid: Told the step and the samples of the same latent vectors each time,
            (classes, 8, C, I, J[, K]) float32.
        should_stop: Asked before every step whether to keep the state and end.
    """

    description: str
    on_row: Callable[[Mapping[str, Cell]], None] = lambda _: None
    on_grid: Callable[[int, NDArray[np.float32]], None] = lambda _, __: None
    should_stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Trained:
    """The generator that draws, the scale it draws in, and one row per kept state."""

    generator: Generator
    scale: Scale
    history: tuple[dict[str, Cell], ...]


def train_gan(
    real: RealImages,
    *,
    settings: GanSettings,
    seed: int,
    device: torch.device,
    state: State | None,
    watch: Watch,
) -> Trained:
    """Train a class-conditional generator, or go on training it.

    The last average is kept: no figure of a training says which step drew best.

    Args:
        real: What is learnt from, and all that is ever read.
        settings: How to train.
        seed: Seed of everything that is drawn.
        device: Where to train.
        state: Where the unfinished training is kept, or None.
        watch: What is told on the way.

    Returns:
        The averaged generator on its device.

    Raises:
        ConfigError: The images are larger than a generator supports, or too small.
        TrainingError: An image holds what is no number, or the training diverged.
        StoppedError: `watch.should_stop` said so; the state is kept.
        StorageError: The state cannot be written.

    Source:
        The parts are named where they are; their choice is docs/decisions/0043.
    """
    course = start_course(real, settings=settings, seed=seed, device=device)
    scale = measure_scale(real)
    if resume_course(course, state):
        _log.info("synthesise: resuming after step %d", course.n_steps)
    ends = [end for end in list_ends(settings) if end > course.n_steps]
    for end in track(ends, watch.description, total=len(ends), tell=lambda: _tell(course)):
        while course.n_steps < end:
            if watch.should_stop():
                keep_course(course, state)
                raise StoppedError(
                    f"synthesise: run must be left to end, it was asked to stop after "
                    f"step {course.n_steps}."
                )
            take_step(course, real, scale=scale, settings=settings)
        row = course.close_row()
        # Pictures before the state: what a state says is done has been drawn.
        if end in list_grid_steps(settings):
            watch.on_grid(end, draw_grid(course.average, scale, seed=seed))
        keep_course(course, state)
        watch.on_row(row)
    return Trained(course.average.eval(), scale, tuple(course.history))


def list_ends(settings: GanSettings) -> list[int]:
    """Return the steps after which the state is kept: every so many, and the last."""
    regular = range(settings.checkpoint_steps, settings.steps, settings.checkpoint_steps)
    return [*regular, settings.steps]


def list_grid_steps(settings: GanSettings) -> list[int]:
    """Return the steps after which samples are drawn, the last among them."""
    return [n for n in list_ends(settings) if n % settings.grid_steps == 0 or n == settings.steps]


@torch.no_grad()
def draw_grid(generator: Generator, scale: Scale, *, seed: int) -> NDArray[np.float32]:
    """Draw some images of each class, of the same latent vectors each time.

    Args:
        generator: Draws them.
        scale: Its intensities.
        seed: Seed of the training, of which the vectors' own is derived.

    Returns:
        (classes, 8, C, I, J[, K]) float32.
    """
    weight = generator.embedding.weight
    n_classes, length = weight.shape
    source = torch.Generator().manual_seed(derive_seed("synthesise-grid", seed))
    latents = torch.randn(GRID_COLUMNS, length, generator=source).to(weight)
    rows = []
    for label in range(n_classes):
        labels = torch.full((GRID_COLUMNS,), label, device=weight.device)
        rows.append(scale.restore(generator(latents, labels)))
    drawn: NDArray[np.float32] = torch.stack(rows).cpu().numpy()
    return drawn


def _tell(course: Course) -> str:
    """Say the last row in one line."""
    row = course.history[-1]
    return (
        f"step {row['step']}, generator loss {row['generator_loss']:.3f}, "
        f"discriminator loss {row['discriminator_loss']:.3f}"
    )
