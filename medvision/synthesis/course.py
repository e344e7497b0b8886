"""All that the next step of a training depends on; whole enough to go on bit-equal."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from medvision.runtime.checkpoint import load_state, save_state
from medvision.runtime.seeds import derive_seed, seed_everything
from medvision.synthesis.grids import plan_grids
from medvision.synthesis.images import RealImages
from medvision.synthesis.networks import Discriminator, Generator
from medvision.synthesis.settings import GanSettings

Cell = int | float | None

SUMMED = ("generator_loss", "discriminator_loss", "real_logit", "drawn_logit", "r1")
"""What a row of the history gives the mean of."""

_BETAS = (0.0, 0.99)
"""Of Adam: no momentum, as Karras 2018 (arXiv:1710.10196) and Mescheder 2018 train."""


@dataclass(frozen=True)
class State:
    """Where an unfinished training is kept, and the digest of all that it depends on."""

    path: Path
    settings_digest: str


@dataclass
class Course:
    """A training between two steps.

    Args:
        generator: As the last step left it.
        average: Its moving average, which is what draws.
        discriminator: The other network.
        optimizers: Of generator and discriminator.
        source: Source of the images shown, the latent vectors and the changes.
        device: Where both networks are.
        n_steps: Steps done.
        sums: Name to sum and count since the last row of the history.
        history: One row per kept state.
    """

    generator: Generator
    average: Generator
    discriminator: Discriminator
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer]
    source: torch.Generator
    device: torch.device
    n_steps: int = 0
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)
    history: list[dict[str, Cell]] = field(default_factory=list)

    def add(self, name: str, value: float) -> None:
        """Take a step's figure into the next row."""
        total, count = self.sums.get(name, (0.0, 0))
        self.sums[name] = (total + value, count + 1)

    def close_row(self) -> dict[str, Cell]:
        """Add the means since the last row to the history, and begin the next."""
        row: dict[str, Cell] = {"step": self.n_steps}
        for name in SUMMED:
            total, count = self.sums.get(name, (0.0, 0))
            row[name] = total / count if count else None
        self.history.append(row)
        self.sums = {}
        return row


def start_course(
    real: RealImages, *, settings: GanSettings, seed: int, device: torch.device
) -> Course:
    """Build both networks with random weights, and what trains them.

    Args:
        real: Says shape and classes; no image is read.
        settings: How to train.
        seed: Seed of weights, images shown, latent vectors and changes.
        device: Where to train.

    Raises:
        ConfigError: The images are larger than a generator supports, or too small.
    """
    grids, channels = plan_grids(real.shape[1:]), real.shape[0]
    seed_everything(derive_seed("synthesise-weights", seed))
    generator = Generator(
        grids,
        channels=channels,
        n_classes=real.n_classes,
        latent=settings.latent,
        width=settings.width,
    ).to(device)
    discriminator = Discriminator(
        grids, channels=channels, n_classes=real.n_classes, width=settings.width
    ).to(device)
    average = copy.deepcopy(generator).requires_grad_(requires_grad=False)
    order_seed = derive_seed("synthesise-order", seed)
    seed_everything(order_seed)
    return Course(
        generator=generator,
        average=average,
        discriminator=discriminator,
        optimizers=(
            _build_adam(generator, settings.generator_rate),
            _build_adam(discriminator, settings.discriminator_rate),
        ),
        source=torch.Generator().manual_seed(order_seed),
        device=device,
    )


def _build_adam(network: nn.Module, rate: float) -> torch.optim.Optimizer:
    """Return Adam, each layer's rate in the measure of its own weights.

    Adam moves all weights by about the rate, whatever their size: by one rate for all, wide layers
    and those of volumes would run away, narrow ones stand still.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in network.parameters():
        groups.setdefault(measure_weights(parameter), []).append(parameter)
    settings = [{"params": held, "lr": rate * size} for size, held in sorted(groups.items())]
    return torch.optim.Adam(settings, betas=_BETAS)


def measure_weights(parameter: Tensor) -> float:
    """Return the standard deviation that a layer's weights start with; 1 of biases.

    Args:
        parameter: Weights (outputs, inputs, ...), or a bias (outputs,).

    Source:
        The equalised learning rate of Karras 2018, arXiv:1710.10196, section 4.1: weights of unit
        variance that He's constant scales as they are used. Adam, which does not see the
        scale, moves both alike.
    """
    return (2 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 1.0


def _list_modules(course: Course) -> dict[str, nn.Module]:
    """Return the networks by the names that a state has for them."""
    return {
        "generator": course.generator,
        "average": course.average,
        "discriminator": course.discriminator,
    }


def keep_course(course: Course, state: State | None) -> None:
    """Write all that the next step depends on, replacing the last state at once.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    if state is None:
        return
    held: dict[str, object] = {
        **{name: module.state_dict() for name, module in _list_modules(course).items()},
        "optimizers": [each.state_dict() for each in course.optimizers],
        "source": course.source.get_state(),
        "n_steps": course.n_steps,
        "sums": course.sums,
        "history": course.history,
    }
    save_state(state.path, held, settings_digest=state.settings_digest)


def resume_course(course: Course, state: State | None) -> bool:
    """Put a training back to where it was, in place.

    Returns:
        True where there was a state of the same settings; nothing changes otherwise.
    """
    held = load_state(state.path, settings_digest=state.settings_digest) if state else None
    if held is None:
        return False
    for name, module in _list_modules(course).items():
        module.load_state_dict(cast(Mapping[str, Tensor], held[name]))
    for own, kept in zip(course.optimizers, cast(list[object], held["optimizers"]), strict=True):
        own.load_state_dict(cast(dict[str, object], kept))
    course.source.set_state(cast(Tensor, held["source"]))
    course.n_steps = cast(int, held["n_steps"])
    course.sums = cast(dict[str, tuple[float, int]], held["sums"])
    course.history = cast(list[dict[str, Cell]], held["history"])
    return True
