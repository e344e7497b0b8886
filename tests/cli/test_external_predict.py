"""An external cohort from training to the audit: no network knows it, no figure but its own."""

import json

import pytest
from click.testing import CliRunner
from toy_study import make_study

from medvision.cli._recompute.statistics import find_statistics_faults
from medvision.cli.main import main
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import hash_file

N_EXTERNAL = 8
SETTINGS = {
    "train": {"epochs": 1, "seeds": [0, 3]},
    "predict": {"temperature": "fit", "ensemble": "seeds"},
    "evaluate": {"n_resamples": 100},
}


def run_study(root, outside: tuple[int, int]) -> Layout:
    study = make_study(root, outside=outside, **SETTINGS)
    config = ["--config", study.model_dump_json()]
    steps = [["train", "--arm", "scratch", "--fold", fold] for fold in "01"]
    for step in (*steps, ["predict"], ["evaluate"]):
        result = CliRunner().invoke(main, [*step, *config])
        assert result.exit_code == 0, result.output
    return Layout(root)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Layout:
    return run_study(tmp_path_factory.mktemp("alone"), (0, 0))


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Layout:
    return run_study(tmp_path_factory.mktemp("both"), (N_EXTERNAL, 0))


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Layout:
    return run_study(tmp_path_factory.mktemp("other"), (N_EXTERNAL, 1))


def read_predictions(layout: Layout, *, external: bool) -> list[dict[str, str]]:
    rows = read_table(layout.predictions)
    return [row for row in rows if (row["split"] == "external") is external]


def read_facts(layout: Layout) -> dict:
    return json.loads(layout.metrics.read_text())


def test_every_network_and_ensemble_predicts_every_external_image(both: Layout) -> None:
    rows = read_predictions(both, external=True)
    places = {(row["fold"], row["seed"], row["image_id"]) for row in rows}
    assert len(rows) == len(places) == 2 * 3 * N_EXTERNAL
    assert {row["seed"] for row in rows} == {"0", "3", "all"}


def test_networks_temperatures_and_internal_figures_know_nothing_of_it(
    alone: Layout, both: Layout, other: Layout
) -> None:
    for held in (both, other):
        for fold in (0, 1):
            for seed in (0, 3):
                own, model = (each.model("scratch", fold, seed=seed) for each in (alone, held))
                assert hash_file(model) == hash_file(own)
        scales = (each.table("predict", "temperatures") for each in (alone, held))
        assert len({hash_file(path) for path in scales}) == 1
        for name in ("metrics", "thresholds", "roc", "calibration", "comparison"):
            path = held.table("evaluate", name)
            assert hash_file(path) == hash_file(alone.table("evaluate", name))
        assert read_predictions(held, external=False) == read_table(alone.predictions)
        inside = {name: value for name, value in read_facts(held).items() if name != "external"}
        assert inside == read_facts(alone)
    assert read_facts(both)["external"] != read_facts(other)["external"]


def test_no_external_table_is_written_where_there_is_no_such_cohort(
    alone: Layout, both: Layout
) -> None:
    names = [{path.name for path in each.step("evaluate").iterdir()} for each in (alone, both)]
    assert not [name for name in names[0] if name.startswith(("external", "cohorts"))]
    assert {"cohorts.tsv", "external-metrics.tsv", "external-roc.tsv"} <= names[1] - names[0]


def test_an_external_image_in_train_is_refused_before_a_network_is_built(tmp_path) -> None:
    study = make_study(tmp_path, outside=(N_EXTERNAL, 0), **SETTINGS)
    layout = Layout(tmp_path)
    rows = [dict(row) for row in read_table(layout.folds)]
    planted = next(row for row in rows if row["split"] == "external")
    planted["split"] = "train"
    write_table(layout.folds, rows, columns=tuple(rows[0]))
    arguments = ["train", "--arm", "scratch", "--fold", "0", "--config", study.model_dump_json()]
    result = CliRunner().invoke(main, arguments)
    assert "external cohort must be in no other split" in " ".join(result.output.split())
    assert not layout.model("scratch", 0, seed=0).exists()


def copy_for_audit(layout: Layout, folder) -> None:
    for name in ("cohort/summary.json", "cohort/cohort.tsv", "evaluate/metrics.json"):
        _copy(layout, folder, name)
    for name in ("predictions.tsv", "temperatures.tsv", "record.json"):
        _copy(layout, folder, f"predict/{name}")
    _copy(layout, folder, "evaluate/record.json")


def _copy(layout: Layout, folder, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes((layout.root / name).read_bytes())


def test_an_audit_computes_the_external_column_again(both: Layout, tmp_path) -> None:
    copy_for_audit(both, tmp_path)
    assert find_statistics_faults(lambda name: tmp_path / name) == []
    facts = read_facts(both)
    facts["external"]["arms"]["scratch"]["metrics"]["brier"]["value"] += 0.01
    (tmp_path / "evaluate" / "metrics.json").write_text(json.dumps(facts))
    (fault,) = find_statistics_faults(lambda name: tmp_path / name)
    assert fault.thing == "external.arms.scratch.metrics.brier.value"


def test_an_edited_external_prediction_is_found(both: Layout, tmp_path) -> None:
    copy_for_audit(both, tmp_path)
    rows = [dict(row) for row in read_table(both.predictions)]
    planted = next(row for row in rows if row["split"] == "external")
    planted["probability_nodule"] = str(float(planted["probability_nodule"]) * 0.9)
    planted["probability_benign"] = str(1 - float(planted["probability_nodule"]))
    write_table(tmp_path / "predict" / "predictions.tsv", rows, columns=tuple(rows[0]))
    found = find_statistics_faults(lambda name: tmp_path / name)
    things = [fault.thing for fault in found]
    assert any(thing.startswith("external.") for thing in things)
    assert "probabilities of scratch, fold 0, seed 0, external" in things
    assert not [thing for thing in things if thing.startswith(("arms.", "n_"))]
