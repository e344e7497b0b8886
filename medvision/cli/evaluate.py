"""`medvision evaluate`: statistics with intervals on held-out subjects."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import cast

from medvision.cli._cohort_summary import read_classes
from medvision.cli._run import Step, open_step, study_command
from medvision.config.model import Study
from medvision.domain.arms import write_seed
from medvision.domain.estimate import Difference, Estimate
from medvision.domain.evaluation import Evaluation, evaluate_predictions
from medvision.domain.record import JsonValue
from medvision.domain.spread import SeedSpread
from medvision.io.tables import Cell, read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

METRICS_COLUMNS = (
    *("arm", "metric", "value", "low", "high", "n_images", "n_subjects", "n_positive", "method"),
)
ROC_COLUMNS = ("arm", "fpr", "tpr")
CALIBRATION_COLUMNS = ("arm", "predicted", "observed", "low", "high", "n", "n_subjects")
CONFUSION_COLUMNS = ("arm", "label", "predicted", "n")
THRESHOLDS_COLUMNS = ("arm", "fold", "seed", "threshold", "rule")
SEEDS_COLUMNS = ("arm", "metric", "n_seeds", "mean", "sd")
COMPARISON_COLUMNS = (
    *("metric", "arm_a", "arm_b", "difference", "low", "high", "n_subjects", "method"),
)


@study_command(
    "evaluate",
    help="Compute statistics with intervals on held-out subjects, thresholds fixed on validation.",
    example="medvision evaluate --config config/config.yaml --set evaluate.n_resamples=5000",
)
def command(study: Study, layout: Layout) -> None:
    """Evaluate every arm and compare them."""
    with open_step("evaluate", study, upstream=("cohort", "predict")) as step:
        step.seed = study.evaluate.seed
        groups = {row["image_id"]: row["group"] for row in read_table(step.read(layout.cohort))}
        result = evaluate_predictions(
            read_table(step.read(layout.predictions)),
            groups,
            classes=read_classes(step.read(layout.cohort_summary)),
            **dict(study.evaluate),
        )
        _write_tables(step, result)
        facts = describe_evaluation(
            result,
            confidence=study.evaluate.confidence,
            n_resamples=study.evaluate.n_resamples,
        )
        write_json(step.write(layout.metrics), facts)
        step.facts["sentences"] = facts["sentences"]


def _write_tables(step: Step, result: Evaluation) -> None:
    """Write one table per kind of result."""
    tables: dict[str, tuple[Sequence[Mapping[str, Cell]], tuple[str, ...]]] = {
        "metrics": ([asdict(item) for item in result.estimates], METRICS_COLUMNS),
        "roc": (_list_points(result), ROC_COLUMNS),
        "calibration": (_list_bins(result), CALIBRATION_COLUMNS),
        "confusion": ([asdict(item) for item in result.confusion], CONFUSION_COLUMNS),
        "thresholds": (_list_thresholds(result), THRESHOLDS_COLUMNS),
        "comparison": ([asdict(item) for item in result.differences], COMPARISON_COLUMNS),
    }
    tables["seeds"] = (_list_spreads(result), (*SEEDS_COLUMNS, *_name_seeds(result)))
    for name, (rows, columns) in tables.items():
        write_table(step.write(step.layout.table("evaluate", name)), rows, columns=columns)


def _list_points(result: Evaluation) -> list[dict[str, Cell]]:
    """List the points of each arm's ROC curve."""
    return [
        {"arm": arm, "fpr": fpr, "tpr": tpr}
        for arm, curve in result.curves.items()
        for fpr, tpr in curve.tolist()
    ]


def _list_bins(result: Evaluation) -> list[dict[str, Cell]]:
    """List the bins of each arm's calibration curve."""
    return [
        {"arm": arm, **asdict(each)} for arm, bins in result.calibration.items() for each in bins
    ]


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


def _name_seeds(result: Evaluation) -> list[str]:
    """Return a column per seed."""
    return [f"seed_{seed}" for seed in result.seeds]


def _list_spreads(result: Evaluation) -> list[dict[str, Cell]]:
    """List what each seed gives, with mean and standard deviation."""
    return [
        {
            "arm": item.arm,
            "metric": item.metric,
            "n_seeds": item.n_seeds,
            "mean": item.mean,
            "sd": item.sd,
            **{f"seed_{seed}": _clear(value) for seed, value in item.values.items()},
        }
        for item in result.spreads
    ]


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
    arms: dict[str, JsonValue] = {
        arm: {
            "metrics": {
                item.metric: cast(JsonValue, asdict(item))
                for item in result.estimates
                if item.arm == arm
            },
            "roc": cast(JsonValue, result.curves[arm].tolist()),
            "calibration": [cast(JsonValue, asdict(each)) for each in result.calibration[arm]],
            "confusion": [
                cast(JsonValue, asdict(each)) for each in result.confusion if each.arm == arm
            ],
            "thresholds": [
                cast(JsonValue, row) for row in _list_thresholds(result) if row["arm"] == arm
            ],
            "seeds": [cast(JsonValue, row) for row in _list_spreads(result) if row["arm"] == arm],
        }
        for arm in result.curves
    }
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
        "arms": arms,
        "comparison": [cast(JsonValue, asdict(item)) for item in result.differences],
        "sentences": cast(JsonValue, build_sentences(result, confidence=confidence)),
    }


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
        *(_say_estimate(item, level=level) for item in main),
        *(_say_spread(item) for item in spreads if item.mean is not None),
        *(_say_difference(item, level=level) for item in differences),
    ]


def _say_estimate(item: Estimate, *, level: str) -> str:
    """Say one arm's AUC."""
    if item.value is None:
        return f"{item.arm}: AUC {item.reason}."
    positive = "" if item.n_positive is None else f", {item.n_positive} of them positive"
    return (
        f"{item.arm}: AUC {item.value:.3f} ({level} {item.low:.3f} to {item.high:.3f}) on "
        f"{item.n_images} held-out images of {item.n_subjects} subjects{positive}."
    )


def _say_spread(item: SeedSpread) -> str:
    """Say how one arm's AUC moves from seed to seed."""
    if item.sd is None:
        return f"{item.arm}: one seed, so how the AUC moves from training to training is not known."
    return f"{item.arm}: AUC {item.mean:.3f} ± {item.sd:.3f} (mean ± sd over {item.n_seeds} seeds)."


def _say_difference(item: Difference, *, level: str) -> str:
    """Say how two arms' AUCs differ."""
    pair = f"{item.arm_a} minus {item.arm_b}"
    if item.difference is None or item.low is None:
        return f"{pair}: no interval of the difference in AUC ({item.method})."
    return (
        f"{pair}: difference in AUC {item.difference:+.3f} ({level} {item.low:+.3f} to "
        f"{item.high:+.3f}), paired on the same {item.n_subjects} subjects."
    )
