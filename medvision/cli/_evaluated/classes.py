"""An evaluation of classes as tables and as JSON, with the sentences that a summary quotes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import cast

from medvision.cli._evaluated.abstention import Table, list_abstention, say_orders
from medvision.domain.arms import write_seed
from medvision.domain.evaluation.abstention import AbstentionFigure, RiskPoint
from medvision.domain.evaluation.classes import Evaluation
from medvision.domain.evaluation.estimate import Difference, Estimate
from medvision.domain.evaluation.pair_tests import PairTest
from medvision.domain.evaluation.rescaling import ScalingEffect
from medvision.domain.evaluation.subgroups import SubgroupFigure
from medvision.domain.metrics.calibration import CalibrationBin
from medvision.domain.metrics.decision import DecisionPoint
from medvision.domain.record import JsonValue
from medvision.domain.resampling.spread import SeedSpread
from medvision.io.tables import Cell

METRICS_COLUMNS = (
    *("arm", "metric", "value", "low", "high", "n_images", "n_subjects", "n_positive", "method"),
)
ROC_COLUMNS = ("arm", "fpr", "tpr")
CALIBRATION_COLUMNS = ("arm", "predicted", "observed", "low", "high", "n", "n_subjects")
CONFUSION_COLUMNS = ("arm", "label", "predicted", "n")
THRESHOLDS_COLUMNS = ("arm", "fold", "seed", "threshold", "rule")
SEEDS_COLUMNS = ("arm", "metric", "n_seeds", "mean", "sd")
SUBGROUPS_COLUMNS = (
    *("arm", "variable", "subgroup", "metric", "value", "low", "high", "gap", "gap_low"),
    *("gap_high", "n_images", "n_subjects", "n_positive", "warning", "method"),
)
DECISION_COLUMNS = (
    *("arm", "threshold", "net_benefit", "low", "high", "treat_all", "n_images", "n_subjects"),
    "method",
)
TESTS_COLUMNS = (
    *("kind", "arm_a", "arm_b", "statistic", "n_unequal", "p", "p_holm", "n_subjects", "method"),
)
SCALING_COLUMNS = (
    *("arm", "metric", "before", "before_low", "before_high", "after", "after_low", "after_high"),
    *("change", "change_low", "change_high"),
    *("distance_change", "distance_low", "distance_high"),
    *("n_images", "n_subjects", "n_scaled", "n_networks", "method"),
)
COMPARISON_COLUMNS = (
    *("metric", "arm_a", "arm_b", "difference", "low", "high", "n_subjects", "method"),
)


def list_tables(result: Evaluation) -> dict[str, Table]:
    """Return one table per kind of result, by name.

    Args:
        result: The evaluation.
    """
    return {
        "metrics": ([asdict(item) for item in result.estimates], METRICS_COLUMNS),
        "roc": (_list_points(result), ROC_COLUMNS),
        "calibration": (_list_bins(result.calibration), CALIBRATION_COLUMNS),
        "calibration_before": (_list_bins(result.calibration_before), CALIBRATION_COLUMNS),
        "scaling": ([asdict(item) for item in result.scaling], SCALING_COLUMNS),
        "confusion": ([asdict(item) for item in result.confusion], CONFUSION_COLUMNS),
        "thresholds": (_list_thresholds(result), THRESHOLDS_COLUMNS),
        "comparison": ([asdict(item) for item in result.differences], COMPARISON_COLUMNS),
        "seeds": list_spreads(result.spreads),
        "subgroups": ([asdict(item) for item in result.subgroups], SUBGROUPS_COLUMNS),
        "tests": ([asdict(item) for item in result.tests], TESTS_COLUMNS),
        "decision": ([asdict(item) for item in result.decision], DECISION_COLUMNS),
        **list_abstention(result.abstention),
    }


def _list_points(result: Evaluation) -> list[dict[str, Cell]]:
    """List the points of each arm's ROC curve."""
    return [
        {"arm": arm, "fpr": fpr, "tpr": tpr}
        for arm, curve in result.curves.items()
        for fpr, tpr in curve.tolist()
    ]


def _list_bins(curves: Mapping[str, Sequence[CalibrationBin]]) -> list[dict[str, Cell]]:
    """List the bins of each arm's calibration curve."""
    return [{"arm": arm, **asdict(each)} for arm, bins in curves.items() for each in bins]


def _list_thresholds(result: Evaluation) -> list[dict[str, Cell]]:
    """List each model's threshold."""
    return [
        {
            "arm": item.arm,
            "fold": item.fold,
            "seed": write_seed(item.seed),
            "threshold": item.threshold.value,
            "rule": item.threshold.rule,
        }
        for item in result.thresholds
    ]


def list_spreads(spreads: Sequence[SeedSpread]) -> Table:
    """List what each seed gives, with mean and standard deviation.

    Args:
        spreads: Of every arm and statistic, all of the same seeds.
    """
    rows: list[dict[str, Cell]] = [
        {
            "arm": item.arm,
            "metric": item.metric,
            "n_seeds": item.n_seeds,
            "mean": item.mean,
            "sd": item.sd,
            **{f"seed_{seed}": _clear(value) for seed, value in item.values.items()},
        }
        for item in spreads
    ]
    seeds = dict.fromkeys(seed for item in spreads for seed in item.values)
    return rows, (*SEEDS_COLUMNS, *(f"seed_{seed}" for seed in seeds))


def _clear(value: float) -> float | None:
    """Return a value, or none where it is undefined."""
    return None if math.isnan(value) else value


def describe_evaluation(
    result: Evaluation, *, confidence: float, n_resamples: int
) -> dict[str, JsonValue]:
    """Gather everything, nested, with the sentences that a summary can quote.

    Args:
        result: The evaluation.
        confidence: Level of the intervals.
        n_resamples: Number of bootstrap resamples.

    Returns:
        The content of `evaluate/metrics.json`, which an audit computes again.
    """
    return {
        "classes": list(result.classes.names),
        "positive": result.classes.positive,
        "n_images": result.n_images,
        "n_subjects": result.n_subjects,
        "n_clusters": result.n_clusters,
        "n_images_by_class": dict(result.n_by_class),
        "n_folds": result.n_folds,
        "n_repeats": result.n_repeats,
        "n_inner": result.n_inner,
        "seeds": list(result.seeds),
        "confidence": confidence,
        "n_resamples": n_resamples,
        "arms": {arm: _describe_arm(result, arm) for arm in result.curves},
        **_describe_rows(result),
        "sentences": cast(JsonValue, build_sentences(result, confidence=confidence)),
    }


def _describe_arm(result: Evaluation, arm: str) -> JsonValue:
    """Return one arm's figures, curves and counts."""
    own = [item for item in result.estimates if item.arm == arm]
    before = result.calibration_before.get(arm, ())
    seeds = [row for row in list_spreads(result.spreads)[0] if row["arm"] == arm]
    return {
        "metrics": {item.metric: cast(JsonValue, asdict(item)) for item in own},
        "roc": cast(JsonValue, result.curves[arm].tolist()),
        "calibration": [cast(JsonValue, asdict(each)) for each in result.calibration[arm]],
        "calibration_before": [cast(JsonValue, asdict(each)) for each in before],
        "confusion": [
            cast(JsonValue, asdict(each)) for each in result.confusion if each.arm == arm
        ],
        "thresholds": [
            cast(JsonValue, row) for row in _list_thresholds(result) if row["arm"] == arm
        ],
        "seeds": [cast(JsonValue, row) for row in seeds],
    }


_Described = (
    Difference
    | SubgroupFigure
    | PairTest
    | DecisionPoint
    | ScalingEffect
    | AbstentionFigure
    | RiskPoint
)


def _describe_rows(result: Evaluation) -> dict[str, JsonValue]:
    """Return what is one row after another."""
    held: dict[str, Sequence[_Described]] = {
        "comparison": result.differences,
        "subgroups": result.subgroups,
        "tests": result.tests,
        "decision": result.decision,
        "scaling": result.scaling,
        "abstention": result.abstention.figures,
        "risk_coverage": result.abstention.curve,
    }
    return {name: [cast(JsonValue, asdict(row)) for row in rows] for name, rows in held.items()}


def build_sentences(result: Evaluation, *, confidence: float) -> list[str]:
    """Say the main figures in words, each with its interval and counts.

    Args:
        result: The evaluation.
        confidence: Level of the intervals.

    Returns:
        Sentences per arm (its figure, its spread over seeds) and one per comparison of the main
        figure, the AUC.
    """
    level = f"{confidence:.0%} interval"
    main = [item for item in result.estimates if item.metric in ("auc", "auc_macro")]
    differences = [item for item in result.differences if item.metric in ("auc", "auc_macro")]
    spreads = [item for item in result.spreads if item.metric in ("auc", "auc_macro")]
    return [
        *(say_estimate(item, "AUC", level=level) for item in main),
        *(say_spread(item, "AUC") for item in spreads if item.mean is not None),
        *(say_difference(item, "AUC", level=level) for item in differences),
        *say_orders(result.abstention.figures, level=level),
    ]


def say_estimate(item: Estimate, name: str, *, level: str) -> str:
    """Say one arm's figure, with its interval and counts.

    Args:
        item: The figure.
        name: What it is called.
        level: The interval in words, such as `95% interval`.
    """
    if item.value is None:
        return f"{item.arm}: {name} {item.reason}."
    positive = "" if item.n_positive is None else f", {item.n_positive} of them positive"
    interval = f"no {level}"
    if item.low is not None and item.high is not None:
        interval = f"{level} {item.low:.3f} to {item.high:.3f}"
    return (
        f"{item.arm}: {name} {item.value:.3f} ({interval}) on "
        f"{item.n_images} held-out images of {item.n_subjects} subjects{positive}."
    )


def say_spread(item: SeedSpread, name: str) -> str:
    """Say how one arm's figure moves from seed to seed.

    Args:
        item: Its spread, with a mean.
        name: What the figure is called.
    """
    if item.sd is None:
        moves = f"how the {name} moves from training to training is not known"
        return f"{item.arm}: one seed, so {moves}."
    seeds = f"(mean ± sd over {item.n_seeds} seeds)"
    return f"{item.arm}: {name} {item.mean:.3f} ± {item.sd:.3f} {seeds}."


def say_difference(item: Difference, name: str, *, level: str) -> str:
    """Say how two arms' figures differ.

    Args:
        item: The difference.
        name: What the figure is called.
        level: The interval in words.
    """
    pair = f"{item.arm_a} minus {item.arm_b}"
    if item.difference is None or item.low is None:
        return f"{pair}: no interval of the difference in {name} ({item.method})."
    return (
        f"{pair}: difference in {name} {item.difference:+.3f} ({level} {item.low:+.3f} to "
        f"{item.high:+.3f}), paired on the same {item.n_subjects} subjects."
    )
