"""One epoch of training: forward, loss, backward, step; nothing hidden."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medvision.learn.averaging import Average
from medvision.learn.compiling import Forward
from medvision.learn.dataset import Batch, Examples, Transform, iterate_batches
from medvision.learn.finite import check_finite
from medvision.learn.freezing import set_train_mode
from medvision.learn.losses import Loss, compute_losses, weigh_images
from medvision.learn.norms import Exchange, share_norms
from medvision.learn.optimizers import build_optimizer, group_parameters, set_learning_rate
from medvision.learn.passes import Pass, list_rows, plan_passes
from medvision.learn.placement import place_batch
from medvision.learn.settings import Amp, TrainSettings
from medvision.runtime.team import ALONE, Team


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
        forward: Its forward pass in a step: the network itself, or compiled.
        exchange: Which processes train it together, and what their norms share.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    amp_dtype: torch.dtype | None
    loss: Loss
    average: Average | None
    settings: TrainSettings
    device: torch.device
    section: str
    forward: Forward
    exchange: Exchange

    @property
    def team(self) -> Team:
        """The processes that train the network together."""
        return self.exchange.team


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
    team: Team = ALONE,
) -> Engine:
    """Put a network on its device and make its optimiser.

    Args:
        model: Network; it is moved.
        device: Where to train.
        settings: How to train.
        class_weights: Weight of each class in the loss, (classes,); of findings (findings, 2).
        blocks: Dotted module names by block, for the learning rate of each depth.
        section: Section of the configuration that errors point to.
        team: The processes that train the network together.
    """
    model.to(device)
    exchange = share_norms(model, team)
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
        forward=model,
        exchange=exchange,
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
        should_stop: Asked before every step; one process that says yes stops all.

    Returns:
        Mean training loss over the images, in nats; None where it was stopped on the way.

    Raises:
        TrainingError: Loss or gradient is not finite, and the subjects of the batch are named; or
            another process has ended.
    """
    set_train_mode(engine.model, frozen)
    for batch in iterate_batches(
        examples,
        position.order,
        batch_size=engine.settings.batch_size,
        first=position.n_steps,
        select=lambda n_images: list_rows(_plan(engine, n_images)),
    ):
        if engine.team.is_any(should_stop()):
            return None
        set_learning_rate(engine.optimizer, rate(position.n_steps))
        # On the device first: random changes of a batch are work for a GPU where there is one.
        images = place_batch(batch.images, engine.device)
        if transform is not None:
            images = _change(images, transform, generator=generator, batch=batch)
        position.total += _take_step(engine, batch, images=images) * len(batch.subjects)
        position.count += len(batch.subjects)
        position.n_steps += 1
    return position.total / position.count


def _plan(engine: Engine, n_images: int) -> tuple[Pass, ...]:
    """Return this process's passes of a step."""
    return plan_passes(n_images, engine.settings.accumulation, engine.team)


def _change(
    images: Tensor, transform: Transform, *, generator: torch.Generator, batch: Batch
) -> Tensor:
    """Change a whole step's images, or those of them that are at hand as if all were."""
    if len(batch.share.rows) == batch.share.n_images:
        return transform(images, generator)
    return transform(images, generator, share=batch.share)


def _take_step(engine: Engine, batch: Batch, *, images: Tensor) -> float:
    """Update the weights by one batch, in as many passes as are set, and return its loss."""
    labels = batch.labels.to(engine.device)
    engine.optimizer.zero_grad(set_to_none=True)
    weight = weigh_images(labels, engine.loss).sum()
    value, first = 0.0, 0
    for each in _plan(engine, len(labels)):
        engine.exchange.is_idle = each.is_idle
        with torch.autocast(
            engine.device.type, dtype=engine.amp_dtype, enabled=engine.amp_dtype is not None
        ):
            logits = engine.forward(images[first : first + len(each)])
        loss = compute_losses(logits.float(), labels[each.rows], engine.loss).sum() / weight
        if each.is_idle:
            loss = loss * 0
        value += _add_up(engine, float(loss.detach()), subjects=batch.subjects[each.rows])
        first += len(each)
        engine.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's own gap
    _move_weights(engine, subjects=batch.subjects)
    return value


def _add_up(engine: Engine, loss: float, *, subjects: Sequence[str]) -> float:
    """Return a pass's loss over all processes, and name the subjects of one that is no number."""
    total = engine.team.add(loss)
    if not math.isfinite(total):
        bad = engine.team.gather(() if math.isfinite(loss) else tuple(subjects))
        subjects = [name for names in bad for name in names]
    check_finite("loss", total, subjects=subjects, section=engine.section)
    return total


def _move_weights(engine: Engine, *, subjects: Sequence[str]) -> None:
    """Add up, check and clip the gradient, take the step, and average."""
    held = [p for p in engine.model.parameters() if p.grad is not None]
    engine.team.add_tensors([p.grad for p in held if p.grad is not None])
    engine.scaler.unscale_(engine.optimizer)
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
