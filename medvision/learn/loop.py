"""One epoch of training: forward, loss, backward, step; nothing hidden."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medvision.learn.averaging import Average
from medvision.learn.dataset import Batch, Examples, Transform, iterate_batches
from medvision.learn.finite import check_finite
from medvision.learn.freezing import set_train_mode
from medvision.learn.losses import Loss, compute_losses, weigh_images
from medvision.learn.optimizers import build_optimizer, group_parameters, set_learning_rate
from medvision.learn.placement import place_batch
from medvision.learn.settings import Amp, TrainSettings


@dataclass(frozen=True)
class Engine:
    """What one step of training needs.

    Args:
        model: Network on its device.
        optimizer: Holds the parameters, a group per depth.
        scaler: Loss scaling of float16; switched off otherwise.
        amp_dtype: Type of mixed precision, or None for float32 throughout.
        loss: What is minimised.
        average: Moving average of the weights, or None.
        settings: What else a step obeys.
        device: Where the network is.
        section: Section of the configuration that errors point to.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    amp_dtype: torch.dtype | None
    loss: Loss
    average: Average | None
    settings: TrainSettings
    device: torch.device
    section: str = "train"


@dataclass
class Position:
    """How far an epoch is, so that it can be left and taken up again between two steps.

    Args:
        order: Positions in the examples, in the order of the epoch.
        n_steps: Steps done.
        total: Sum of the images' losses so far.
        count: Images so far.
    """

    order: NDArray[np.int64]
    n_steps: int = 0
    total: float = 0.0
    count: int = 0


def build_engine(
    model: nn.Module,
    device: torch.device,
    *,
    settings: TrainSettings,
    class_weights: NDArray[np.float64],
    blocks: Sequence[Sequence[str]],
    section: str = "train",
) -> Engine:
    """Put a network on its device and make its optimiser.

    Args:
        model: Network; it is moved.
        device: Where to train.
        settings: How to train.
        class_weights: Weight of each class in the loss, (classes,); of findings (findings, 2).
        blocks: Dotted module names by block, for the learning rate of each depth.
        section: Section of the configuration that errors point to.
    """
    model.to(device)
    dtype = choose_amp_dtype(device, settings.amp)
    return Engine(
        model=model,
        optimizer=build_optimizer(
            settings.optimizer,
            group_parameters(model, blocks, depth_decay=settings.depth_decay),
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            momentum=settings.momentum,
        ),
        scaler=torch.amp.GradScaler(device.type, enabled=dtype is torch.float16),
        amp_dtype=dtype,
        loss=Loss(
            settings.loss,
            torch.from_numpy(class_weights).float().to(device),
            focal_gamma=settings.focal_gamma,
            label_smoothing=settings.label_smoothing,
            task=settings.task,
        ),
        average=Average(settings.ema) if settings.ema else None,
        settings=settings,
        device=device,
        section=section,
    )


def choose_amp_dtype(device: torch.device, amp: Amp) -> torch.dtype | None:
    """Return bfloat16 or float16 on a GPU, None elsewhere.

    A CPU without bfloat16 units is many times slower with mixed precision than without.
    """
    if amp == "off" or device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def run_epoch(
    engine: Engine,
    examples: Examples,
    *,
    position: Position,
    frozen: Sequence[str],
    transform: Transform | None,
    generator: torch.Generator,
    rate: Callable[[int], float],
    should_stop: Callable[[], bool],
) -> float | None:
    """Train on every image of the order once, from where the epoch was left.

    Args:
        engine: Network, optimiser and average; all change.
        examples: Training images.
        position: Order of the epoch and how far it is; it moves on.
        frozen: Dotted names of the modules kept in evaluation mode.
        transform: Random change of a batch, which is given on the engine's device, or None.
        generator: Source of the transform's randomness; it moves on.
        rate: Step within this epoch to learning rate.
        should_stop: Asked before every step.

    Returns:
        Mean training loss over the images, in nats; None where it was stopped on the way.

    Raises:
        TrainingError: Loss or gradient is not finite; the subjects of the batch are named.
    """
    set_train_mode(engine.model, frozen)
    for batch in iterate_batches(
        examples,
        position.order,
        batch_size=engine.settings.batch_size,
        first=position.n_steps,
    ):
        if should_stop():
            return None
        set_learning_rate(engine.optimizer, rate(position.n_steps))
        # On the device first: random changes of a batch are work for a GPU where there is one.
        images = place_batch(batch.images, engine.device)
        if transform is not None:
            images = transform(images, generator)
        position.total += _take_step(engine, batch, images=images) * len(batch.subjects)
        position.count += len(batch.subjects)
        position.n_steps += 1
    return position.total / position.count


def _take_step(engine: Engine, batch: Batch, *, images: Tensor) -> float:
    """Update the weights by one batch, in as many passes as are set, and return its loss."""
    labels = batch.labels.to(engine.device)
    engine.optimizer.zero_grad(set_to_none=True)
    weight = weigh_images(labels, engine.loss).sum()
    value = 0.0
    for part in _divide(len(labels), engine.settings.accumulation):
        with torch.autocast(
            engine.device.type, dtype=engine.amp_dtype, enabled=engine.amp_dtype is not None
        ):
            logits = engine.model(images[part])
        loss = compute_losses(logits.float(), labels[part], engine.loss).sum() / weight
        check_finite(
            "loss",
            float(loss.detach()),
            subjects=batch.subjects[part],
            section=engine.section,
        )
        value += float(loss.detach())
        engine.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's own gap
    _move_weights(engine, subjects=batch.subjects)
    return value


def _divide(n_images: int, n_passes: int) -> Iterator[slice]:
    """Yield the images of each pass; a last one alone joins those before it, for BatchNorm."""
    size = max(2, math.ceil(n_images / n_passes))
    starts = list(range(0, n_images, size))
    if len(starts) > 1 and n_images - starts[-1] == 1:
        starts.pop()
    for start, end in zip(starts, [*starts[1:], n_images], strict=True):
        yield slice(start, end)


def _move_weights(engine: Engine, *, subjects: Sequence[str]) -> None:
    """Check and clip the gradient, take the step, and average."""
    engine.scaler.unscale_(engine.optimizer)
    held = [p for p in engine.model.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in held if p.grad is not None])
    # Of float16 the scaler itself leaves out such a step, and lowers its scale.
    if not engine.scaler.is_enabled():
        check_finite("gradient", float(norm), subjects=subjects, section=engine.section)
    if engine.settings.clip_norm:
        torch.nn.utils.clip_grads_with_norm_(held, engine.settings.clip_norm, norm)
    engine.scaler.step(engine.optimizer)
    engine.scaler.update()
    if engine.average is not None:
        engine.average.update(engine.model)
