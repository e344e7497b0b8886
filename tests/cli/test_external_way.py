"""An external cohort the whole way: phantom of two sites to sealed bundle."""

import json
from pathlib import Path

import pytest
from pipeline import FEW_MAPS, TINY, call, run_all, write_config

from medvision.io.tables import read_table
from medvision.layout import Layout


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    values = {
        **TINY,
        "phantom": {**TINY["phantom"], "subjects": 24},
        "cohort": {
            **TINY["cohort"],
            "external_column": "site",
            "external_values": ["south"],
        },
        "model": {"weights": "none"},
        "train": {**TINY["train"], "epochs": 1},
        "explain": FEW_MAPS,
    }
    return Layout(run_all(write_config(tmp_path_factory.mktemp("outside"), values)))


@pytest.mark.slow
def test_no_subject_of_the_other_site_is_in_a_fold(layout: Layout) -> None:
    sites = {row["image_id"]: row["site"] for row in read_table(layout.cohort)}
    rows = read_table(layout.folds)
    assert {sites[r["image_id"]] for r in rows if r["split"] == "external"} == {"south"}
    assert {sites[r["image_id"]] for r in rows if r["split"] != "external"} == {"north"}


@pytest.mark.slow
def test_the_report_has_both_columns_and_the_bundle_is_verified(layout: Layout) -> None:
    facts = json.loads(layout.report_json.read_text())
    assert facts["external"]["n_subjects"] > 0
    assert '<h3 id="external">' in layout.report_html.read_text()
    told = read_table(layout.table("evaluate", "cohorts"))
    assert {row["metric"] for row in told} >= {"auc", "sensitivity", "brier"}
    verified = call(["audit", "verify", str(Path(layout.root) / "audit" / "bundle")])
    assert verified.exit_code == 0, verified.output


@pytest.mark.slow
def test_only_internal_images_are_explained(layout: Layout) -> None:
    tested = {row["image_id"] for row in read_table(layout.folds) if row["split"] == "test"}
    assert {row["image_id"] for row in read_table(layout.selection)} <= tested
