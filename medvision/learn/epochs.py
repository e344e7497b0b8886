"""Epoch after epoch: train, score, remember, keep; where it stopped, it goes on."""

import logging
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from medvision.errors import StoppedError, TrainingError
from medvision.learn.dataset import Examples, Transform, count_batches, draw_order
from medvision.learn.freezing import Freezing, freeze
from medvision.learn.loop import Engine, Position, run_epoch
from medvision.learn.predict import predict_in_shares
from medvision.learn.resume import HistoryValue, Run, copy_tensors, read_run, write_run
from medvision.learn.schedules import Schedule
from medvision.learn.scores import Scores, score
from medvision.learn.settings import Monitor, TrainSettings
from medvision.learn.statistics import refresh_statistics
from medvision.runtime.progress import track

HistoryRow = dict[str, HistoryValue]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """Where an unfinished training is kept, and what it depends on.

    Args:
        path: File written after every epoch, and when the run is told to stop.
        settings_digest: Digest of settings, data and software; another one starts anew.
    """

    path: Path
    settings_digest: str


@dataclass(frozen=True)
class Plan:
    """What every epoch obeys.

    Args:
        settings: How to train.
        freezing: Which blocks are frozen when.
        transform: Random change of training batches, or None.
        class_weights: Weight of each class in the loss, (classes,).
        state: Where the unfinished training is kept, or None.
        should_stop: Asked before every step whether to keep the state and end.
        on_epoch: Told every epoch's row as it ends, or None.
        description: What the progress display says.
        unit: Standard deviation of the values that are predicted, in their own unit.
        keep_epochs: Epochs, from 1, whose weights are kept besides the best.
    """

    settings: TrainSettings
    freezing: Freezing
    transform: Transform | None
    class_weights: NDArray[np.float64]
    state: State | None
    should_stop: Callable[[], bool]
    on_epoch: Callable[[HistoryRow], None] | None
    description: str
    unit: float = 1.0
    keep_epochs: tuple[int, ...] = ()

    @property
    def schedule(self) -> Schedule:
        """Return the schedule that the settings describe."""
        return Schedule(
            self.settings.schedule,
            peak=self.settings.learning_rate,
            epochs=self.settings.epochs,
            warm_up_epochs=self.settings.warm_up_epochs,
            plateau_epochs=self.settings.plateau_epochs,
            plateau_factor=self.settings.plateau_factor,
        )


def run_epochs(
    run: Run, engine: Engine, *, plan: Plan, training: Examples, validation: Examples
) -> None:
    """Train until the epochs are done or patience is over, from a kept state if there is one.

    Args:
        run: What is remembered; it is filled.
        engine: Network and optimiser; both change.
        plan: What to obey.
        training: Images to fit.
        validation: Images to choose the epoch by.

    Raises:
        TrainingError: A loss or a gradient is not finite.
        StoppedError: The plan's `should_stop` said so; the state is kept.
        StorageError: The state cannot be written.
    """
    _resume(run, engine, state=plan.state)
    epochs = range(run.n_epochs, plan.settings.epochs)
    told = track(epochs, plan.description, total=len(epochs), tell=lambda: _tell(run))
    for _ in told if engine.team.is_first else epochs:
        if run.n_epochs - run.best_epoch >= plan.settings.patience:
            break
        _add_epoch(run, engine, plan=plan, training=training, validation=validation)
        _keep(run, engine, state=plan.state)
        if plan.on_epoch is not None:
            plan.on_epoch(run.history[-1])


def _tell(run: Run) -> str:
    """Return the last epoch's figures for the progress display."""
    if not run.history:
        return ""
    row = run.history[-1]
    names = ("train_loss", "validation_loss", "validation_auc", "validation_mae")
    told = [f"{n.replace('_', ' ')} {row[n]:.3f}" for n in names if row.get(n) is not None]
    return f"epoch {row['epoch']}: {', '.join(told)}"


def _resume(run: Run, engine: Engine, *, state: State | None) -> None:
    """Go on from a kept state, where there is one of the same settings."""
    if state is not None and state.path.is_file():
        _read(run, engine, state=state)
    # Nothing is written before all have read; and all must have read the same.
    seen = engine.team.gather((run.n_epochs, run.position.n_steps if run.position else 0))
    if len(set(seen)) > 1:
        raise TrainingError(
            "training: kept state must be the same for all processes, got epochs and steps "
            f"{', '.join(map(str, seen))}.",
            "output.path must lie on a disk that all machines share.",
        )


def _read(run: Run, engine: Engine, *, state: State) -> None:
    """Read a kept state, or say that it is of no use."""
    if read_run(run, engine, path=state.path, settings_digest=state.settings_digest):
        steps = f", {run.position.n_steps} steps" if run.position else ""
        _log.info("resuming after epoch %d%s", run.n_epochs, steps)
    else:
        _log.info("the kept training state is of other settings or unreadable: starting anew")


def _keep(run: Run, engine: Engine, *, state: State | None) -> None:
    """Write the state, where one is wanted."""
    if state is not None:
        write_run(run, engine, path=state.path, settings_digest=state.settings_digest)


def _add_epoch(
    run: Run, engine: Engine, *, plan: Plan, training: Examples, validation: Examples
) -> None:
    """Train for one epoch, score it, and remember both."""
    train_loss = _train(run, engine, plan=plan, training=training)
    # What is validated and kept is the average, where there is one.
    averaged = engine.average.in_place(engine.model) if engine.average else nullcontext()
    with averaged:
        refresh_statistics(
            engine.model,
            training,
            batch_size=plan.settings.batch_size,
            device=engine.device,
            team=engine.team,
        )
        scores = _score(engine, validation, plan=plan)
        _remember(run, engine, scores=scores, train_loss=train_loss, monitor=plan.settings.monitor)
        if run.n_epochs in plan.keep_epochs:
            run.kept[run.n_epochs] = copy_tensors(engine.model.state_dict())


def _train(run: Run, engine: Engine, *, plan: Plan, training: Examples) -> float:
    """Train for what is left of one epoch, and return its mean loss."""
    n_batches = count_batches(len(training), plan.settings.batch_size)
    done = run.n_epochs * n_batches
    figures = [judge(row, monitor=plan.settings.monitor) for row in run.history]
    if run.position is None:
        run.position = Position(
            draw_order(training.labels, imbalance=plan.settings.imbalance, generator=run.generator)
        )
    loss = run_epoch(
        engine,
        training,
        position=run.position,
        frozen=freeze(engine.model, plan.freezing, epoch=run.n_epochs),
        transform=plan.transform,
        generator=run.generator,
        rate=lambda step: plan.schedule.compute_rate(
            done + step, n_batches=n_batches, figures=figures
        ),
        should_stop=plan.should_stop,
    )
    if loss is None:
        _stop(run, engine, state=plan.state)
    run.position = None
    return loss


def _stop(run: Run, engine: Engine, *, state: State | None) -> NoReturn:
    """Keep the state between two steps, and end."""
    _keep(run, engine, state=state)
    # The first process that ends makes torchrun end the others: not before all is written.
    engine.team.wait()
    raise StoppedError(
        f"training: run must be left to end, it was asked to stop in epoch {run.n_epochs + 1}."
    )


def _score(engine: Engine, validation: Examples, *, plan: Plan) -> Scores:
    """Score the network as it is on the validation images."""
    logits = predict_in_shares(engine.model, validation, device=engine.device, team=engine.team)
    scores = score(
        logits,
        validation.labels,
        task=plan.settings.task,
        class_weights=plan.class_weights,
        unit=plan.unit,
    )
    if not math.isfinite(scores.loss):
        bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
        names = sorted({validation.subjects[row] for row in bad})
        raise TrainingError(
            f"training: validation loss must be finite, got {scores.loss}, with no finite logits "
            f"for the subjects {', '.join(names)}."
        )
    return scores


def judge(row: HistoryRow, *, monitor: Monitor) -> list[float]:
    """Return what an epoch is judged by: larger is better, the first entry first.

    Args:
        row: The epoch's row of the history.
        monitor: loss, or auc or mae with the loss where these are equal.
    """
    loss, auc = row["validation_loss"], row.get("validation_auc")
    mae = row.get("validation_mae")
    key = [] if loss is None else [-float(loss)]
    if monitor == "mae" and mae is not None:
        return [-float(mae), *key]
    return [float(auc), *key] if monitor == "auc" and auc is not None else key


def _remember(
    run: Run, engine: Engine, *, scores: Scores, train_loss: float, monitor: Monitor
) -> None:
    """Add the epoch's row, and keep its weights if they are the best so far."""
    row: HistoryRow = {
        "epoch": run.n_epochs + 1,
        "train_loss": train_loss,
        "validation_loss": scores.loss,
        **scores.figures,
        "learning_rate": float(engine.optimizer.param_groups[0]["lr"]),
    }
    best = run.history[run.best_epoch - 1] if run.best_epoch else None
    run.history.append(row)
    if best is None or judge(row, monitor=monitor) > judge(best, monitor=monitor):
        run.best_epoch = run.n_epochs
        run.best_tensors = copy_tensors(engine.model.state_dict())
