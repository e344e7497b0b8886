"""Fitting a network: what is checked before, and what comes out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medvision.learn.chain import Tail, compute_chain_features, find_chain_cut, list_chain
from medvision.learn.compiling import compile_forward
from medvision.learn.dataset import Examples, Transform
from medvision.learn.depth import check_depth
from medvision.learn.epochs import HistoryRow, Plan, State, run_epochs
from medvision.learn.freezing import Freezing, freeze, set_train_mode
from medvision.learn.loop import Engine, build_engine, choose_amp_dtype
from medvision.learn.memory import name_memory_faults
from medvision.learn.placement import place_network
from medvision.learn.predict import BATCH_SIZE
from medvision.learn.resume import Run
from medvision.learn.reuse import Cut, compute_features, find_cut
from medvision.learn.settings import TrainSettings
from medvision.learn.tasks import Scale, check_labels, choose_class_weights, fit_scale, standardise
from medvision.runtime.seeds import choose_kernels, derive_seed, seed_everything
from medvision.runtime.team import ALONE, Team

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """A finished training.

    Args:
        tensors: State dict of the best epoch, on the CPU.
        history: One row per epoch: epoch, train_loss, validation_loss, validation_accuracy,
            validation_auc (None where a class is absent), or of a value validation_mae, and
            learning_rate (the head's, of the last step).
        best_epoch: Epoch of `tensors`, from 1.
        is_stopped_early: Whether patience ended the training.
        reuses_features: Whether a frozen backbone's features were computed once.
        scale: Of a value, the (mean, standard deviation) of the training images' values: what the
            network puts out is to be multiplied by the second and added to the first. None
            otherwise.
        class_weights: What the loss weighs classes or findings with, as `learn.losses.Loss` does.
        checkpoints: Epoch to the state dict that it ended with, of those asked for and reached.
    """

    tensors: dict[str, Tensor]
    history: tuple[HistoryRow, ...]
    best_epoch: int
    is_stopped_early: bool
    reuses_features: bool
    scale: Scale | None = None
    class_weights: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    checkpoints: dict[int, dict[str, Tensor]] = field(default_factory=dict)


def fit_network(
    model: nn.Module,
    training: Examples,
    *,
    validation: Examples,
    n_classes: int,
    settings: TrainSettings,
    freezing: Freezing,
    seed: int,
    device: torch.device,
    transform: Transform | None,
    state: State | None,
    on_epoch: Callable[[HistoryRow], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    description: str = "training",
    section: str = "train",
    team: Team = ALONE,
    keep_epochs: tuple[int, ...] = (),
) -> Fit:
    """Train a network and keep the weights of its best epoch on the validation images.

    On a CPU, equal inputs give equal bits, at equal numbers of threads and processes, whether or
    not the run was killed and started again between any two instructions. Several processes
    divide each step's images, and end as one would but for rounding and for dropout, which each
    draws by itself.

    Args:
        model: Network with its starting weights; it is changed.
        training: Images (B, C, I, J[, K]) and labels to fit.
        validation: Images and labels to choose the epoch by; never trained on.
        n_classes: Number of outputs: classes, findings, or one value.
        settings: How to train.
        freezing: Which blocks are kept as they are, and what the blocks are.
        seed: Seed of order, augmentation and dropout.
        device: Where to train.
        transform: Random change of training batches, or None.
        state: Where the unfinished training is kept, or None.
        on_epoch: Told every epoch's row as it ends.
        should_stop: Asked before every step whether to keep the state and end.
        description: What the progress display says.
        section: Section of the configuration that errors point to.
        team: The processes that train the network together, all with equal arguments.
        keep_epochs: Epochs, from 1, whose weights are kept besides the best.

    Returns:
        The best weights and the history.

    Raises:
        ConfigError: The arrays are too small for the network.
        TrainingError: A class is absent, a loss or a gradient is not finite, nothing is trainable,
            or the memory is full.
        StoppedError: `should_stop` said so; the state is kept.
        StorageError: The state cannot be written.
    """
    check_labels(training, n_classes, settings=settings, validation=validation)
    check_depth(model, training.arrays.shape[1:])
    seed_everything(seed if team.is_first else derive_seed("process", seed, team.rank))
    choose_kernels(settings.kernels)
    weights = choose_class_weights(training.labels, n_classes, settings=settings)
    scale = fit_scale(training.labels) if settings.task == "regression" else None
    plan = Plan(
        settings=settings,
        freezing=freezing,
        transform=transform,
        class_weights=weights,
        state=state,
        should_stop=should_stop,
        on_epoch=on_epoch,
        description=description,
        unit=scale[1] if scale else 1.0,
        keep_epochs=keep_epochs,
    )
    run = Run(torch.Generator().manual_seed(seed))
    with name_memory_faults(
        section=section, batch_size=settings.batch_size, accumulation=settings.accumulation
    ):
        place_network(model, device, n_axes=len(training.arrays.shape))
        sides = [standardise(each, scale) for each in (training, validation)]
        work = _choose_work(model, sides[0], validation=sides[1], plan=plan)
        _fit(run, work, plan=plan, device=device, section=section, team=team)
    return Fit(
        _complete(work, run.best_tensors, model=model),
        tuple(run.history),
        run.best_epoch,
        is_stopped_early=run.n_epochs < settings.epochs,
        reuses_features=work.cut is not None,
        scale=scale,
        class_weights=weights,
        checkpoints={
            epoch: _complete(work, tensors, model=model) for epoch, tensors in run.kept.items()
        },
    )


@dataclass(frozen=True)
class _Work:
    """What is trained on what: the network on its images, or its head on their features."""

    model: nn.Module
    training: Examples
    validation: Examples
    freezing: Freezing
    cut: Cut | Tail | None


def _complete(work: _Work, tensors: dict[str, Tensor], *, model: nn.Module) -> dict[str, Tensor]:
    """Return the whole network's state dict."""
    if isinstance(work.cut, Cut):
        return work.cut.complete(tensors, model)
    return {name.removeprefix("model."): t for name, t in tensors.items()} if work.cut else tensors


def _fit(
    run: Run, work: _Work, *, plan: Plan, device: torch.device, section: str, team: Team
) -> None:
    """Make the engine, and train."""
    engine = build_engine(
        work.model,
        device,
        settings=plan.settings,
        class_weights=plan.class_weights,
        blocks=work.freezing.blocks,
        section=section,
        team=team,
    )
    if plan.settings.compile == "on" and work.cut is None:
        engine = _compile(engine, work, plan=plan)
    run_epochs(
        run,
        engine,
        plan=replace(plan, freezing=work.freezing),
        training=work.training,
        validation=work.validation,
    )


def _compile(engine: Engine, work: _Work, *, plan: Plan) -> Engine:
    """Return the engine with its forward pass compiled, where that can be done."""
    if engine.team.size > 1:
        _log.warning("the network is not compiled: several processes train it")
        return engine
    set_train_mode(engine.model, freeze(engine.model, work.freezing, epoch=0))
    n_images = min(plan.settings.batch_size, len(work.training))
    n_images = -(-n_images // plan.settings.accumulation)
    forward = compile_forward(
        engine.model,
        shape=(n_images, *work.training.arrays.shape[1:]),
        device=engine.device,
    )
    return replace(engine, forward=forward)


def _cut_chain(whole: _Work, *, plan: Plan) -> _Work | None:
    """Choose the trained parts of a chain on the frozen parts' features, where that can be."""
    model, freezing = whole.model, plan.freezing
    n_parts = find_chain_cut(model, freezing)
    device = next(model.parameters()).device
    # In mixed precision what lies between two parts has fewer digits than what is kept.
    if n_parts == 0 or choose_amp_dtype(device, plan.settings.amp) is not None:
        return None
    features = [
        compute_chain_features(
            model,
            examples,
            n_parts=n_parts,
            freezing=freezing,
            batch_size=batch_size,
            device=device,
        )
        for examples, batch_size in (
            (whole.training, plan.settings.batch_size),
            (whole.validation, BATCH_SIZE),
        )
    ]
    if features[0] is None or features[1] is None:
        return None
    _log.info("the frozen blocks' features are computed once, for all epochs")
    tail = Tail(model, list_chain(model)[n_parts:])
    blocks = tuple(tuple(f"model.{name}" for name in block) for block in freezing.blocks)
    return _Work(tail, features[0], features[1], replace(freezing, blocks=blocks), tail)


def _choose_work(
    model: nn.Module, training: Examples, *, validation: Examples, plan: Plan
) -> _Work:
    """Choose the head on features where a frozen backbone allows it, else the whole network."""
    whole = _Work(model, training, validation, plan.freezing, cut=None)
    may = plan.settings.reuse_features == "auto" and plan.transform is None
    cut = find_cut(model, plan.freezing) if may else None
    if cut is None:
        return (_cut_chain(whole, plan=plan) if may else None) or whole
    device = next(model.parameters()).device
    # Each in the batches that it would otherwise be passed in, so that the bits are the same.
    ways = (
        (training, plan.settings.batch_size, choose_amp_dtype(device, plan.settings.amp)),
        (validation, BATCH_SIZE, None),
    )
    features = [
        compute_features(
            model,
            examples,
            cut=cut,
            freezing=plan.freezing,
            batch_size=batch_size,
            device=device,
            amp_dtype=amp_dtype,
        )
        for examples, batch_size, amp_dtype in ways
    ]
    if features[0] is None or features[1] is None:
        return whole
    _log.info("the frozen backbone's features are computed once, for all epochs")
    return _Work(cut.head, features[0], features[1], Freezing((), "full"), cut)
