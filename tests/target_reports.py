"""The report's inputs of a study of findings or of a value, its statistics the real ones."""

from dataclasses import replace

import numpy as np
from reports import IMAGES, N_SUBJECTS, SUBJECTS, make_sources

from medvision.cli._evaluated.external import evaluate
from medvision.cli._evaluated.figures import Known
from medvision.config.evaluate import EvaluateSection
from medvision.domain.labels.findings import name_findings
from medvision.domain.labels.rows import Classes
from medvision.report.sources import Row, Sources

CLASSES = {
    "multilabel": Classes(("Effusion", "Nodule", "Mass"), None, "multilabel"),
    "regression": Classes(("age",), None, "regression"),
}


def make_target_sources(
    task: str,
    *,
    arms: tuple[str, ...] = ("transfer", "scratch"),
    explained: int = 2,
    external: bool = False,
) -> Sources:
    """Return the inputs of a report on 36 subjects, tested in three folds; more tested outside."""
    base, classes = make_sources(arms=arms, explained=explained), CLASSES[task]
    labels = _draw_labels(task, classes)
    predictions = _predict(labels, classes, arms=arms)
    section = EvaluateSection(n_resamples=100, calibration_bins=3)
    outside = _predict_outside(labels, classes, arms=arms) if external else []
    found = evaluate([*predictions, *outside], Known({}, classes, {}), section=section)
    own = {
        name: [_as_text(row, columns) for row in rows]
        for name, (rows, columns) in found.tables.items()
    }
    summary = {"task": task, "classes": list(classes.names), "positive": None}
    if task == "regression":
        values = [float(label) for label in labels]
        summary |= {"values": {"name": "age", "low": min(values), "high": max(values)}}
    tables = {
        name: _relabel(rows, labels) for name, rows in base.tables.items() if name not in _OLD
    }
    tables |= own | {"predictions": predictions, "selection": _select(base, predictions, classes)}
    data = {**base.settings["data"], "task": task}
    return replace(
        base,
        tables=tables,
        documents={**base.documents, "cohort_summary": summary},
        settings={**base.settings, "data": data},
    )


_OLD = ("metrics", "comparison", "roc", "calibration", "confusion", "thresholds", "seeds")


def _draw_labels(task: str, classes: Classes) -> list[str]:
    """One label per subject; of the last finding nothing is known in every sixth."""
    rng = np.random.default_rng(4)
    if task == "regression":
        return [f"{value:.1f}" for value in rng.normal(61, 11, N_SUBJECTS)]
    labels = []
    for n in range(N_SUBJECTS):
        unknown = [classes.names[-1]] if n % 6 == 0 else []
        open_names = [name for name in classes.names if name not in unknown]
        there = [name for name in open_names if rng.random() < 0.45]
        labels.append(name_findings(there, unknown))
    return labels


def _predict(labels: list[str], classes: Classes, *, arms: tuple[str, ...]) -> list[Row]:
    rng, rows = np.random.default_rng(5), []
    for arm in arms:
        noise = 0.8 if arm == "transfer" else 1.6
        for n, label in enumerate(labels):
            place = {"arm": arm, "repeat": "0", "inner": "0", "seed": "0", "split": "test"}
            place |= {"fold": str(n % 3), "part": str(n % 3)}
            place |= {"image_id": IMAGES[n], "subject": SUBJECTS[n], "label": label}
            rows.append(place | _draw_outputs(label, classes, noise=noise, rng=rng))
    return rows


def _predict_outside(labels: list[str], classes: Classes, *, arms: tuple[str, ...]) -> list[Row]:
    """Every training's predictions of as many images of other subjects."""
    rng = np.random.default_rng(6)
    return [
        {
            "arm": arm,
            "repeat": "0",
            "inner": "0",
            "seed": "0",
            "split": "external",
            "fold": str(fold),
            "part": str(fold),
            "label": label,
            "image_id": f"ext-{n}",
            "subject": f"ext-s-{n}",
            **_draw_outputs(label, classes, noise=2.0, rng=rng),
        }
        for arm in arms
        for fold in range(3)
        for n, label in enumerate(labels)
    ]


def _draw_outputs(
    label: str, classes: Classes, *, noise: float, rng: np.random.Generator
) -> dict[str, str]:
    if classes.task == "regression":
        value = 61 + 0.7 * (float(label) - 61) + 6 * noise * rng.normal()
        return {"predicted": f"{value:.9g}"}
    cells, said = {}, []
    for name in classes.names:
        odds = (1.2 if name in label.split("|") else -1.2) + noise * rng.normal()
        cells |= {f"logit_{name}": f"{odds:.9g}"}
        cells |= {f"probability_{name}": f"{1 / (1 + np.exp(-odds)):.9g}"}
        said += [name] if odds > 0 else []
    return {"predicted": name_findings(said)} | cells


def _select(base: Sources, predictions: list[Row], classes: Classes) -> list[Row]:
    """The same images as of classes, with what is predicted of them."""
    arm = predictions[0]["arm"]
    held = {row["image_id"]: row for row in predictions if row["arm"] == arm}
    rules = ("largest_error", "small_error") if classes.task == "regression" else ("uncertain",)
    return [
        {
            **row,
            **{name: held[row["image_id"]][name] for name in ("label", "predicted", "fold")},
            "target": classes.names[0],
            "rule": rules[n % len(rules)],
        }
        for n, row in enumerate(base.tables["selection"])
    ]


def _relabel(rows: object, labels: list[str]) -> list[Row]:
    """Give the rows of an image its label."""
    held = dict(zip(IMAGES, labels, strict=True))
    return [
        {**row, "label": held[row["image_id"]]} if {"label", "image_id"} <= set(row) else row
        for row in rows  # type: ignore[attr-defined]
    ]


def _as_text(row: Row, columns: tuple[str, ...]) -> Row:
    """Return a row as it is read from a table."""
    cells = {name: row.get(name) for name in columns}
    return {
        name: "" if value is None else f"{value:.9g}" if isinstance(value, float) else str(value)
        for name, value in cells.items()
    }
