"""The shortcut audit from its probes' answers: written by the step, computed again by an audit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from medvision.cli._cohort.summary import read_classes
from medvision.cli._shortcut.control_judged import Judged, judge_controls
from medvision.cli._shortcut.text import say_limits, say_not_asked, say_probe
from medvision.config.evaluate import EvaluateSection
from medvision.domain.evaluation.classes import build_test
from medvision.domain.evaluation.multilabel import build_finding_tests
from medvision.domain.evaluation.regression import build_value_arms
from medvision.domain.labels.rows import EXTERNAL, Classes
from medvision.domain.metrics.operating import choose_rule
from medvision.domain.record import JsonValue
from medvision.domain.resampling.settings import Settings
from medvision.domain.shortcut.answers import Answer
from medvision.domain.shortcut.arms import (
    build_class_arm,
    build_finding_arm,
    build_value_rounds,
)
from medvision.domain.shortcut.judge import (
    NETWORK,
    Judgement,
    Question,
    ask_classes,
    ask_values,
    judge_probes,
)
from medvision.domain.split import build_assignments
from medvision.io.tables import Cell, Row, read_table

PROBE_COLUMNS = (
    *("probe", "target", "shown", "metric", "value", "low", "high", "n_images", "n_subjects"),
    *("network", "gain", "gain_low", "gain_high", "p", "p_holm", "verdict", "words", "method"),
)
ANSWER_COLUMNS = ("probe", "fold", "repeat", "part", "inner", "image_id", "subject", "label")

Rows = list[dict[str, Cell]]

Read = Callable[[str], Path]
"""Path below the output folder -> where that file lies."""


def list_answer_columns(classes: Classes) -> tuple[str, ...]:
    """Return the columns of `shortcuts/answers.tsv`."""
    return (*ANSWER_COLUMNS, *(f"score_{name}" for name in classes.names))


def list_answers(answers: Sequence[Answer], classes: Classes) -> list[dict[str, Cell]]:
    """Return answers as rows of `shortcuts/answers.tsv`."""
    scores = [f"score_{name}" for name in classes.names]
    return [
        {
            "probe": answer.probe,
            **asdict(answer.place),
            **dict(zip(scores, answer.scores, strict=True)),
        }
        for answer in answers
    ]


def compute_facts(
    read: Read, *, controls: Sequence[str], section: EvaluateSection
) -> tuple[dict[str, JsonValue], Rows, Rows]:
    """Judge probes and controls from the files of their steps.

    Args:
        read: Tells where a file below the output folder lies.
        controls: The steps that trained the controls.
        section: Settings of the statistics.

    Returns:
        The content of `shortcuts/shortcuts.json`, which an audit computes again; the rows of
        `shortcuts/probes.tsv`, and of `controls.tsv`.

    Raises:
        DataError: A file is missing or cannot be read, or is not of the same images.
    """
    classes = read_classes(read("cohort/summary.json"))
    settings = Settings(**dict(section))
    groups = {row["image_id"]: row["group"] for row in read_table(read("cohort/cohort.tsv"))}
    shown = {row["probe"]: row for row in read_table(read("shortcuts/shown.tsv"))}
    answers = _read_answers(read("shortcuts/answers.tsv"), classes)
    predictions = [
        row for row in read_table(read("predict/predictions.tsv")) if row["split"] != EXTERNAL
    ]
    questions = _ask(
        predictions,
        answers,
        groups=groups,
        classes=classes,
        settings=settings,
    )
    judged = judge_probes(questions, confidence=settings.confidence)
    networks = {asked.target: asked.estimates[NETWORK].value for asked in questions}
    rows = [
        _build_row(item, shown[item.probe], networks[item.target], confidence=settings.confidence)
        for item in judged
    ]
    rows += [_refuse(row) for row in shown.values() if row["state"] != "asked"]
    of = Judged(classes, groups, settings, predictions)
    trained, warnings = judge_controls(read, controls, of=of)
    return _describe(rows, trained, warnings=warnings, settings=settings), rows, trained


def _read_answers(path: Path, classes: Classes) -> dict[str, list[Answer]]:
    """Read each probe's answers."""
    rows = read_table(path, required=list_answer_columns(classes))
    places = build_assignments([{**row, "split": "test"} for row in rows])
    held: dict[str, list[Answer]] = {}
    for row, place in zip(rows, places, strict=True):
        scores = tuple(float(row[f"score_{name}"]) for name in classes.names)
        held.setdefault(row["probe"], []).append(Answer(row["probe"], place, scores))
    return held


def _ask(
    predictions: Sequence[Row],
    answers: Mapping[str, Sequence[Answer]],
    *,
    groups: Mapping[str, str],
    classes: Classes,
    settings: Settings,
) -> list[Question]:
    """Put every question: one, or one per finding."""
    if not answers:
        return []
    if classes.task == "regression":
        network = next(iter(build_value_arms(predictions).values()))
        rounds = {name: build_value_rounds(held) for name, held in answers.items()}
        arms = {NETWORK: [each for _, each in network], **rounds}
        return [ask_values(arms, groups=groups, metric="r2", settings=settings)]
    if classes.task == "multilabel":
        return _ask_findings(
            predictions, answers, groups=groups, classes=classes, settings=settings
        )
    test = build_test(predictions, groups, classes=classes, rule=choose_rule(settings))
    asked = {name: build_class_arm(held, groups, classes=classes) for name, held in answers.items()}
    asked = {NETWORK: next(iter(test.arms.values())), **asked}
    return [ask_classes(asked, target="", settings=settings)]


def _ask_findings(
    predictions: Sequence[Row],
    answers: Mapping[str, Sequence[Answer]],
    *,
    groups: Mapping[str, str],
    classes: Classes,
    settings: Settings,
) -> list[Question]:
    """Put one question per finding, on the images of which it is known."""
    tests = build_finding_tests(predictions, groups, classes=classes, rule=choose_rule(settings))
    questions = []
    for name, test in tests.items():
        arms = {
            probe: build_finding_arm(held, groups, classes=classes, name=name)
            for probe, held in answers.items()
        }
        arms = {NETWORK: next(iter(test.arms.values())), **arms}
        questions.append(ask_classes(arms, target=name, settings=settings))
    return questions


def _build_row(
    item: Judgement, shown: Row, network: float | None, *, confidence: float
) -> dict[str, Cell]:
    """Return one judged probe as a row of `shortcuts/probes.tsv`."""
    figure, gain = item.figure, item.gain
    row: dict[str, Cell] = {
        "probe": item.probe,
        "target": item.target,
        "shown": shown["shown"],
        "metric": figure.metric,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "n_images": figure.n_images,
        "n_subjects": figure.n_subjects,
        "network": network,
        "gain": gain.difference if gain else None,
        "gain_low": gain.low if gain else None,
        "gain_high": gain.high if gain else None,
        "p": item.p,
        "p_holm": item.p_holm,
        "verdict": item.verdict,
        "method": figure.method,
    }
    return {name: ({**row, "words": say_probe(row, confidence)})[name] for name in PROBE_COLUMNS}


def _refuse(shown: Row) -> dict[str, Cell]:
    """Return a probe that was not asked as a row of `shortcuts/probes.tsv`."""
    held: dict[str, Cell] = {
        "probe": shown["probe"],
        "shown": shown["shown"],
        "n_images": int(shown["n_images"]),
        "verdict": shown["state"],
        "words": say_not_asked(shown),
    }
    return {name: held.get(name) for name in PROBE_COLUMNS}


def _describe(
    rows: Rows, controls: Rows, *, warnings: Sequence[str], settings: Settings
) -> dict[str, JsonValue]:
    """Gather everything, with the sentences that a report can quote."""
    found = [str(row["words"]) for row in rows if row["verdict"] == "found"]
    return {
        "probes": [cast(JsonValue, dict(row)) for row in rows],
        "controls": [cast(JsonValue, dict(row)) for row in controls],
        "n_looks": sum(row["p"] is not None for row in rows),
        "confidence": settings.confidence,
        "n_resamples": settings.n_resamples,
        "warnings": [*found, *warnings],
        "sentences": [str(row["words"]) for row in (*rows, *controls)],
        "limits": say_limits(rows),
    }
