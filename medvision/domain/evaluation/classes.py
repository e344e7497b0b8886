"""Evaluation: from predictions to estimates, differences, curves and counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medvision.domain.arms import ALL_SEEDS, rank_arm
from medvision.domain.evaluation.abstention import Abstention, compute_abstention
from medvision.domain.evaluation.estimate import (
    Difference,
    Estimate,
    build_differences,
    build_estimates,
    count_subjects,
    resample,
    set_arms,
)
from medvision.domain.evaluation.pair_tests import PairTest, compare_pairs
from medvision.domain.evaluation.rescaling import (
    NO_TEMPERATURES,
    ScalingEffect,
    Temperatures,
    compute_effects,
    undo_temperatures,
)
from medvision.domain.evaluation.subgroups import SubgroupFigure, Variables, compute_subgroups
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.calibration import CalibrationBin, calibrate_arm
from medvision.domain.metrics.decision import DecisionPoint, compute_decision_curves
from medvision.domain.metrics.operating import (
    FoldThreshold,
    choose_rule,
    describe_operating,
    fit_thresholds,
    predict_classes,
)
from medvision.domain.metrics.roc import Curve, trace_arm
from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.metrics.threshold import OperatingRule
from medvision.domain.prediction import (
    Predictions,
    Round,
    build_predictions,
    check_comparable,
    describe_rounds,
    number_clusters,
)
from medvision.domain.resampling.draws import Drawn
from medvision.domain.resampling.settings import Settings, check_settings
from medvision.domain.resampling.spread import SeedSpread, compute_spreads


@dataclass(frozen=True)
class ConfusionCell:
    """Test images of one class predicted as another; with several rounds the mean count."""

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
    n_repeats: int
    n_inner: int
    seeds: tuple[int, ...]
    estimates: tuple[Estimate, ...]
    differences: tuple[Difference, ...]
    spreads: tuple[SeedSpread, ...]
    curves: Mapping[str, Curve]
    calibration: Mapping[str, tuple[CalibrationBin, ...]]
    confusion: tuple[ConfusionCell, ...]
    thresholds: tuple[FoldThreshold, ...]
    subgroups: tuple[SubgroupFigure, ...]
    tests: tuple[PairTest, ...]
    decision: tuple[DecisionPoint, ...]
    scaling: tuple[ScalingEffect, ...]
    calibration_before: Mapping[str, tuple[CalibrationBin, ...]]
    drawn: Drawn
    abstention: Abstention


def evaluate_predictions(
    rows: Sequence[Mapping[str, str]],
    groups: Mapping[str, str],
    *,
    classes: Classes,
    settings: Settings,
    variables: Variables,
    temperatures: Temperatures = NO_TEMPERATURES,
) -> Evaluation:
    """Evaluate every arm on its test images.

    Thresholds come from the validation predictions of the same arm, fold and seed; nothing
    else of the validation images enters a figure.

    Args:
        rows: Rows of `predict/predictions.tsv`.
        groups: image_id to the group of subjects that is resampled as one.
        classes: Class names in order, and the positive one of two.
        settings: Settings of the statistics.
        variables: image_id to the cohort's columns, for subgroups.
        temperatures: What the logits of each network were divided by; none where nothing was.

    Returns:
        Estimates with intervals, differences, curves and counts.

    Raises:
        DataError: Predictions are missing, not numbers, or not of the same images.
        ConfigError: A prevalence does not fit the classes; an operating point is set, and there are
            more than two; or a subgroup's column is none.
    """
    check_settings(settings, classes=classes)
    test = build_test(rows, groups, classes=classes, rule=choose_rule(settings))
    return evaluate_test(test, settings, variables=variables, temperatures=temperatures)


@dataclass(frozen=True)
class HeldOut:
    """The arms' test predictions, with what was fixed on validation.

    Args:
        classes: Class names in order, and the positive one of two.
        arms: Arm to its predictions, transfer first.
        thresholds: Of every model.
        places: The rounds that there are.
    """

    classes: Classes
    arms: Mapping[str, ArmTest]
    thresholds: tuple[FoldThreshold, ...]
    places: tuple[Round, ...]


def build_test(
    rows: Sequence[Mapping[str, str]],
    groups: Mapping[str, str],
    *,
    classes: Classes,
    rule: OperatingRule,
) -> HeldOut:
    """Read predictions, fix the thresholds on validation, and predict the test images' classes.

    Args:
        rows: Rows of `predict/predictions.tsv`.
        groups: image_id to the group of subjects that is resampled as one.
        classes: Class names in order, and the positive one of two.
        rule: What thresholds are fitted for.

    Raises:
        DataError: Predictions are missing, not numbers, or not of the same images.
    """
    predictions = build_predictions(rows, classes.names)
    thresholds = fit_thresholds(predictions, classes, rule=rule)
    arms = _build_arms(predictions, groups, classes=classes, thresholds=thresholds)
    places = tuple(sorted({place for _, place, _ in predictions}))
    return HeldOut(classes, arms, thresholds, places)


def evaluate_test(
    test: HeldOut, settings: Settings, *, variables: Variables, temperatures: Temperatures
) -> Evaluation:
    """Compute all statistics of the arms.

    Args:
        test: Their test predictions.
        settings: Settings of the statistics.
        variables: image_id to the cohort's columns, for subgroups.
        temperatures: What the logits of each network were divided by; none where nothing was.
    """
    classes = test.classes
    arms = set_arms(test.arms, settings)
    resampled = resample(arms, settings)
    before = undo_temperatures(arms, temperatures)
    first = next(iter(arms.values()))
    return Evaluation(
        classes=classes,
        n_images=len(first.labels),
        n_subjects=count_subjects(first),
        n_clusters=len(np.unique(first.clusters)),
        n_by_class={name: int(first.is_class(i).sum()) for i, name in enumerate(classes.names)},
        n_folds=len(np.unique(first.folds)),
        n_repeats=len({place.repeat for place in test.places}),
        n_inner=len({place.inner for place in test.places}),
        seeds=tuple(sorted({place.seed for place in test.places} - {ALL_SEEDS})),
        estimates=tuple(build_estimates(resampled)),
        differences=tuple(build_differences(resampled)),
        spreads=compute_spreads(arms),
        curves={name: trace_arm(arm) for name, arm in arms.items()},
        calibration=_calibrate(arms, settings),
        confusion=tuple(cell for name, arm in arms.items() for cell in _count(name, arm)),
        thresholds=test.thresholds,
        subgroups=compute_subgroups(arms, variables, settings=settings),
        tests=compare_pairs(arms),
        decision=compute_decision_curves(arms, settings=settings),
        scaling=compute_effects(
            resampled.drawn,
            after=arms,
            before=before,
            temperatures=temperatures,
            settings=settings,
        ),
        calibration_before=_calibrate(before, settings),
        drawn=resampled.drawn,
        abstention=compute_abstention(arms, test.thresholds, settings=settings),
    )


def _calibrate(
    arms: Mapping[str, ArmTest], settings: Settings
) -> dict[str, tuple[CalibrationBin, ...]]:
    """Return each arm's calibration curve."""
    return {name: calibrate_arm(arm, confidence=settings.confidence) for name, arm in arms.items()}


def _build_arms(
    predictions: Mapping[tuple[str, Round, str], Predictions],
    groups: Mapping[str, str],
    *,
    classes: Classes,
    thresholds: Sequence[FoldThreshold],
) -> dict[str, ArmTest]:
    """Gather each arm's test predictions, transfer first."""
    held: dict[str, list[tuple[Round, Predictions]]] = {}
    for (arm, place, split), each in predictions.items():
        if split == "test":
            held.setdefault(arm, []).append((place, each))
    check_comparable(held)
    return {
        arm: _build_arm(arm, held[arm], groups=groups, classes=classes, thresholds=thresholds)
        for arm in sorted(held, key=rank_arm)
    }


def _build_arm(
    arm: str,
    rounds: Sequence[tuple[Round, Predictions]],
    *,
    groups: Mapping[str, str],
    classes: Classes,
    thresholds: Sequence[FoldThreshold],
) -> ArmTest:
    """Predict classes at the thresholds, and number the clusters."""
    first = rounds[0][1]
    own = [item for item in thresholds if item.arm == arm]
    values = {(item.fold, item.seed): item.threshold.value for item in own}
    positive = None if classes.positive is None else classes.names.index(classes.positive)
    predicted = [
        predict_classes(
            each,
            positive,
            limits=[values.get((fold, place.seed)) for fold in each.trainings.tolist()],
        )
        for place, each in rounds
    ]
    return ArmTest(
        rounds=tuple(each for _, each in rounds),
        predicted=tuple(predicted),
        classes=classes.names,
        positive=positive,
        clusters=number_clusters(first.image_ids, first.subjects, groups=groups),
        operating=describe_operating([item.threshold for item in own]),
        counted=describe_rounds([place for place, _ in rounds]),
        seeds=tuple(place.seed for place, _ in rounds),
    )


def _count(name: str, arm: ArmTest) -> list[ConfusionCell]:
    """Count test images by true and predicted class."""
    return [
        ConfusionCell(name, label, predicted, float(arm.hit_rates(column)[arm.is_class(row)].sum()))
        for row, label in enumerate(arm.classes)
        for column, predicted in enumerate(arm.classes)
    ]
