"""`medvision pretrain`: weights that the transfer arm takes over."""

import json

import pytest
from click.testing import CliRunner
from toy_study import make_study

from medvision.cli.main import main
from medvision.io.tables import read_table
from medvision.layout import Layout

WEIGHTS = {"model": {"weights": "pretrain"}, "pretrain": {"images": 42, "epochs": 2}}


def run(study, *arguments: str):
    return CliRunner().invoke(main, [*arguments, "--config", study.model_dump_json()])


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    study = make_study(tmp_path_factory.mktemp("pretrained"), **WEIGHTS)
    result = run(study, "pretrain")
    assert result.exit_code == 0, result.output
    return study


def test_summary_tells_what_was_learnt(pretrained):
    folder = Layout(pretrained.output.path).step("pretrain")
    summary = json.loads((folder / "summary.json").read_text())
    assert len(summary["classes"]) == len(set(summary["classes"])) > 2
    assert 0 <= summary["validation_accuracy"] <= 1
    assert summary["n_training"] + summary["n_validation"] == 42
    rows = read_table(folder / "history.tsv")
    assert list(rows[0]) == ["epoch", "loss", "validation_loss", "validation_accuracy"]
    assert len(rows) == 2
    assert not (folder / "resume").exists()


def test_same_study_gives_the_same_bytes(pretrained, tmp_path):
    again = make_study(tmp_path, **WEIGHTS)
    assert run(again, "pretrain").exit_code == 0
    paths = [Layout(study.output.path).pretrained for study in (pretrained, again)]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_transfer_arm_starts_from_these_weights_and_scratch_does_not(pretrained):
    for arm in ("transfer", "scratch"):
        result = run(pretrained, "train", "--arm", arm, "--fold", "0")
        assert result.exit_code == 0, result.output
    layout = Layout(pretrained.output.path)
    rows = read_table(layout.seed("transfer", 0, seed=0) / "weights.tsv")
    assert {row["status"] for row in rows} == {"loaded", "skipped-head"}
    assert read_table(layout.seed("scratch", 0, seed=0) / "weights.tsv") == []
    record = json.loads(layout.record("train/transfer/fold-0").read_text())
    assert "pretrain/model.safetensors" in record["reads"]


def test_two_dimensional_study_gets_two_dimensional_weights(tmp_path):
    study = make_study(tmp_path, spatial_dims=2, **WEIGHTS)
    assert run(study, "pretrain").exit_code == 0
    assert run(study, "train", "--arm", "transfer", "--fold", "0").exit_code == 0


def test_study_with_other_weights_is_told_to_go_on(tmp_path):
    result = run(make_study(tmp_path), "pretrain")
    assert result.exit_code == 2
    assert "model.weights: value must be pretrain" in result.output


def test_transfer_before_pretraining_is_refused(tmp_path):
    result = run(make_study(tmp_path, **WEIGHTS), "train", "--arm", "transfer", "--fold", "0")
    assert result.exit_code == 12
    assert "medvision pretrain" in result.output
