"""What binds the task of a study to its other settings."""

from typing import Protocol

from medvision.config.explain import ExplainSection
from medvision.config.predict import PredictSection
from medvision.config.scorecard import ScorecardSection
from medvision.config.sections import DataSection
from medvision.config.train import TrainSection
from medvision.config.tune import TuneSection
from medvision.domain.labels.rows import Task

_LOSSES: dict[Task, tuple[str, ...]] = {
    "classification": ("cross_entropy", "focal"),
    "multilabel": ("cross_entropy", "focal"),
    "regression": ("mse", "huber"),
}

PERFORMANCE_FIGURES: dict[Task, tuple[str, ...]] = {
    "classification": ("performance", "roc", "calibration", "risk_coverage"),
    "multilabel": ("performance", "roc", "calibration", "findings"),
    "regression": ("performance", "scatter", "bland_altman"),
}
"""Figures of the report that the workflow publishes."""

_FIGURES: dict[Task, tuple[str, ...]] = {
    "classification": ("loss", "auc"),
    "multilabel": ("loss", "auc"),
    "regression": ("loss", "mae"),
}


class Sections(Protocol):
    """The sections that the task binds, as the whole configuration holds them."""

    @property
    def data(self) -> DataSection:
        """Names the task."""

    @property
    def train(self) -> TrainSection:
        """Loss, figure to improve and remedy for rare classes."""

    @property
    def tune(self) -> TuneSection:
        """Figure that a search improves, and what it tries."""

    @property
    def predict(self) -> PredictSection:
        """What becomes of the outputs."""

    @property
    def explain(self) -> ExplainSection:
        """Finding that is explained."""

    @property
    def scorecard(self) -> ScorecardSection:
        """Starts that are compared."""


def check_task(study: Sections) -> None:
    """Refuse settings that make no sense for the task.

    Args:
        study: The whole configuration.

    Raises:
        ValueError: With the field and its rule; the configuration's own error is made of it.
    """
    task = study.data.task
    _check_fitted(task, study.train, tune=study.tune)
    findings = {"data.findings": study.data.findings, "explain.finding": study.explain.finding}
    for name, held in findings.items():
        if task != "multilabel" and held:
            raise ValueError(f"{name} must be empty unless data.task is multilabel, got {held}")
    if task != "classification" and study.explain.target is not None:
        raise ValueError(
            "explain.target must be empty unless data.task is classification, got "
            f"{study.explain.target}"
        )
    if task != "classification":
        _check_other(task, study)


def _check_other(task: Task, study: Sections) -> None:
    """Refuse what only classes have."""
    if study.data.positive is not None:
        raise ValueError(
            f"data.positive must be empty for data.task {task}, got {study.data.positive}"
        )
    if study.predict.temperature != "off" and task == "regression":
        raise ValueError(f"predict.temperature must be off for data.task {task}")
    if study.scorecard.sources:
        raise ValueError(f"scorecard.sources must be empty for data.task {task}")
    if study.train.imbalance == "sampling":
        raise ValueError(f"train.imbalance must be none or weights for data.task {task}")
    if study.train.label_smoothing and task == "regression":
        raise ValueError("train.label_smoothing must be 0 for data.task regression")


def _check_fitted(task: Task, train: TrainSection, *, tune: TuneSection) -> None:
    """Refuse losses and figures that the task has not."""
    tried = tune.space.get("train.loss")
    losses = [train.loss, *((tried.choices or ()) if tried else ())]
    for loss in losses:
        if loss not in ("auto", *_LOSSES[task]):
            raise ValueError(
                f"train.loss must be auto, {' or '.join(_LOSSES[task])} for data.task {task}, got "
                f"{loss}"
            )
    for name, figure in (("train.monitor", train.monitor), ("tune.objective", tune.objective)):
        if figure not in _FIGURES[task]:
            allowed = " or ".join(_FIGURES[task])
            raise ValueError(f"{name} must be {allowed} for data.task {task}, got {figure}")


def choose_loss(task: Task, loss: str) -> str:
    """Return the loss that auto stands for: cross-entropy, or the squared error of a value.

    Args:
        task: What is predicted.
        loss: As configured.
    """
    return _LOSSES[task][0] if loss == "auto" else loss
