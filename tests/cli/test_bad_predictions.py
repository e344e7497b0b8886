"""Bad input of an evaluation, task by task: each has a stated result or a stated refusal."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from medvision.cli._run import open_step
from medvision.cli.main import main
from medvision.cli.predict import TEMPERATURE_COLUMNS
from medvision.config.model import load_study
from medvision.io.tables import Row, read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

N_IMAGES = 40
NAMES = {
    "binary": ("no", "yes"),
    "multiclass": ("a", "b", "c"),
    "multilabel": ("Mass", "Nodule"),
    "regression": ("age",),
}
KINDS = tuple(NAMES)
OF_CLASSES = ("binary", "multiclass", "multilabel")


def make_rows(kind: str, *, one_class: bool = False, constant: bool = False) -> list[Row]:
    """Test and validation rows of one arm in two folds; of one class only, or answers alike."""
    rows = []
    for split in ("test", "validation"):
        rng = np.random.default_rng(len(split))
        for n in range(N_IMAGES):
            place = {"arm": "transfer", "repeat": "0", "inner": "0", "seed": "0", "split": split}
            place |= {"fold": str(n % 2), "part": str(n % 2), "predicted": ""}
            place |= {"image_id": f"{split}-{n:03d}", "subject": f"{split}-s{n:03d}"}
            is_one = one_class and split == "test"
            rows.append(place | _draw_outputs(kind, rng, is_one=is_one, constant=constant))
    return rows


def _draw_outputs(
    kind: str, rng: np.random.Generator, *, is_one: bool, constant: bool
) -> dict[str, str]:
    names = NAMES[kind]
    if kind == "regression":
        value = 61.0 if is_one else float(rng.normal(60, 10))
        predicted = 60.0 if constant else value + float(rng.normal(0, 5))
        return {"label": repr(value), "predicted": repr(predicted)}
    if kind == "multilabel":
        there = rng.random(2) < 0.4
        there[0] &= not is_one
        odds = (0 if constant else 1) * (rng.normal(size=2) + 1.2 * (2 * there - 1))
        shares, label = 1 / (1 + np.exp(-odds)), "|".join(np.array(names)[there])
    else:
        place = 0 if is_one else int(rng.integers(len(names)))
        odds = (0 if constant else 1) * (
            rng.normal(size=len(names)) + 1.2 * np.eye(len(names))[place]
        )
        shares, label = np.exp(odds) / np.exp(odds).sum(), names[place]
    cells = {"label": label}
    for name, logit, share in zip(names, odds.tolist(), shares.tolist(), strict=True):
        cells |= {f"logit_{name}": repr(logit), f"probability_{name}": repr(share)}
    return cells


def evaluate(
    root: Path, kind: str, rows: list[Row], *sets: str, sites: dict[str, str] | None = None
) -> tuple[Result, Layout]:
    """Run the command on these predictions."""
    task = kind if kind in ("multilabel", "regression") else "classification"
    study = load_study(json.dumps({"output": {"path": str(root)}, "data": {"task": task}}))
    layout = Layout(root)
    with open_step("cohort", study) as step:
        positive = "yes" if kind == "binary" else None
        summary = {"task": task, "classes": list(NAMES[kind]), "positive": positive}
        write_json(step.write(layout.cohort_summary), summary)
        images = {row["image_id"]: row["subject"] for row in rows}
        cohort = [
            {"image_id": name, "group": subject, "site": (sites or {}).get(name, "large")}
            for name, subject in images.items()
        ]
        write_table(step.write(layout.cohort), cohort, columns=("image_id", "group", "site"))
    with open_step("predict", study) as step:
        write_table(step.write(layout.predictions), rows, columns=tuple(rows[0]))
        path = step.write(layout.table("predict", "temperatures"))
        write_table(path, [], columns=TEMPERATURE_COLUMNS)
    values = [f"output.path={root}", "evaluate.n_resamples=200", f"data.task={task}", *sets]
    arguments = [part for value in values for part in ("--set", value)]
    return CliRunner().invoke(main, ["evaluate", *arguments]), layout


def read(layout: Layout, name: str = "metrics", *, key: str = "metric") -> dict[str, Row]:
    return {row[key]: row for row in read_table(layout.table("evaluate", name))}


def read_facts(layout: Layout) -> Any:
    return json.loads(layout.metrics.read_text())


@pytest.mark.parametrize(
    ("kind", "warning", "undefined", "known"),
    [
        ("binary", "No test image is of class yes", "auc", "specificity"),
        ("multiclass", "No test image is of classes b, c", "auc_macro", "sensitivity_a"),
        ("multilabel", "No test image has Mass", "auc_Mass", "auc_Nodule"),
        ("regression", "All test images have one age", "r2", "mae"),
    ],
)
def test_one_class_in_test_is_told_and_leaves_what_needs_both_undefined(
    tmp_path: Path, kind: str, warning: str, undefined: str, known: str
) -> None:
    result, layout = evaluate(tmp_path, kind, make_rows(kind, one_class=True))
    assert result.exit_code == 0, result.output
    found = read(layout)
    assert (found[undefined]["value"], found[undefined]["low"]) == ("", "")
    assert "undefined: " in found[undefined]["method"]
    assert found[known]["value"]
    assert warning in read_facts(layout)["warnings"][0]
    assert [row["warning"] for row in read_table(layout.table("evaluate", "warnings"))] == (
        read_facts(layout)["warnings"]
    )


@pytest.mark.parametrize("kind", OF_CLASSES)
def test_constant_predictions_have_an_auc_of_one_half_without_interval(
    tmp_path: Path, kind: str
) -> None:
    result, layout = evaluate(tmp_path, kind, make_rows(kind, constant=True))
    assert result.exit_code == 0, result.output
    name = "auc" if kind == "binary" else "auc_macro"
    row = read(layout)[name]
    assert (row["value"], row["low"], row["high"]) == ("0.5", "", "")
    facts = read_facts(layout)
    assert "one half by definition" in facts["warnings"][0]
    assert "0.500 (no 95% interval)" in facts["sentences"][0]
    # Nothing that is known of a few dozen subjects is known for certain.
    for row in read(layout).values():
        is_certain = row["metric"].startswith(("brier", "log_loss", "auc"))
        assert is_certain or row["low"] == "" or float(row["low"]) < float(row["high"]), row


def test_a_constant_value_has_an_error_and_no_correlation(tmp_path: Path) -> None:
    result, layout = evaluate(tmp_path, "regression", make_rows("regression", constant=True))
    assert result.exit_code == 0, result.output
    found = read(layout)
    assert float(found["mae"]["low"]) < float(found["mae"]["high"])
    assert found["pearson_r"]["value"] == ""
    assert "every network predicts one age" in read_facts(layout)["warnings"][0]


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("binary", "probability_yes"),
        ("binary", "logit_no"),
        ("multiclass", "logit_b"),
        ("multiclass", "probability_c"),
        ("multilabel", "probability_Nodule"),
        ("multilabel", "logit_Mass"),
        ("regression", "predicted"),
        ("regression", "label"),
    ],
)
def test_cells_that_are_no_finite_numbers_are_refused_with_their_column_and_number(
    tmp_path: Path, kind: str, column: str
) -> None:
    for cell, said in (
        ("nan", "must be finite in all 40 rows, got NaN or infinity in 2"),
        ("-inf", "must be finite in all 40 rows, got NaN or infinity in 2"),
        ("", "must be a number in all 40 rows, got 2 empty cells"),
        ("high", "must be a number in all 40 rows, got other text in 2"),
    ):
        rows = [
            row | ({column: cell} if n in (3, 5) else {}) for n, row in enumerate(make_rows(kind))
        ]
        result, layout = evaluate(tmp_path / str(cell), kind, rows)
        assert result.exit_code == 3
        words = said.replace("40", "80") if column == "probability_Nodule" else said
        assert f"{column} {words}" in " ".join(result.output.split())
        assert not layout.metrics.exists()


@pytest.mark.parametrize(("cell", "said"), [("", "an empty cell"), ("maybe", "maybe")])
def test_a_label_that_is_no_class_is_refused(tmp_path: Path, cell: str, said: str) -> None:
    rows = make_rows("binary")
    rows[4] = rows[4] | {"label": cell}
    result, _ = evaluate(tmp_path, "binary", rows)
    assert result.exit_code == 3
    assert f"must be a class of the cohort (no, yes), got {said}" in result.output


@pytest.mark.parametrize("kind", OF_CLASSES)
def test_a_subgroup_of_two_has_its_number_a_warning_and_no_interval(
    tmp_path: Path, kind: str
) -> None:
    sites = {"test-000": "small", "test-001": "small"}
    result, layout = evaluate(
        tmp_path, kind, make_rows(kind), "evaluate.subgroups=[site]", sites=sites
    )
    assert result.exit_code == 0, result.output
    rows = read_table(layout.table("evaluate", "subgroups"))
    small = [row for row in rows if row["subgroup"] == "small"]
    assert small
    for row in small:
        assert (row["n_subjects"], row["warning"]) == ("2", "fewer than 20 subjects")
        assert (row["low"], row["high"], row["gap_low"], row["gap_high"]) == ("", "", "", "")
        assert "undefined" in row["method"]
    brier = next(row for row in small if row["metric"] == "brier")
    assert float(brier["value"]) > 0
    assert "of the 200 resamples" in brier["method"]
    assert {row["warning"] for row in rows if row["subgroup"] == "large"} == {""}


def test_subgroups_of_a_value_are_refused(tmp_path: Path) -> None:
    result, _ = evaluate(
        tmp_path, "regression", make_rows("regression"), "evaluate.subgroups=[site]"
    )
    assert result.exit_code == 2
    assert "must be empty for a value, got site" in result.output


@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_disagree_within_a_subject_are_counted_and_the_subject_stays_one(
    tmp_path: Path, kind: str
) -> None:
    rows = [
        row | {"subject": f"{row['split']}-{int(row['image_id'][-3:]) // 4}"}
        for row in make_rows(kind)
    ]
    result, layout = evaluate(tmp_path, kind, rows)
    assert result.exit_code == 0, result.output
    (told,) = read_facts(layout)["warnings"]
    labels: dict[str, set[str]] = {}
    for row in rows:
        if row["split"] == "test":
            labels.setdefault(row["subject"], set()).add(row["label"])
    n_mixed = sum(len(held) > 1 for held in labels.values())
    assert told.startswith(f"{n_mixed} of 10 test subjects have images with different labels")
    assert {row["n_subjects"] for row in read(layout).values()} == {"10"}


@pytest.mark.parametrize("kind", KINDS)
def test_of_what_is_in_order_nothing_is_said(tmp_path: Path, kind: str) -> None:
    result, layout = evaluate(tmp_path, kind, make_rows(kind))
    assert result.exit_code == 0, result.output
    assert read_facts(layout)["warnings"] == []
