"""Fitting a network: epochs, early stopping, and going on where a killed run stopped."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medvision.errors import TrainingError
from medvision.learn.dataset import Examples, Imbalance, Transform, count_batches, draw_order
from medvision.learn.depth import check_depth
from medvision.learn.loop import Amp, Engine, build_engine, compute_learning_rate, run_epoch
from medvision.learn.predict import predict_logits
from medvision.learn.resume import HistoryValue, Run, copy_tensors, read_run, write_run
from medvision.learn.scores import Scores, compute_class_weights, compute_scores
from medvision.learn.statistics import refresh_statistics
from medvision.runtime.progress import track
from medvision.runtime.seeds import seed_everything

Monitor = Literal["loss", "auc"]
HistoryRow = dict[str, HistoryValue]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """Where an unfinished training is kept, and what it depends on.

    Args:
        path: File written after every epoch.
        settings_digest: Digest of settings, data and software; another one starts anew.
    """

    path: Path
    settings_digest: str


@dataclass(frozen=True)
class Fit:
    """A finished training.

    Args:
        tensors: State dict of the best epoch, on the CPU.
        history: One row per epoch: epoch, train_loss, validation_loss, validation_accuracy,
            validation_auc (None where a class is absent), learning_rate (of the last step).
        best_epoch: Epoch of `tensors`, from 1.
        is_stopped_early: Whether patience ended the training.
    """

    tensors: dict[str, Tensor]
    history: tuple[HistoryRow, ...]
    best_epoch: int
    is_stopped_early: bool


def fit_network(
    model: nn.Module,
    training: Examples,
    *,
    validation: Examples,
    n_classes: int,
    frozen: Sequence[str],
    seed: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    imbalance: Imbalance,
    monitor: Monitor,
    patience: int,
    amp: Amp,
    device: torch.device,
    transform: Transform | None,
    state: State | None,
    on_epoch: Callable[[HistoryRow], None] | None = None,
    description: str = "training",
) -> Fit:
    """Train a network and keep the weights of its best epoch on the validation images.

    On a CPU, equal inputs give equal bits, at an equal number of threads, whether or not the
    run was killed and started again between any two instructions.

    Args:
        model: Network with its starting weights; it is changed.
        training: Images (B, C, I, J[, K]) and labels to fit.
        validation: Images and labels to choose the epoch by; never trained on.
        n_classes: Number of logits.
        frozen: Dotted names of modules kept as they are (see `freezing`).
        seed: Seed of order, augmentation and dropout.
        epochs: Most passes over the training images.
        batch_size: Images a step.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: AdamW's decay.
        imbalance: none, loss weights by class, or class-balanced sampling.
        monitor: Figure by which the best epoch is chosen; AUC's ties are decided by the loss.
        patience: Epochs without improvement before stopping.
        amp: auto takes mixed precision on a GPU.
        device: Where to train.
        transform: Random change of training batches, or None.
        state: Where the unfinished training is kept, or None.
        on_epoch: Told every epoch's row as it ends.
        description: What the progress display says.

    Returns:
        The best weights and the history.

    Raises:
        ConfigError: The arrays are too small for the network.
        TrainingError: A class is absent, the loss is not finite, or nothing is trainable.
        StorageError: The state cannot be written.
    """
    _check_labels(training, n_classes, monitor=monitor, validation=validation)
    check_depth(model, training.arrays.shape[1:])
    seed_everything(seed)
    plan = _Plan(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        imbalance=imbalance,
        monitor=monitor,
        transform=transform,
        class_weights=_choose_class_weights(training.labels, n_classes, imbalance=imbalance),
    )
    engine = build_engine(
        model,
        device,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        class_weights=plan.class_weights,
        frozen=frozen,
        amp=amp,
    )
    run = Run(torch.Generator().manual_seed(seed))
    _resume(run, engine, state=state)
    for _ in track(range(run.n_epochs, epochs), description, total=epochs - run.n_epochs):
        if _is_stale(run, patience):
            break
        _add_epoch(run, engine, plan=plan, training=training, validation=validation)
        _keep(run, engine, state=state)
        if on_epoch is not None:
            on_epoch(run.history[-1])
    return Fit(
        run.best_tensors, tuple(run.history), run.best_epoch, is_stopped_early=run.n_epochs < epochs
    )


@dataclass(frozen=True)
class _Plan:
    """The settings that every epoch obeys."""

    epochs: int
    batch_size: int
    learning_rate: float
    imbalance: Imbalance
    monitor: Monitor
    transform: Transform | None
    class_weights: NDArray[np.float64]

    def rate(self, step: int, *, n_batches: int) -> float:
        """Return the learning rate of a step, counted over the whole training."""
        return compute_learning_rate(step, n_steps=self.epochs * n_batches, peak=self.learning_rate)


def _add_epoch(
    run: Run, engine: Engine, *, plan: _Plan, training: Examples, validation: Examples
) -> None:
    """Train for one epoch, score it, and remember both."""
    n_batches = count_batches(len(training), plan.batch_size)
    done = run.n_epochs * n_batches
    train_loss = run_epoch(
        engine,
        training,
        order=draw_order(training.labels, imbalance=plan.imbalance, generator=run.generator),
        batch_size=plan.batch_size,
        transform=plan.transform,
        generator=run.generator,
        rate=lambda step: plan.rate(done + step, n_batches=n_batches),
    )
    refresh_statistics(engine.model, training, batch_size=plan.batch_size, device=engine.device)
    scores = _score(engine, validation, class_weights=plan.class_weights)
    _remember(run, engine, scores=scores, train_loss=train_loss, monitor=plan.monitor)


def _check_labels(
    training: Examples, n_classes: int, *, monitor: Monitor, validation: Examples
) -> None:
    """Refuse splits that cannot be trained on or watched."""
    for name, examples in (("training", training), ("validation", validation)):
        n_found = len(np.unique(examples.labels))
        needed = 1 if name == "validation" and monitor == "loss" else n_classes
        if n_found < needed:
            raise TrainingError(
                f"{name} split: classes must all occur ({needed}), got {n_found} in "
                f"{len(examples)} images.",
                "use fewer folds, more subjects, or a larger cohort.validation_fraction.",
            )


def _choose_class_weights(
    labels: NDArray[np.int64], n_classes: int, *, imbalance: Imbalance
) -> NDArray[np.float64]:
    """Return the loss's class weights: ones unless weights are the remedy."""
    if imbalance == "weights":
        return compute_class_weights(labels, n_classes)
    return np.ones(n_classes)


def _resume(run: Run, engine: Engine, *, state: State | None) -> None:
    """Go on from a kept state, where there is one of the same settings."""
    if state is None or not state.path.is_file():
        return
    if read_run(run, engine, path=state.path, settings_digest=state.settings_digest):
        _log.info("resuming after epoch %d", run.n_epochs)
    else:
        _log.info("the kept training state is of other settings or unreadable: starting anew")


def _keep(run: Run, engine: Engine, *, state: State | None) -> None:
    """Write the state, where one is wanted."""
    if state is not None:
        write_run(run, engine, path=state.path, settings_digest=state.settings_digest)


def _is_stale(run: Run, patience: int) -> bool:
    """Tell whether the best epoch lies too far back."""
    return run.n_epochs - run.best_epoch >= patience


def _score(engine: Engine, validation: Examples, *, class_weights: NDArray[np.float64]) -> Scores:
    """Score the network as it is on the validation images."""
    logits = predict_logits(engine.model, validation, device=engine.device)
    scores = compute_scores(logits, validation.labels, class_weights=class_weights)
    if not math.isfinite(scores.loss):
        raise TrainingError(f"training: validation loss must be finite, got {scores.loss}.")
    return scores


def _remember(
    run: Run, engine: Engine, *, scores: Scores, train_loss: float, monitor: Monitor
) -> None:
    """Add the epoch's row, and keep its weights if they are the best so far."""
    epoch = run.n_epochs + 1
    run.history.append(
        {
            "epoch": epoch,
            "train_loss": train_loss,
            "validation_loss": scores.loss,
            "validation_accuracy": scores.accuracy,
            "validation_auc": scores.auc,
            "learning_rate": float(engine.optimizer.param_groups[0]["lr"]),
        }
    )
    key = [-scores.loss]
    if monitor == "auc" and scores.auc is not None:
        key = [scores.auc, -scores.loss]
    if not run.best_epoch or key > run.best_key:
        run.best_epoch, run.best_key = epoch, key
        run.best_tensors = copy_tensors(engine.model.state_dict())
