"""`medvision predict`: one row per held-out image, arm, fold and seed."""

import pytest
from click.testing import CliRunner
from toy_study import make_study

from medvision.cli.main import main
from medvision.domain.intended_use import RESEARCH_USE
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.runtime.checkpoint import read_tensors


def run(study, *arguments: str):
    return CliRunner().invoke(main, [*arguments, "--config", study.model_dump_json()])


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    study = make_study(tmp_path_factory.mktemp("predicted"), train={"epochs": 1, "seeds": [0, 3]})
    for fold in ("0", "1"):
        result = run(study, "train", "--arm", "scratch", "--fold", fold)
        assert result.exit_code == 0, result.output
    result = run(study, "predict")
    assert result.exit_code == 0, result.output
    return study


def test_every_held_out_image_has_one_row_per_arm_fold_and_seed(predicted):
    layout = Layout(predicted.output.path)
    found = [
        tuple(row[name] for name in ("arm", "fold", "seed", "split", "image_id"))
        for row in read_table(layout.predictions)
    ]
    expected = [
        ("scratch", row["fold"], seed, row["split"], row["image_id"])
        for row in read_table(layout.folds)
        for seed in ("0", "3")
        if row["split"] != "train"
    ]
    assert sorted(found) == sorted(expected)


def test_probabilities_sum_to_one_and_agree_with_the_logits(predicted):
    for row in read_table(Layout(predicted.output.path).predictions):
        share = {name: float(row[f"probability_{name}"]) for name in ("benign", "nodule")}
        logit = {name: float(row[f"logit_{name}"]) for name in ("benign", "nodule")}
        assert sum(share.values()) == pytest.approx(1, abs=1e-8)
        assert row["predicted"] == max(share, key=share.get) == max(logit, key=logit.get)


def test_every_prediction_and_model_says_that_it_is_for_research_use(predicted):
    layout = Layout(predicted.output.path)
    rows = read_table(layout.predictions, required=("intended_use",))
    assert {row["intended_use"] for row in rows} == {RESEARCH_USE}
    for path in layout.step("train").rglob("*.safetensors"):
        assert read_tensors(path)[1]["intended_use"] == RESEARCH_USE


def test_predicting_again_gives_the_same_bytes(predicted):
    path = Layout(predicted.output.path).predictions
    before = path.read_bytes()
    assert run(predicted, "predict").exit_code == 0
    assert path.read_bytes() == before


def test_untrained_fold_is_named(tmp_path):
    study = make_study(tmp_path, train={"epochs": 1})
    assert run(study, "train", "--arm", "scratch", "--fold", "0").exit_code == 0
    result = run(study, "predict")
    assert result.exit_code == 12
    assert "train/scratch/fold-1" in result.output
