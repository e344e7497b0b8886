"""Pretraining on images without labels: the loop around an objective, resumable to the bit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, cast

import torch
from torch import Tensor, nn

from medvision.errors import StoppedError, TrainingError
from medvision.learn.backbones import build_backbone
from medvision.learn.dataset import Batch, Examples, Transform, count_batches, iterate_batches
from medvision.learn.depth import check_depth
from medvision.learn.epochs import State
from medvision.learn.finite import check_finite
from medvision.learn.loop import Position, choose_amp_dtype
from medvision.learn.objectives import SelfTask, build_objective
from medvision.learn.optimizers import build_optimizer, group_parameters, set_learning_rate
from medvision.learn.placement import place_batch, place_network
from medvision.learn.resume import (
    HistoryValue,
    copy_tensors,
    describe_moving,
    describe_position,
    read_position,
    restore_moving,
)
from medvision.learn.schedules import compute_one_cycle
from medvision.learn.settings import Amp
from medvision.learn.statistics import refresh_statistics
from medvision.runtime.checkpoint import load_state, save_state
from medvision.runtime.progress import track
from medvision.runtime.seeds import derive_seed, seed_everything

_WEIGHT_DECAY = 0.01


@dataclass(frozen=True)
class SelfPretraining:
    """The network after its last epoch, without head, and one row per epoch."""

    tensors: dict[str, Tensor]
    history: tuple[dict[str, HistoryValue], ...]


@dataclass
class _Course:
    """All that the next step depends on."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    generator: torch.Generator
    device: torch.device
    amp_dtype: torch.dtype | None
    position: Position | None = None
    history: list[dict[str, HistoryValue]] = field(default_factory=list)


def pretrain_unlabelled(
    examples: Examples,
    *,
    task: SelfTask,
    backbone: str,
    view: Transform,
    temperature: float,
    mask_share: float,
    mask_block: Sequence[int],
    seed: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    amp: Amp,
    device: torch.device,
    state: State | None,
    on_epoch: Callable[[Mapping[str, HistoryValue]], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> SelfPretraining:
    """Train a backbone on a task that its images alone set.

    The last epoch is kept: no labels say which is best. BatchNorm's statistics are computed anew
    from the images as they are, neither cropped nor masked.

    Args:
        examples: Images to learn from; their labels are never looked at.
        task: contrastive or masked.
        backbone: Name of the network.
        view: Makes one random view of a batch.
        temperature: Of the contrastive task.
        mask_share: Share of the blocks that the masked task hides.
        mask_block: Voxels of such a block along each axis.
        seed: Seed of the starting weights, the order and the random changes.
        epochs: Passes over the images.
        batch_size: Images a step; contrastive tells each from all others of its step.
        learning_rate: Peak of the one-cycle schedule.
        amp: auto or off: mixed precision on a GPU.
        device: Where to train.
        state: Where the unfinished training is kept, or None.
        on_epoch: Told every epoch's row as it ends.
        should_stop: Asked before every step whether to keep the state and end.

    Returns:
        Weights without a head, and the history.

    Raises:
        ConfigError: The arrays are too small for the network.
        TrainingError: There are fewer images than a step takes, or the loss is not finite.
        StoppedError: `should_stop` said so; the state is kept.
        StorageError: The state cannot be written.
    """
    _check_enough(examples, batch_size)
    shape = examples.arrays.shape[1:]
    seed_everything(derive_seed("pretrain-weights", seed))
    network = build_backbone(backbone, spatial_dims=len(shape) - 1, channels=shape[0], n_classes=2)
    check_depth(network, shape)
    objective = build_objective(
        task,
        network,
        backbone=backbone,
        shape=shape,
        view=view,
        temperature=temperature,
        mask_share=mask_share,
        mask_block=mask_block,
    )
    place_network(objective, device, n_axes=len(shape) + 1)
    order_seed = derive_seed("pretrain-order", seed)
    seed_everything(order_seed)
    course = _start(objective, device, seed=order_seed, learning_rate=learning_rate, amp=amp)
    _resume(course, state)
    n_steps = epochs * count_batches(len(examples), batch_size)
    left = range(len(course.history), epochs)
    for epoch in track(left, f"pretraining ({task})", total=len(left)):
        done = epoch * n_steps // epochs
        loss = _run_epoch(
            course,
            examples,
            batch_size=batch_size,
            rate=lambda step, done=done: compute_one_cycle(  # type: ignore[misc]  # binds `done`
                done + step, n_steps=n_steps, peak=learning_rate
            ),
            should_stop=should_stop,
        )
        if loss is None:
            _stop(course, state=state)
        _remember(course, loss, state=state)
        if on_epoch is not None:
            on_epoch(course.history[-1])
    refresh_statistics(network, examples, batch_size=batch_size, device=device)
    return SelfPretraining(copy_tensors(network.state_dict()), tuple(course.history))


def _check_enough(examples: Examples, batch_size: int) -> None:
    """Refuse less than one whole step."""
    if len(examples) < batch_size:
        raise TrainingError(
            f"pretrain.batch_size: there must be at least one whole batch of {batch_size} images "
            f"to learn from, got {len(examples)} images.",
            "lower pretrain.batch_size, or add images without labels to the archive.",
        )


def _start(
    objective: nn.Module, device: torch.device, *, seed: int, learning_rate: float, amp: Amp
) -> _Course:
    """Return a training before its first epoch."""
    dtype = choose_amp_dtype(device, amp)
    return _Course(
        model=objective,
        optimizer=build_optimizer(
            "adamw",
            group_parameters(objective, (), depth_decay=1.0),
            learning_rate=learning_rate,
            weight_decay=_WEIGHT_DECAY,
            momentum=0.0,
        ),
        scaler=torch.amp.GradScaler(device.type, enabled=dtype is torch.float16),
        generator=torch.Generator().manual_seed(seed),
        device=device,
        amp_dtype=dtype,
    )


def _run_epoch(
    course: _Course,
    examples: Examples,
    *,
    batch_size: int,
    rate: Callable[[int], float],
    should_stop: Callable[[], bool],
) -> float | None:
    """Train on every image once, and return the mean loss; None where it was stopped."""
    course.model.train()
    if course.position is None:
        order = torch.randperm(len(examples), generator=course.generator).numpy()
        course.position = Position(order)
    position = course.position
    for batch in iterate_batches(
        examples, position.order, batch_size=batch_size, first=position.n_steps
    ):
        if should_stop():
            return None
        set_learning_rate(course.optimizer, rate(position.n_steps))
        position.total += _take_step(course, batch) * len(batch.subjects)
        position.count += len(batch.subjects)
        position.n_steps += 1
    course.position = None
    return position.total / position.count


def _take_step(course: _Course, batch: Batch) -> float:
    """Update the weights by one batch, and return its loss."""
    course.optimizer.zero_grad(set_to_none=True)
    with torch.autocast(
        course.device.type, dtype=course.amp_dtype, enabled=course.amp_dtype is not None
    ):
        loss = course.model(place_batch(batch.images, course.device), course.generator)
    value = float(loss.detach())
    check_finite("loss", value, subjects=batch.subjects, section="pretrain")
    course.scaler.scale(loss).backward()
    course.scaler.step(course.optimizer)
    course.scaler.update()
    return value


def _remember(course: _Course, loss: float, *, state: State | None) -> None:
    """Add an epoch's row, and write all that the next one depends on."""
    rate = float(course.optimizer.param_groups[0]["lr"])
    epoch = len(course.history) + 1
    course.history.append({"epoch": epoch, "loss": loss, "learning_rate": rate})
    _keep(course, state)


def _keep(course: _Course, state: State | None) -> None:
    """Write the state, where one is wanted."""
    if state is None:
        return
    held = {
        **describe_moving(course, course.generator),
        "history": course.history,
        "position": describe_position(course.position),
    }
    save_state(state.path, held, settings_digest=state.settings_digest)


def _stop(course: _Course, *, state: State | None) -> NoReturn:
    """Keep the state between two steps, and end."""
    _keep(course, state)
    raise StoppedError(
        f"pretraining: run must be left to end, it was asked to stop in epoch "
        f"{len(course.history) + 1}."
    )


def _resume(course: _Course, state: State | None) -> None:
    """Go on from a kept state, where there is one of the same settings."""
    held = load_state(state.path, settings_digest=state.settings_digest) if state else None
    if held is None:
        return
    restore_moving(held, course, course.generator)
    course.history = cast(list[dict[str, HistoryValue]], held["history"])
    course.position = read_position(held["position"])
