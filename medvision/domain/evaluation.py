"""Evaluation: from predictions to estimates, differences, curves and counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medvision.domain.arms import rank_arm
from medvision.domain.calibration import CalibrationBin, compute_calibration
from medvision.domain.estimate import (
    Difference,
    Estimate,
    build_differences,
    build_estimates,
    count_subjects,
    resample,
)
from medvision.domain.labels import Classes
from medvision.domain.prediction import (
    Indices,
    Predictions,
    build_predictions,
    check_same_images,
)
from medvision.domain.roc import Curve, WeightedCurve, average_curves, compute_fold_curves
from medvision.domain.statistic import ArmTest
from medvision.domain.threshold import FALLBACK, YOUDEN, Threshold, fit_threshold
from medvision.errors import DataError


@dataclass(frozen=True)
class FoldThreshold:
    """The threshold of one model."""

    arm: str
    fold: int
    seed: int
    threshold: Threshold


@dataclass(frozen=True)
class ConfusionCell:
    """Test images of one class predicted as another; with several seeds the mean count."""

    arm: str
    label: str
    predicted: str
    n: float


@dataclass(frozen=True)
class Evaluation:
    """All that is known of the arms on held-out subjects."""

    classes: Classes
    n_images: int
    n_subjects: int
    n_clusters: int
    n_by_class: Mapping[str, int]
    n_folds: int
    seeds: tuple[int, ...]
    estimates: tuple[Estimate, ...]
    differences: tuple[Difference, ...]
    curves: Mapping[str, Curve]
    calibration: Mapping[str, tuple[CalibrationBin, ...]]
    confusion: tuple[ConfusionCell, ...]
    thresholds: tuple[FoldThreshold, ...]


def evaluate_predictions(
    rows: Sequence[Mapping[str, str]],
    groups: Mapping[str, str],
    *,
    classes: Classes,
    n_resamples: int,
    confidence: float,
    seed: int,
    calibration_bins: int,
) -> Evaluation:
    """Evaluate every arm on its test images.

    Thresholds come from the validation predictions of the same arm, fold and seed; nothing
    else of the validation images enters a figure.

    Args:
        rows: Rows of `predict/predictions.tsv`.
        groups: image_id to the group of subjects that is resampled as one.
        classes: Class names in order, and the positive one of two.
        n_resamples: Number of bootstrap resamples.
        confidence: Level of the intervals.
        seed: Seed of the bootstrap.
        calibration_bins: Bins of the calibration curve.

    Returns:
        Estimates with intervals, differences, curves and counts.

    Raises:
        DataError: Predictions are missing, not numbers, or not of the same images.
    """
    predictions = build_predictions(rows, classes.names)
    thresholds = fit_thresholds(predictions, classes)
    arms = _build_arms(predictions, groups, classes=classes, thresholds=thresholds)
    resampled = resample(arms, n_resamples=n_resamples, confidence=confidence, seed=seed)
    first = next(iter(arms.values()))
    return Evaluation(
        classes=classes,
        n_images=len(first.labels),
        n_subjects=count_subjects(first),
        n_clusters=len(np.unique(first.clusters)),
        n_by_class={name: int(first.is_class(i).sum()) for i, name in enumerate(classes.names)},
        n_folds=len(np.unique(first.folds)),
        seeds=tuple(sorted({seed for _, seed, _ in predictions})),
        estimates=tuple(build_estimates(resampled)),
        differences=tuple(build_differences(resampled)),
        curves={name: _build_curve(arm) for name, arm in arms.items()},
        calibration={
            name: _build_calibration(arm, n_bins=calibration_bins, confidence=confidence)
            for name, arm in arms.items()
        },
        confusion=tuple(cell for name, arm in arms.items() for cell in _count(name, arm)),
        thresholds=thresholds,
    )


def fit_thresholds(
    predictions: Mapping[tuple[str, int, str], Predictions], classes: Classes
) -> tuple[FoldThreshold, ...]:
    """Fix one threshold per arm, fold and seed on its validation predictions.

    Args:
        predictions: (arm, seed, split) to predictions.
        classes: Class names and the positive one.

    Returns:
        Thresholds in order of arm, seed and fold; none with more than two classes, where the
        most probable class is predicted.
    """
    if classes.positive is None:
        return ()
    index = classes.names.index(classes.positive)
    return tuple(
        FoldThreshold(
            arm,
            fold,
            seed,
            _fit_fold(predictions.get((arm, seed, "validation")), fold, index=index),
        )
        for (arm, seed, split), each in predictions.items()
        if split == "test"
        for fold in np.unique(each.folds).tolist()
    )


def _fit_fold(validation: Predictions | None, fold: int, *, index: int) -> Threshold:
    """Fix the threshold of one model, or say that it has no validation predictions."""
    if validation is None or not (validation.folds == fold).any():
        return Threshold(FALLBACK, f"{FALLBACK}, no validation predictions")
    here = validation.folds == fold
    return fit_threshold(validation.probabilities[here, index], validation.labels[here] == index)


def _build_arms(
    predictions: Mapping[tuple[str, int, str], Predictions],
    groups: Mapping[str, str],
    *,
    classes: Classes,
    thresholds: Sequence[FoldThreshold],
) -> dict[str, ArmTest]:
    """Gather each arm's test predictions, transfer first."""
    held: dict[str, list[tuple[int, Predictions]]] = {}
    for (arm, seed, split), each in predictions.items():
        if split == "test":
            held.setdefault(arm, []).append((seed, each))
    if not held:
        raise DataError("predictions: test images must be predicted, got none.")
    check_same_images([each for seeds in held.values() for _, each in seeds])
    _check_same_seeds(held)
    return {
        arm: _build_arm(arm, held[arm], groups=groups, classes=classes, thresholds=thresholds)
        for arm in sorted(held, key=rank_arm)
    }


def _check_same_seeds(held: Mapping[str, Sequence[tuple[int, Predictions]]]) -> None:
    """Refuse arms trained with different seeds, whose difference would not be paired."""
    seeds = {tuple(seed for seed, _ in each) for each in held.values()}
    if len(seeds) > 1:
        raise DataError(
            f"predictions: every arm must have the same seeds, got {sorted(seeds)}.",
            "run the steps train and predict again for all arms.",
        )


def _build_arm(
    arm: str,
    seeds: Sequence[tuple[int, Predictions]],
    *,
    groups: Mapping[str, str],
    classes: Classes,
    thresholds: Sequence[FoldThreshold],
) -> ArmTest:
    """Predict classes at the thresholds, and number the clusters."""
    first = seeds[0][1]
    own = [item for item in thresholds if item.arm == arm]
    values = {(item.fold, item.seed): item.threshold.value for item in own}
    names = [
        groups.get(name) or subject
        for name, subject in zip(first.image_ids, first.subjects, strict=True)
    ]
    _, clusters = np.unique(names, return_inverse=True)
    positive = None if classes.positive is None else classes.names.index(classes.positive)
    predicted = [
        _predict(each, positive, limits=[values.get((fold, seed)) for fold in each.folds.tolist()])
        for seed, each in seeds
    ]
    return ArmTest(
        seeds=tuple(each for _, each in seeds),
        predicted=tuple(predicted),
        classes=classes.names,
        positive=positive,
        clusters=clusters.astype(np.intp),
        operating=_describe_operating([item.threshold for item in own]),
    )


def _describe_operating(thresholds: Sequence[Threshold]) -> str:
    """Say how a probability becomes a class, and how often validation had no say."""
    if not thresholds:
        return "by the most probable class"
    n_unfitted = sum(threshold.rule != YOUDEN for threshold in thresholds)
    text = "at thresholds fixed on validation"
    return f"{text} ({FALLBACK} for {n_unfitted} of {len(thresholds)})" if n_unfitted else text


def _predict(each: Predictions, positive: int | None, *, limits: Sequence[float | None]) -> Indices:
    """Return the predicted class of each image: by its model's limit, or the most probable."""
    if positive is None:
        return np.asarray(each.probabilities.argmax(axis=1), dtype=np.intp)
    above = each.probabilities[:, positive] >= np.array(limits, dtype=np.float64)
    predicted: Indices = np.where(above, positive, 1 - positive).astype(np.intp)
    return predicted


def _build_curve(arm: ArmTest) -> Curve:
    """Average the ROC curves over folds, seeds and, with more than two, classes."""
    indices = range(len(arm.classes)) if arm.positive is None else [arm.positive]
    curves = []
    for index in indices:
        for each in arm.seeds:
            found = compute_fold_curves(each.scores[:, index], arm.is_class(index), folds=arm.folds)
            total = sum(item.weight for item in found)
            curves += [WeightedCurve(item.curve, item.weight / total) for item in found]
    return average_curves(curves) if curves else np.empty((0, 2))


def _build_calibration(
    arm: ArmTest, *, n_bins: int, confidence: float
) -> tuple[CalibrationBin, ...]:
    """Hold probabilities against outcomes: of the positive class, or of the class predicted."""
    if arm.positive is None:
        probabilities = [each.probabilities.max(axis=1) for each in arm.seeds]
        happened = [each.probabilities.argmax(axis=1) == arm.labels for each in arm.seeds]
    else:
        probabilities = [each.probabilities[:, arm.positive] for each in arm.seeds]
        happened = [arm.is_class(arm.positive) for _ in arm.seeds]
    n_seeds = len(arm.seeds)
    bins = compute_calibration(
        np.concatenate(probabilities),
        np.concatenate(happened),
        images=np.tile(np.arange(len(arm.labels)), n_seeds),
        clusters=np.tile(arm.clusters, n_seeds),
        n_bins=n_bins,
        confidence=confidence,
    )
    return tuple(bins)


def _count(name: str, arm: ArmTest) -> list[ConfusionCell]:
    """Count test images by true and predicted class."""
    return [
        ConfusionCell(name, label, predicted, float(arm.hit_rates(column)[arm.is_class(row)].sum()))
        for row, label in enumerate(arm.classes)
        for column, predicted in enumerate(arm.classes)
    ]
