"""What differs between classes, findings and values in a training: checks, weights, scale."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medvision.errors import TrainingError
from medvision.learn.dataset import Examples, Labels
from medvision.learn.scores import compute_class_weights, compute_finding_weights
from medvision.learn.settings import TrainSettings

Scale = tuple[float, float]
"""(mean, standard deviation) of values, in their own unit."""

_HINT = "use fewer folds, more subjects, or a larger cohort.validation_fraction."


def check_labels(
    training: Examples, n_classes: int, *, settings: TrainSettings, validation: Examples
) -> None:
    """Refuse splits that cannot be trained on or watched.

    Args:
        training: Images to fit.
        n_classes: Number of outputs.
        settings: Task, and figure by which the epoch is chosen.
        validation: Images to choose the epoch by.

    Raises:
        TrainingError: A class is absent, a finding is there or absent in no training image, or all
            values are equal.
    """
    if settings.task == "multilabel":
        _check_findings(training)
    elif settings.task == "regression":
        if len(np.unique(training.labels)) < 2:
            raise TrainingError(
                f"training split: values must differ, got one in {len(training)} images.", _HINT
            )
    else:
        _check_classes(training, n_classes, settings=settings, validation=validation)


def choose_class_weights(
    labels: Labels, n_classes: int, *, settings: TrainSettings
) -> NDArray[np.float64]:
    """Return the loss's weights: ones unless weights are the remedy for what is rare.

    Args:
        labels: Of the training images.
        n_classes: Number of outputs.
        settings: Task and remedy.

    Returns:
        (classes,), or of findings (findings, 2): absent, there.
    """
    if settings.task == "multilabel":
        if settings.imbalance == "weights":
            return compute_finding_weights(labels.astype(np.float32))
        return np.ones((n_classes, 2))
    if settings.task == "classification" and settings.imbalance == "weights":
        return compute_class_weights(labels.astype(np.int64), n_classes)
    return np.ones(n_classes)


def fit_scale(values: Labels) -> Scale:
    """Return mean and standard deviation of the training images' values, in float64."""
    held = values.astype(np.float64)
    return float(held.mean()), float(held.std())


def standardise(examples: Examples, scale: Scale | None) -> Examples:
    """Return examples with their values in standard deviations from the mean.

    Args:
        examples: Images with values in their own unit.
        scale: Of the training images; None leaves labels that are no values as they are.
    """
    if scale is None:
        return examples
    mean, sd = scale
    labels = ((examples.labels.astype(np.float64) - mean) / sd).astype(np.float32)
    return replace(examples, labels=labels)


def _check_findings(training: Examples) -> None:
    """Refuse a finding that the training images cannot tell from its absence."""
    for index in range(training.labels.shape[1]):
        n_there, n_absent = (int((training.labels[:, index] == value).sum()) for value in (1, 0))
        if not n_there or not n_absent:
            raise TrainingError(
                f"training split: every finding must be there and absent, got {n_there} and "
                f"{n_absent} images of finding {index + 1} in data.findings.",
                _HINT,
            )


def _check_classes(
    training: Examples, n_classes: int, *, settings: TrainSettings, validation: Examples
) -> None:
    """Refuse splits without a class."""
    for name, examples in (("training", training), ("validation", validation)):
        n_found = len(np.unique(examples.labels))
        needed = 1 if name == "validation" and settings.monitor == "loss" else n_classes
        if n_found < needed:
            raise TrainingError(
                f"{name} split: classes must all occur ({needed}), got {n_found} in "
                f"{len(examples)} images.",
                _HINT,
            )
