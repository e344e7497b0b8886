"""`medvision evaluate` on predictions written as the step before writes them."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from predicted import Row, draw_binary, make_rows

from medvision.cli._run import open_step
from medvision.cli.main import main
from medvision.cli.predict import TEMPERATURE_COLUMNS
from medvision.config.model import load_study
from medvision.io.tables import Cell, read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json


def write_upstream(
    root: Path, rows: list[Row], temperatures: Sequence[dict[str, Cell]] = ()
) -> Layout:
    """Write the cohort and predictions, each with its record."""
    study, layout = load_study(json.dumps({"output": {"path": str(root)}})), Layout(root)
    with open_step("cohort", study) as step:
        write_json(step.write(layout.cohort_summary), {"classes": ["no", "yes"], "positive": "yes"})
        images = {row["image_id"]: row["subject"] for row in rows}
        cohort = [
            {"image_id": name, "group": subject, "site": "ab"[n % 2]}
            for n, (name, subject) in enumerate(images.items())
        ]
        write_table(step.write(layout.cohort), cohort, columns=("image_id", "group", "site"))
    with open_step("predict", study) as step:
        write_table(step.write(layout.predictions), rows, columns=tuple(rows[0]))
        write_table(
            step.write(layout.table("predict", "temperatures")),
            temperatures,
            columns=TEMPERATURE_COLUMNS,
        )
    return layout


def evaluate(root: Path, *overrides: str) -> Result:
    values = [f"output.path={root}", "evaluate.n_resamples=200", *overrides]
    arguments = [part for value in values for part in ("--set", value)]
    return CliRunner().invoke(main, ["evaluate", *arguments])


def draw_study() -> list[Row]:
    rows = []
    for arm, effect in (("transfer", 1.0), ("scratch", 0.3)):
        for split, seed in (("test", 1), ("validation", 2)):
            scores, labels, folds = draw_binary(60, seed=seed, effect=effect)
            rows += make_rows(scores, labels, folds=folds, split=split, arm=arm)
    return rows


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return write_upstream(tmp_path / "results", draw_study())


def test_every_figure_is_written_with_interval_counts_and_method(layout: Layout) -> None:
    result = evaluate(layout.root)
    assert result.exit_code == 0, result.output
    rows = read_table(layout.metrics.parent / "metrics.tsv")
    assert {row["metric"] for row in rows} == {
        *("auc", "average_precision", "balanced_accuracy", "sensitivity", "specificity"),
        *("ppv", "npv", "f1", "mcc", "brier", "log_loss"),
        *("ece", "calibration_slope", "calibration_intercept"),
    }
    for row in rows:
        assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
        assert (row["n_images"], row["n_subjects"]) == ("60", "60")
        assert row["method"]
    facts = json.loads(layout.metrics.read_text())
    auc = facts["arms"]["transfer"]["metrics"]["auc"]
    assert f"{auc['value']:.9g}" == next(r["value"] for r in rows if r["metric"] == "auc")
    assert len(facts["sentences"]) == 7
    assert facts["sentences"][0].startswith(f"transfer: AUC {auc['value']:.3f} (95% interval")


def test_every_table_is_written_for_both_arms(layout: Layout) -> None:
    evaluate(layout.root)
    folder = layout.metrics.parent
    for name in ("roc", "calibration", "confusion", "thresholds"):
        assert {row["arm"] for row in read_table(folder / f"{name}.tsv")} == {"transfer", "scratch"}
    thresholds = read_table(folder / "thresholds.tsv")
    assert [row["fold"] for row in thresholds if row["arm"] == "transfer"] == ["0", "1", "2"]
    assert {row["rule"] for row in thresholds} == {"Youden"}
    confusion = read_table(folder / "confusion.tsv")
    assert sum(int(row["n"]) for row in confusion if row["arm"] == "scratch") == 60
    comparison = read_table(folder / "comparison.tsv")
    assert {(row["arm_a"], row["arm_b"]) for row in comparison} == {("transfer", "scratch")}


def test_each_figure_is_written_seed_by_seed_and_one_seed_has_no_deviation(layout: Layout) -> None:
    evaluate(layout.root)
    rows = read_table(layout.metrics.parent / "seeds.tsv")
    figures = read_table(layout.metrics.parent / "metrics.tsv")
    pairs = [(row["arm"], row["metric"]) for row in figures]
    assert [(row["arm"], row["metric"]) for row in rows] == pairs
    for row, figure in zip(rows, figures, strict=True):
        assert (row["n_seeds"], row["sd"]) == ("1", "")
        assert row["mean"] == row["seed_0"] == figure["value"]


def test_the_same_predictions_give_the_same_bytes(layout: Layout) -> None:
    def read() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in layout.metrics.parent.iterdir()}

    evaluate(layout.root)
    first = read()
    evaluate(layout.root)
    assert read() == first


def test_an_undefined_figure_is_an_empty_cell_with_its_reason(tmp_path: Path) -> None:
    scores, _, _ = draw_binary(10, seed=1)
    layout = write_upstream(tmp_path, make_rows(scores, ["no"] * 10))
    assert evaluate(tmp_path).exit_code == 0
    rows = {row["metric"]: row for row in read_table(layout.metrics.parent / "metrics.tsv")}
    assert (rows["auc"]["value"], rows["auc"]["low"]) == ("", "")
    assert "no test image is of class yes" in rows["auc"]["method"]
    facts = json.loads(layout.metrics.read_text())
    assert facts["arms"]["transfer"]["metrics"]["auc"]["value"] is None
    assert "undefined" in facts["sentences"][0]


def test_predictions_of_a_diverged_model_are_refused(tmp_path: Path) -> None:
    rows = make_rows([0.1, 0.2], ["no", "yes"])
    write_upstream(tmp_path, [rows[0] | {"logit_yes": "nan"}, rows[1]])
    result = evaluate(tmp_path)
    assert result.exit_code == 3
    assert "must be finite" in result.output


def test_predictions_changed_since_they_were_written_are_refused(layout: Layout) -> None:
    text = layout.predictions.read_text()
    layout.predictions.write_text(text.replace("\tno\t", "\tyes\t", 1))
    result = evaluate(layout.root)
    assert result.exit_code == 12
    assert not layout.record("evaluate").exists()


def test_an_operating_point_and_a_prevalence_come_from_the_configuration(layout: Layout) -> None:
    wanted = ("operating_point=sensitivity", "operating_target=0.95", "prevalence=0.01")
    assert evaluate(layout.root, *(f"evaluate.{each}" for each in wanted)).exit_code == 0
    thresholds = read_table(layout.metrics.parent / "thresholds.tsv")
    assert {row["rule"] for row in thresholds} == {"sensitivity of at least 0.95"}
    rows = {row["metric"]: row for row in read_table(layout.metrics.parent / "metrics.tsv")}
    assert "at the given prevalence of 0.01" in rows["ppv"]["method"]
    assert "fixed on validation by sensitivity of at least 0.95" in rows["ppv"]["method"]


def test_subgroups_come_from_a_column_of_the_cohort(layout: Layout) -> None:
    assert evaluate(layout.root, "evaluate.subgroups=[site]").exit_code == 0
    rows = read_table(layout.metrics.parent / "subgroups.tsv")
    assert {row["subgroup"] for row in rows} == {"a", "b"}
    assert {row["arm"] for row in rows} == {"transfer", "scratch"}
    for row in rows:
        assert (row["n_images"], row["n_subjects"], row["warning"]) == ("30", "30", "")
        assert float(row["gap_low"]) <= float(row["gap"]) <= float(row["gap_high"])
    facts = json.loads(layout.metrics.read_text())
    assert len(facts["subgroups"]) == len(rows)
    result = evaluate(layout.root, "evaluate.subgroups=[scanner]")
    assert result.exit_code == 2
    assert "must name columns of the labels, got scanner" in result.output


def test_without_a_column_the_table_of_subgroups_has_no_rows(layout: Layout) -> None:
    assert evaluate(layout.root).exit_code == 0
    assert read_table(layout.metrics.parent / "subgroups.tsv") == []


def test_both_tests_of_the_two_arms_are_written(layout: Layout) -> None:
    assert evaluate(layout.root).exit_code == 0
    rows = read_table(layout.metrics.parent / "tests.tsv")
    assert [row["kind"] for row in rows] == ["areas", "decisions"]
    for row in rows:
        assert (row["arm_a"], row["arm_b"], row["n_subjects"]) == ("transfer", "scratch", "60")
        # One comparison of each kind: nothing to correct for.
        assert 0 < float(row["p"]) == float(row["p_holm"]) <= 1
    assert len(json.loads(layout.metrics.read_text())["tests"]) == 2


def test_calibration_is_told_before_and_after_a_temperature(tmp_path: Path) -> None:
    scores, labels, folds = draw_binary(90, seed=1)
    rows = make_rows([2 * score for score in scores], labels, folds=folds)
    temperatures = [
        {"arm": "transfer", "fold": fold, "seed": 0, "temperature": 1.7} for fold in range(3)
    ]
    layout = write_upstream(tmp_path, rows, temperatures)
    assert evaluate(tmp_path).exit_code == 0
    found = {row["metric"]: row for row in read_table(layout.metrics.parent / "scaling.tsv")}
    figures = {row["metric"]: row for row in read_table(layout.metrics.parent / "metrics.tsv")}
    assert list(found) == ["brier", "log_loss", "ece", "calibration_slope", "calibration_intercept"]
    for name, row in found.items():
        assert row["after"] == figures[name]["value"]
        assert float(row["change_low"]) <= float(row["change"]) <= float(row["change_high"])
        assert (row["n_subjects"], row["n_scaled"], row["n_networks"]) == ("90", "3", "3")
    bins = read_table(layout.metrics.parent / "calibration_before.tsv")
    assert sum(int(row["n"]) for row in bins) == 90
    facts = json.loads(layout.metrics.read_text())
    assert len(facts["scaling"]) == 5
    assert len(facts["arms"]["transfer"]["calibration_before"]) == len(bins)


def test_without_temperatures_there_is_nothing_before(layout: Layout) -> None:
    assert evaluate(layout.root).exit_code == 0
    for name in ("scaling", "calibration_before"):
        assert read_table(layout.metrics.parent / f"{name}.tsv") == []


def test_a_prevalence_by_class_comes_from_the_configuration(layout: Layout) -> None:
    assert evaluate(layout.root, "evaluate.prevalence={'no': 0.99, 'yes': 0.01}").exit_code == 0
    rows = {row["metric"]: row for row in read_table(layout.metrics.parent / "metrics.tsv")}
    assert "at the given prevalence of 0.01" in rows["ppv"]["method"]
    result = evaluate(layout.root, "evaluate.prevalence={'no': 0.9, 'yes': 0.01}")
    assert result.exit_code == 2
    assert "shares of classes must sum to 1, got 0.91" in result.output
