"""One epoch of training: forward, loss, backward, step; nothing hidden."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from medvision.errors import TrainingError
from medvision.learn.dataset import Batch, Examples, Transform, iterate_batches
from medvision.learn.freezing import set_train_mode

Amp = Literal["auto", "off"]

_WARM_UP = 0.3
_START_DIVISOR = 25.0
_END_DIVISOR = 1e4


@dataclass(frozen=True)
class Engine:
    """What one step of training needs.

    Args:
        model: Network on its device.
        optimizer: Holds the trainable parameters.
        scaler: Loss scaling of float16; switched off otherwise.
        amp_dtype: Type of mixed precision, or None for float32 throughout.
        class_weights: Weight of each class in the loss, (classes,) float32 on the device.
        frozen: Dotted names of the modules kept in evaluation mode.
        device: Where the network is.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    amp_dtype: torch.dtype | None
    class_weights: Tensor
    frozen: Sequence[str]
    device: torch.device


def build_engine(
    model: nn.Module,
    device: torch.device,
    *,
    learning_rate: float,
    weight_decay: float,
    class_weights: NDArray[np.float64],
    frozen: Sequence[str],
    amp: Amp,
) -> Engine:
    """Put a network on its device and make its AdamW optimiser.

    Args:
        model: Network; it is moved.
        device: Where to train.
        learning_rate: Peak learning rate.
        weight_decay: AdamW's decay.
        class_weights: Weight of each class in the loss, (classes,).
        frozen: Dotted names of the modules kept in evaluation mode.
        amp: auto takes mixed precision on a GPU.

    Raises:
        TrainingError: Nothing is left to train.

    Source:
        AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101.
    """
    model.to(device)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise TrainingError("model.policy: something must be left to train, got nothing.")
    dtype = choose_amp_dtype(device, amp)
    return Engine(
        model=model,
        optimizer=torch.optim.AdamW(trainable, lr=learning_rate, weight_decay=weight_decay),
        scaler=torch.amp.GradScaler(device.type, enabled=dtype is torch.float16),
        amp_dtype=dtype,
        class_weights=torch.from_numpy(class_weights).float().to(device),
        frozen=frozen,
        device=device,
    )


def choose_amp_dtype(device: torch.device, amp: Amp) -> torch.dtype | None:
    """Return bfloat16 or float16 on a GPU, None elsewhere.

    A CPU without bfloat16 units is many times slower with mixed precision than without.
    """
    if amp == "off" or device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def compute_learning_rate(step: int, *, n_steps: int, peak: float) -> float:
    """Return the one-cycle learning rate: up over the first 30 % of the steps, then down.

    Both parts follow a cosine, from peak / 25 and to peak / 250 000. A pure function of the
    step, so that a resumed training needs no scheduler state.

    Args:
        step: Steps done, in [0, n_steps).
        n_steps: Steps of the whole training.
        peak: Largest learning rate.

    Source:
        Smith and Topin 2019, arXiv:1708.07120; shape as torch.optim.lr_scheduler.OneCycleLR.
    """
    start = peak / _START_DIVISOR
    top = max(_WARM_UP * n_steps - 1, 0.0)
    if step <= top:
        return _ease(start, peak, share=step / top if top else 1.0)
    return _ease(peak, start / _END_DIVISOR, share=(step - top) / (n_steps - 1 - top))


def _ease(begin: float, end: float, *, share: float) -> float:
    """Go from begin to end along half a cosine."""
    return end + (begin - end) / 2.0 * (math.cos(math.pi * share) + 1)


def run_epoch(
    engine: Engine,
    examples: Examples,
    *,
    order: NDArray[np.int64],
    batch_size: int,
    transform: Transform | None,
    generator: torch.Generator,
    rate: Callable[[int], float],
) -> float:
    """Train on every image of the order once.

    Args:
        engine: Network and optimiser; both change.
        examples: Training images.
        order: Positions in `examples`.
        batch_size: Images in a step.
        transform: Random change of a batch, which is given on the engine's device, or None.
        generator: Source of the transform's randomness; it moves on.
        rate: Step within this epoch to learning rate.

    Returns:
        Mean training loss over the images, in nats.

    Raises:
        TrainingError: The loss is not finite; the subjects of the batch are named.
    """
    set_train_mode(engine.model, engine.frozen)
    total, count = 0.0, 0
    for step, batch in enumerate(iterate_batches(examples, order, batch_size=batch_size)):
        for group in engine.optimizer.param_groups:
            group["lr"] = rate(step)
        # On the device first: random changes of a batch are work for a GPU where there is one.
        images = batch.images.to(engine.device)
        if transform is not None:
            images = transform(images, generator)
        total += _take_step(engine, batch, images=images) * len(batch.subjects)
        count += len(batch.subjects)
    return total / count


def _take_step(engine: Engine, batch: Batch, *, images: Tensor) -> float:
    """Update the weights by one batch, and return its loss."""
    labels = batch.labels.to(engine.device)
    engine.optimizer.zero_grad(set_to_none=True)
    with torch.autocast(
        engine.device.type, dtype=engine.amp_dtype, enabled=engine.amp_dtype is not None
    ):
        logits = engine.model(images)
    loss = functional.cross_entropy(logits.float(), labels, weight=engine.class_weights)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(
            f"training: loss must be finite, got {value} in a batch with the subjects "
            f"{', '.join(sorted(set(batch.subjects)))}.",
            "look at these subjects' images, or lower train.learning_rate; the last complete "
            "epoch is kept.",
        )
    engine.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's own gap
    engine.scaler.step(engine.optimizer)
    engine.scaler.update()
    return value
