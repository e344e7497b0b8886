"""Findings and values the whole way: phantom to sealed bundle, each by two settings."""

import json
from pathlib import Path

import numpy as np
import pytest
from pipeline import TINY, call, run_all, write_config
from safetensors import safe_open

from medvision.cli._recompute.statistics import find_statistics_faults
from medvision.domain.explanation.plan import PLAN
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.phantom.subject import draw_chest, draw_subjects

TASKS = {
    "multilabel": {"task": "multilabel", "label_column": "findings"},
    "regression": {"task": "regression", "label_column": "chest_width_mm"},
}


@pytest.fixture(scope="module", params=sorted(TASKS))
def results(request, tmp_path_factory) -> tuple[str, Layout, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    values = {
        **TINY,
        "data": TASKS[request.param],
        "phantom": {**TINY["phantom"], "subjects": 16},
        "model": {"weights": "none"},
        "explain": {**TINY["explain"], "methods": ["layer_gradcam", "occlusion"]},
    }
    if request.param == "multilabel":
        values["predict"] = {"temperature": "fit", "temperature_subjects": 1}
    config = write_config(folder, values)
    return request.param, Layout(run_all(config)), config


@pytest.mark.slow
def test_the_labels_are_what_was_planted(results):
    task, layout, _ = results
    people = draw_subjects(3, subjects=16, prevalence=0.5, nifti_fraction=0.2)
    chests = [draw_chest(3, person) for person in people]
    known = {
        "multilabel": {chest.findings for chest in chests},
        "regression": {f"{chest.width_mm:.1f}" for chest in chests},
    }
    labels = {row["label"] for row in read_table(layout.cohort)}
    assert labels <= known[task]
    assert len(labels) > (3 if task == "multilabel" else 10)
    assert not {"findings", "chest_width_mm"} & set(read_table(layout.cohort)[0])


@pytest.mark.slow
def test_checkpoint_and_predictions_say_what_they_are_of(results):
    task, layout, _ = results
    with safe_open(layout.model("scratch", 0, seed=0), framework="np") as file:
        meta = file.metadata()
    rows = read_table(layout.predictions)
    assert meta["task"] == task
    if task == "multilabel":
        assert json.loads(meta["classes"]) == ["nodule", "wide_chest"]
        for row in rows:
            there = "nodule" in row["label"].split("|")
            assert row["label_nodule"] == str(int(there))
            odds = float(row["logit_nodule"])
            assert float(row["probability_nodule"]) == pytest.approx(1 / (1 + np.exp(-odds)))
        return
    mean, sd = json.loads(meta["scale"])
    folds = read_table(layout.folds)
    trained = [float(r["label"]) for r in folds if (r["fold"], r["split"]) == ("0", "train")]
    assert (mean, sd) == (pytest.approx(np.mean(trained)), pytest.approx(np.std(trained), rel=1e-5))
    assert all(abs(float(row["predicted"]) - mean) < 10 * sd for row in rows)


@pytest.mark.slow
def test_every_figure_has_its_interval_and_its_counts(results):
    task, layout, _ = results
    rows = {row["metric"]: row for row in read_table(layout.table("evaluate", "metrics"))}
    main = "auc_macro" if task == "multilabel" else "mae"
    assert next(iter(rows)) == main
    assert float(rows[main]["low"]) <= float(rows[main]["value"]) <= float(rows[main]["high"])
    if task == "multilabel":
        assert {"auc_nodule", "brier_wide_chest", "sensitivity_macro"} <= set(rows)
        findings = {row["finding"] for row in read_table(layout.table("evaluate", "roc"))}
        assert findings == {"nodule", "wide_chest"}
    else:
        errors = read_table(layout.table("evaluate", "errors"))
        mean = np.mean([abs(float(row["error"])) for row in errors])
        assert float(rows["mae"]["value"]) == pytest.approx(mean, rel=1e-6)


@pytest.mark.slow
def test_one_output_is_explained_and_its_maps_are_checked(results):
    task, layout, _ = results
    targets = {row["target"] for row in read_table(layout.selection)}
    assert (
        targets <= {"multilabel": {"nodule", "wide_chest"}, "regression": {"chest_width_mm"}}[task]
    )
    checks = read_table(layout.step("explain") / "checks.tsv")
    assert {row["check"] for row in checks} >= {"deletion", "weight_randomisation"}


@pytest.mark.slow
def test_the_bundle_is_verified_and_its_statistics_are_computed_again(results):
    _, layout, config = results
    verified = call(["audit", "verify", str(layout.root / "audit" / "bundle")])
    assert verified.exit_code == 0, verified.output
    assert call(["doctor", "--config", str(config)]).exit_code == 0


@pytest.mark.slow
def test_an_edited_output_is_found_by_the_audit(results, tmp_path):
    task, layout, _ = results
    column = {"multilabel": "probability_nodule", "regression": "predicted"}[task]
    for path in ("cohort/summary.json", "cohort/cohort.tsv", "evaluate/metrics.json", PLAN):
        copy_file(layout, tmp_path, path)
    for path in ("predict/record.json", "predict/temperatures.tsv", "evaluate/record.json"):
        copy_file(layout, tmp_path, path)
    rows = [dict(row) for row in read_table(layout.predictions)]

    def find_faults():
        path = tmp_path / "predict" / "predictions.tsv"
        write_table(path, rows, columns=tuple(rows[0]))
        return find_statistics_faults(lambda name: tmp_path / name)

    assert find_faults() == []
    tested = next(row for row in rows if row["split"] == "test")
    tested[column] = str(float(tested[column]) * 0.9)
    assert find_faults()


def copy_file(layout: Layout, folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes((layout.root / name).read_bytes())
