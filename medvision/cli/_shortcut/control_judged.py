"""The controls of the shortcut audit, judged from their predictions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from medvision.cli._shortcut.control_text import (
    say_gap,
    say_nothing_to_compare,
    say_permuted,
    say_together,
)
from medvision.domain.arms import is_ensemble, rank_arm
from medvision.domain.labels.rows import Classes
from medvision.domain.prediction import compute_scores, read_columns
from medvision.domain.record import JsonValue
from medvision.domain.resampling.settings import Settings
from medvision.domain.shortcut.answers import Answer
from medvision.domain.shortcut.arms import (
    build_class_arm,
    build_finding_arm,
    build_value_rounds,
)
from medvision.domain.shortcut.judge import (
    Judgement,
    Question,
    ValueMetric,
    ask_classes,
    ask_values,
    judge_probes,
)
from medvision.domain.shortcut.leaks import Gap, compare_splits, pool_p
from medvision.domain.split import build_assignments
from medvision.io.tables import Cell, Row, read_table
from medvision.runtime.files import read_json

CONTROL_COLUMNS = (
    *("control", "target", "metric", "value", "low", "high", "n_images", "n_subjects"),
    *("n_siblings", "study", "difference", "difference_low", "difference_high", "p_holm"),
    *("verdict", "words", "method"),
)

Read = Callable[[str], Path]
"""Path below the output folder -> where that file lies."""

_VERDICTS = {
    "found": "above-chance",
    "hint": "hint",
    "none": "chance",
    "undefined": "undefined",
}
_WARNED = frozenset({"above-chance", "above-together", "differs"})


@dataclass(frozen=True)
class Judged:
    """What every control is judged by.

    Args:
        classes: Classes, findings, or the value's name.
        groups: image_id to the group of subjects that is resampled as one.
        settings: Settings of the statistics.
        predictions: The study's own, rows of `predict/predictions.tsv`.
    """

    classes: Classes
    groups: Mapping[str, str]
    settings: Settings
    predictions: Sequence[Row]


def judge_controls(
    read: Read, steps: Sequence[str], *, of: Judged
) -> tuple[list[dict[str, Cell]], list[str]]:
    """Judge every control.

    Args:
        read: Tells where a file below the output folder lies.
        steps: The steps that trained them.
        of: What they are judged by.

    Returns:
        Rows of `shortcuts/controls.tsv`; the sentences that warn.

    Raises:
        DataError: A file is missing or cannot be read.
    """
    rows: list[dict[str, Cell]] = []
    for step in steps:
        name = step.split("/")[1]
        predictions = read_table(read(f"{step}/predictions.tsv"))
        summary = cast(dict[str, JsonValue], read_json(read(f"{step}/summary.json")))
        if name == "permuted":
            dealt = read_table(read(f"{step}/dealt.tsv"), required=("image_id", "unit"))
            # What was dealt as one must be drawn as one: copies have one label between them.
            units = {row["image_id"]: row["unit"] for row in dealt}
            rows += _judge_permuted(predictions, summary, of=replace(of, groups=units))
        else:
            rows += _judge_image_level(predictions, summary, of=of)
    complete = [{column: row.get(column) for column in CONTROL_COLUMNS} for row in rows]
    return complete, [str(row["words"]) for row in rows if _is_warned(row)]


def _is_warned(row: Mapping[str, Cell]) -> bool:
    """Tell whether a row warns: a hint does where it was the only look."""
    return row["verdict"] in _WARNED or (row["verdict"] == "hint" and not row["target"])


def read_answers(rows: Sequence[Row], classes: Classes, *, name: str) -> list[Answer]:
    """Read a network's predictions of test images as answers, all of one training.

    Args:
        rows: In the form of `predict/predictions.tsv`.
        classes: Classes, findings, or the value's name.
        name: Name of what answered.

    Raises:
        DataError: A value is no finite number.
    """
    tested = [row for row in rows if row["split"] == "test"]
    if not tested:
        return []
    is_value = classes.task == "regression"
    columns = ["predicted"] if is_value else [f"logit_{each}" for each in classes.names]
    outputs = read_columns(tested, columns)
    scores = compute_scores(outputs) if classes.task == "classification" else outputs
    places = [replace(place, repeat=0, inner=0) for place in build_assignments(tested)]
    return [
        Answer(name, place, tuple(held))
        for place, held in zip(places, scores.tolist(), strict=True)
    ]


def _ask(
    answers: Sequence[Answer], of: Judged, *, settings: Settings, metric: ValueMetric
) -> list[Question]:
    """Put every question to one network; the metric is that of a value."""
    name = answers[0].probe
    if of.classes.task == "regression":
        arms = {name: build_value_rounds(answers)}
        return [ask_values(arms, groups=of.groups, metric=metric, settings=settings)]
    if of.classes.task == "multilabel":
        findings = {
            each: build_finding_arm(answers, of.groups, classes=of.classes, name=each)
            for each in of.classes.names
        }
        return [
            ask_classes({name: arm}, target=each, settings=settings)
            for each, arm in findings.items()
        ]
    arm = build_class_arm(answers, of.groups, classes=of.classes)
    return [ask_classes({name: arm}, target="", settings=settings)]


def _judge_permuted(
    rows: Sequence[Row], summary: Mapping[str, JsonValue], *, of: Judged
) -> list[dict[str, Cell]]:
    """Say whether permuted labels could be told of test images."""
    answers = read_answers(rows, of.classes, name="permuted")
    questions = _ask(answers, of, settings=of.settings, metric="pearson_r")
    judged = judge_probes(questions, confidence=of.settings.confidence)
    told = [_describe_permuted(item, summary, of=of) for item in judged]
    if len(told) == 1 or any(row["verdict"] == "above-chance" for row in told):
        return told
    p = pool_p(questions, "permuted", n_images=len(answers))
    if p is None or p >= 1 - of.settings.confidence:
        return told
    return [*told, _judge_together(told, p)]


def _judge_together(told: Sequence[Mapping[str, Cell]], p: float) -> dict[str, Cell]:
    """Return the row on all findings, which lie above chance together."""
    values = [float(row["value"]) for row in told if row["value"] is not None]
    row: dict[str, Cell] = {
        "control": "permuted",
        "target": "all findings",
        "metric": "auc",
        "value": float(np.mean(values)),
        "n_siblings": told[0]["n_siblings"],
        "p_holm": p,
        "verdict": "above-together",
        "method": "mean over the findings; test of their sum against permuted labels",
    }
    return row | {"words": say_together(row, n_findings=len(values))}


def _describe_permuted(
    item: Judgement, summary: Mapping[str, JsonValue], *, of: Judged
) -> dict[str, Cell]:
    """Return one row."""
    row: dict[str, Cell] = {
        "control": "permuted",
        "target": item.target,
        "metric": item.figure.metric,
        "value": item.figure.value,
        "low": item.figure.low,
        "high": item.figure.high,
        "n_images": item.figure.n_images,
        "n_subjects": item.figure.n_subjects,
        "n_siblings": cast(int, summary["n_siblings"]),
        "p_holm": item.p_holm,
        "verdict": _name_verdict(item),
        "method": item.figure.method,
    }
    return row | {"words": say_permuted(row, of.settings.confidence)}


def _name_verdict(item: Judgement) -> str:
    """Name what a figure after training on permuted labels says."""
    if item.figure.value is not None and item.figure.low is None:
        return "not-judged"
    return "below-chance" if item.is_below else _VERDICTS[item.verdict]


def _judge_image_level(
    rows: Sequence[Row], summary: Mapping[str, JsonValue], *, of: Judged
) -> list[dict[str, Cell]]:
    """Say what splitting images would have made of the figure."""
    counts = {name: cast(int, summary[name]) for name in ("n_siblings", "n_tested", "n_moved")}
    if not summary["is_trained"]:
        return [
            {
                "control": "image-level",
                "n_images": counts["n_tested"],
                "n_siblings": counts["n_siblings"],
                "verdict": "nothing-to-compare",
                "words": say_nothing_to_compare(**counts),
            }
        ]
    control = read_answers(rows, of.classes, name="image-level")
    study = read_answers(_find_own(rows, of.predictions), of.classes, name="study")
    settings = _widen(of)
    # The same resamples for both would bind two sets of test images that have their own.
    apart = replace(settings, seed=settings.seed + 1)
    gaps = compare_splits(
        _ask(control, of, settings=apart, metric="r2"),
        _ask(study, of, settings=settings, metric="r2"),
        arms=("image-level", "study"),
    )
    return [_describe_gap(gap, counts["n_siblings"], of=of) for gap in gaps]


def _count_targets(classes: Classes) -> int:
    """Count the questions that are put to one network."""
    return len(classes.names) if classes.task == "multilabel" else 1


def _widen(of: Judged) -> Settings:
    """Return settings with which the intervals of all findings hold together (Bonferroni)."""
    missed = (1 - of.settings.confidence) / _count_targets(of.classes)
    return replace(of.settings, confidence=1 - missed)


def _find_own(rows: Sequence[Row], predictions: Sequence[Row]) -> list[Row]:
    """Return the predictions of the study's main network of the same fold and seed."""
    arms = {row["arm"] for row in predictions if not is_ensemble(row["arm"])}
    key = (min(arms, key=rank_arm), rows[0]["fold"], rows[0]["seed"])
    return [row for row in predictions if (row["arm"], row["fold"], row["seed"]) == key]


def _describe_gap(gap: Gap, n_siblings: int, *, of: Judged) -> dict[str, Cell]:
    """Return one row."""
    figure = gap.image_level
    is_known = gap.difference is not None and not np.isnan(gap.difference)
    row: dict[str, Cell] = {
        "control": "image-level",
        "target": gap.target,
        "metric": figure.metric,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "n_images": figure.n_images,
        "n_subjects": figure.n_subjects,
        "n_siblings": n_siblings,
        "study": gap.subject_level.value,
        "difference": gap.difference,
        "difference_low": gap.low,
        "difference_high": gap.high,
        "verdict": _name_gap(gap, is_known=is_known),
        "method": gap.method,
    }
    n_targets = _count_targets(of.classes)
    return row | {"words": say_gap(row, of.settings.confidence, n_targets=n_targets)}


def _name_gap(gap: Gap, *, is_known: bool) -> str:
    """Name what a difference says."""
    if gap.is_higher:
        return "differs"
    if gap.is_lower:
        return "lower"
    return "no-difference" if is_known else "undefined"
