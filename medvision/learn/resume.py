"""The state of a training between two steps, whole enough to go on bit-equal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from medvision.learn.loop import Engine, Position
from medvision.runtime.checkpoint import load_state, save_state

HistoryValue = int | float | None


@dataclass
class Run:
    """What a training remembers from epoch to epoch.

    Args:
        generator: Source of order and augmentation.
        history: One row per epoch done.
        best_epoch: Epoch of the best weights, from 1; 0 before the first.
        best_tensors: Its state dict, on the CPU.
        position: How far the epoch under way is; None between two epochs.
        kept: Epoch to the state dict that it ended with, on the CPU, of those that are asked for.
    """

    generator: torch.Generator
    history: list[dict[str, HistoryValue]] = field(default_factory=list)
    best_epoch: int = 0
    best_tensors: dict[str, Tensor] = field(default_factory=dict)
    position: Position | None = None
    kept: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    @property
    def n_epochs(self) -> int:
        """Epochs done."""
        return len(self.history)


def copy_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict's tensors on the CPU, apart from the network."""
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}


class Moving(Protocol):
    """What every step of a training moves."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What moves its weights."""

    @property
    def scaler(self) -> torch.amp.GradScaler:
        """What scales the loss."""

    @property
    def device(self) -> torch.device:
        """Where it is trained."""


def describe_moving(moving: Moving, generator: torch.Generator) -> dict[str, object]:
    """Return the states of a network, its optimiser, its scaler and all random generators.

    Args:
        moving: Network with what trains it.
        generator: Source of order and augmentation.
    """
    torch_generator, cuda_generator = _read_generators(moving.device)
    return {
        "model": moving.model.state_dict(),
        "optimizer": moving.optimizer.state_dict(),
        "scaler": moving.scaler.state_dict(),
        "generator": generator.get_state(),
        "torch_generator": torch_generator,
        "cuda_generator": cuda_generator,
    }


def restore_moving(state: Mapping[str, object], moving: Moving, generator: torch.Generator) -> None:
    """Put back, in place, what `describe_moving` described.

    Args:
        state: It, and perhaps more.
        moving: Network with what trains it.
        generator: Source of order and augmentation.
    """
    moving.model.load_state_dict(cast(dict[str, Tensor], state["model"]))
    moving.optimizer.load_state_dict(cast(dict[str, object], state["optimizer"]))
    moving.scaler.load_state_dict(cast(dict[str, object], state["scaler"]))
    generator.set_state(cast(Tensor, state["generator"]))
    _set_generators(
        (
            cast(Tensor, state["torch_generator"]),
            cast(Tensor | None, state["cuda_generator"]),
        )
    )


def _read_generators(device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return the states of torch's own generators, on the CPU and on a GPU that is in use."""
    on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), on_gpu


def _set_generators(states: tuple[Tensor, Tensor | None]) -> None:
    """Put back what `_read_generators` read."""
    torch.set_rng_state(states[0])
    if states[1] is not None:
        torch.cuda.set_rng_state(states[1])


def write_run(run: Run, engine: Engine, *, path: Path, settings_digest: str) -> None:
    """Write all that the next epoch depends on, replacing the last state at once.

    All processes of a training call it; the first one writes.

    Raises:
        TrainingError: Another process has ended.
        StorageError: The folder cannot be written, or its disk is full.
    """
    # Order and augmentation are drawn alike by all; dropout by each from its own generator.
    own_generators = engine.team.gather(_read_generators(engine.device))
    if not engine.team.is_first:
        return
    state: dict[str, object] = {
        **describe_moving(engine, run.generator),
        "own_generators": own_generators,
        "history": run.history,
        "best_epoch": run.best_epoch,
        "best_tensors": run.best_tensors,
        "kept": run.kept,
        "position": describe_position(run.position),
        "average": (engine.average.n_steps, engine.average.tensors) if engine.average else None,
    }
    save_state(path, state, settings_digest=settings_digest)


def read_run(run: Run, engine: Engine, *, path: Path, settings_digest: str) -> bool:
    """Put a run, its network and its generators back to where they were, in place.

    Returns:
        True where there was a state of the same settings; nothing changes otherwise.
    """
    state = load_state(path, settings_digest=settings_digest)
    if state is None:
        return False
    restore_moving(state, engine, run.generator)
    own_generators = cast(list[tuple[Tensor, Tensor | None]], state["own_generators"])
    _set_generators(own_generators[engine.team.rank])
    run.history = cast(list[dict[str, HistoryValue]], state["history"])
    run.best_epoch = cast(int, state["best_epoch"])
    run.best_tensors = cast(dict[str, Tensor], state["best_tensors"])
    run.kept = cast(dict[int, dict[str, Tensor]], state["kept"])
    run.position = read_position(state["position"])
    if engine.average is not None:
        n_steps, tensors = cast(tuple[int, dict[str, Tensor]], state["average"])
        engine.average.n_steps = n_steps
        engine.average.tensors = {n: t.to(engine.device) for n, t in tensors.items()}
    return True


def describe_position(position: Position | None) -> tuple[Tensor, int, float, int] | None:
    """Return a position as tensors and numbers, which are all that a state may hold.

    Args:
        position: How far the epoch under way is; None between two epochs.
    """
    if position is None:
        return None
    return torch.from_numpy(position.order), position.n_steps, position.total, position.count


def read_position(value: object) -> Position | None:
    """Return the position that `describe_position` described.

    Args:
        value: What it returned.
    """
    if value is None:
        return None
    order, n_steps, total, count = cast(tuple[Tensor, int, float, int], value)
    return Position(order.numpy(), n_steps, total, count)
