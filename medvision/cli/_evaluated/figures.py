"""An evaluation of any task on one cohort: its facts, its tables, and what they were made of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast

from medvision.cli._evaluated.abstention import Table
from medvision.cli._evaluated.classes import (
    COMPARISON_COLUMNS,
    METRICS_COLUMNS,
    describe_evaluation,
    list_spreads,
    list_tables,
    say_difference,
    say_estimate,
    say_spread,
)
from medvision.domain.arms import ALL_SEEDS
from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.evaluation.external import Figures
from medvision.domain.evaluation.multilabel import FindingsEvaluation, evaluate_findings
from medvision.domain.evaluation.regression import ValueEvaluation, evaluate_values
from medvision.domain.evaluation.rescaling import read_temperatures
from medvision.domain.evaluation.subgroups import Variables
from medvision.domain.labels.rows import Classes
from medvision.domain.record import JsonValue
from medvision.domain.resampling.settings import Settings
from medvision.io.tables import Cell

ERROR_COLUMNS = ("arm", "image_id", "subject", "value", "predicted", "error")
_OF_FINDING = (
    *("roc", "calibration", "confusion", "thresholds", "subgroups", "tests", "decision"),
    *("scaling", "calibration_before"),
    *("abstention", "risk_coverage", "uncertainty"),
)


@dataclass(frozen=True)
class Known:
    """What is known of the predicted images, and of the networks, besides the predictions.

    Args:
        groups: image_id to the group of subjects that is resampled as one.
        classes: Classes, findings, or the value's name.
        variables: image_id to the cohort's columns, for subgroups.
        temperatures: Rows of `predict/temperatures.tsv`; none where none were fitted.
    """

    groups: Mapping[str, str]
    classes: Classes
    variables: Variables
    temperatures: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True)
class Evaluated:
    """The content of metrics.json, the tables beside it by name, and the figures behind them."""

    facts: dict[str, JsonValue]
    tables: Mapping[str, Table]
    figures: tuple[Figures, ...]


def evaluate_cohort(
    rows: Sequence[Mapping[str, str]], known: Known, *, settings: Settings
) -> Evaluated:
    """Evaluate the predictions of one cohort's test set by the study's task.

    Args:
        rows: Rows of `predict/predictions.tsv`.
        known: Of their images.
        settings: Settings of the statistics.

    Raises:
        DataError: Predictions are missing, not numbers, or not of the same images.
        ConfigError: A setting does not fit the task.
    """
    drawn = (settings.confidence, settings.n_resamples)
    classes, scales = known.classes, read_temperatures(known.temperatures)
    if classes.task == "multilabel":
        found = evaluate_findings(
            rows,
            known.groups,
            classes=classes,
            settings=settings,
            variables=known.variables,
            temperatures=scales,
        )
        return _join_findings(found, *drawn)
    if classes.task == "regression":
        values = evaluate_values(rows, known.groups, classes=classes, settings=settings)
        return _join_values(values, *drawn)
    result = evaluate_predictions(
        rows,
        known.groups,
        classes=classes,
        settings=settings,
        variables=known.variables,
        temperatures=scales.get("", {}),
    )
    facts = describe_evaluation(
        result, confidence=settings.confidence, n_resamples=settings.n_resamples
    )
    return Evaluated(facts, list_tables(result), (Figures("", result.estimates, result.drawn),))


def _join_findings(result: FindingsEvaluation, confidence: float, n_resamples: int) -> Evaluated:
    """Join what is known of each finding, the finding named in every row."""
    each = {name: list_tables(held) for name, held in result.findings.items()}
    tables: dict[str, Table] = {
        kind: (
            [{**row, "finding": name} for name, held in each.items() for row in held[kind][0]],
            (*next(iter(each.values()))[kind][1], "finding"),
        )
        for kind in _OF_FINDING
    }
    first = next(iter(result.findings.values()))
    facts: dict[str, JsonValue] = {
        "task": "multilabel",
        "classes": list(result.classes.names),
        "n_unknown": dict(result.n_unknown),
        "n_folds": first.n_folds,
        "n_repeats": first.n_repeats,
        "n_inner": first.n_inner,
        "seeds": list(first.seeds),
        **_describe_whole(result, confidence, n_resamples),
        "findings": {
            name: describe_evaluation(held, confidence=confidence, n_resamples=n_resamples)
            for name, held in result.findings.items()
        },
        "sentences": _build_sentences(
            result,
            names={"auc_macro": "mean AUC over the findings"},
            confidence=confidence,
        ),
    }
    macros = [item for item in result.estimates if item.metric in result.drawn.arms[item.arm]]
    figures = (
        Figures("", macros, result.drawn),
        *(Figures(name, held.estimates, held.drawn) for name, held in result.findings.items()),
    )
    return Evaluated(facts, _list_estimates(result) | tables, figures)


def _join_values(result: ValueEvaluation, confidence: float, n_resamples: int) -> Evaluated:
    """Return the statistics of a value, and each test image's error."""
    name = result.classes.names[0]
    facts: dict[str, JsonValue] = {
        "task": "regression",
        "value": name,
        "n_folds": result.n_folds,
        "n_repeats": len({place.repeat for place in result.places}),
        "n_inner": len({place.inner for place in result.places}),
        "seeds": [*sorted({place.seed for place in result.places} - {ALL_SEEDS})],
        **_describe_whole(result, confidence, n_resamples),
        "sentences": _build_sentences(
            result,
            names={"mae": f"mean absolute error of {name}", "r2": "R²"},
            confidence=confidence,
        ),
    }
    return Evaluated(
        facts,
        _list_estimates(result) | {"errors": (_list_errors(result), ERROR_COLUMNS)},
        (Figures("", result.estimates, result.drawn),),
    )


def _list_errors(result: ValueEvaluation) -> list[Mapping[str, Cell]]:
    """Return each test image's value, what was predicted, and how far it is off."""
    images = list(zip(result.image_ids, result.subjects, strict=True))
    return [
        {
            "arm": arm,
            "image_id": image_id,
            "subject": subject,
            "value": true,
            "predicted": predicted,
            "error": predicted - true,
        }
        for arm, points in result.points.items()
        for (image_id, subject), (true, predicted) in zip(images, points.tolist(), strict=True)
    ]


def _describe_whole(
    result: FindingsEvaluation | ValueEvaluation, confidence: float, n_resamples: int
) -> dict[str, JsonValue]:
    """Return what metrics.json holds of every task but one: counts, settings, arms and gaps."""
    return {
        "n_images": result.counts.n_images,
        "n_subjects": result.counts.n_subjects,
        "n_clusters": result.counts.n_clusters,
        "confidence": confidence,
        "n_resamples": n_resamples,
        "arms": _describe_arms(result),
        "comparison": [cast(JsonValue, asdict(item)) for item in result.differences],
    }


def _list_estimates(result: FindingsEvaluation | ValueEvaluation) -> dict[str, Table]:
    """Return the tables that every task has."""
    return {
        "metrics": ([asdict(item) for item in result.estimates], METRICS_COLUMNS),
        "comparison": ([asdict(item) for item in result.differences], COMPARISON_COLUMNS),
        "seeds": list_spreads(result.spreads),
    }


def _describe_arms(result: FindingsEvaluation | ValueEvaluation) -> dict[str, JsonValue]:
    """Return each arm's figures by name, and seed by seed."""
    arms = dict.fromkeys(item.arm for item in result.estimates)
    return {
        arm: {
            "metrics": {
                item.metric: cast(JsonValue, asdict(item))
                for item in result.estimates
                if item.arm == arm
            },
            "seeds": [
                cast(JsonValue, row) for row in list_spreads(result.spreads)[0] if row["arm"] == arm
            ],
        }
        for arm in arms
    }


def _build_sentences(
    result: FindingsEvaluation | ValueEvaluation, *, names: Mapping[str, str], confidence: float
) -> list[JsonValue]:
    """Say the main figures in words, each with its interval and counts."""
    level, main = f"{confidence:.0%} interval", next(iter(names))
    told = [item for item in result.estimates if item.metric in names]
    spreads = [item for item in result.spreads if item.metric == main and item.mean is not None]
    compared = [item for item in result.differences if item.metric == main]
    return [
        *(say_estimate(item, names[item.metric], level=level) for item in told),
        *(say_spread(item, names[main]) for item in spreads),
        *(say_difference(item, names[main], level=level) for item in compared),
    ]
