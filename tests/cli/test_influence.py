"""Train images beside explained ones: a mislabelled copy is found, in the fold's train alone."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from toy_study import make_study

from medvision.cli._explained.influence import find_influences
from medvision.cli._run import open_step
from medvision.cli._training.learning import read_learning_data
from medvision.cli._training.pupil import read_head
from medvision.cli.main import main
from medvision.config.model import build_study
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.learn.backbones import BACKBONES, build_backbone, head_names
from medvision.learn.features import keep_features

FOLD = 0


def prepare(root, *, planted, train=None):
    """Train fold 0 of a toy study; a train image of the other label may become a test image's copy.

    Returns (study, test image, its copy in train).
    """
    sections = {"train": {"epochs": 8, "batch_size": 4, **(train or {})}}
    study = make_study(root, **sections)
    layout = Layout(root)
    rows = [row for row in read_table(layout.folds) if row["fold"] == str(FOLD)]
    case = next(row for row in rows if row["split"] == "test" and row["label"] == "nodule")
    copy = next(row for row in rows if row["split"] == "train" and row["label"] == "benign")
    if planted:
        index = {row["image_id"]: int(row["row"]) for row in read_table(layout.array_index)}
        with open_step("preprocess", study) as step:
            path = layout.array_shard("1-of-1")
            # What opens a step removes its files of before: they are written again.
            make_study(root, **sections)
            arrays = np.load(path)
            arrays[index[copy["image_id"]]] = arrays[index[case["image_id"]]]
            np.save(path, arrays)
            for held in (path, layout.array_index, layout.array_meta):
                step.write(held)
    arguments = ["train", "--config", study.model_dump_json(), "--fold", "0", "--arm", "scratch"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return study, case["image_id"], copy["image_id"]


def ask(study, images):
    layout = Layout(study.output.path)
    upstream = ("cohort", "preprocess", layout.fold_step("scratch", FOLD))
    with open_step("explain", study, upstream=upstream) as step:
        data = read_learning_data(step)
        places = dict.fromkeys(images, ("scratch", FOLD, 0))
        return find_influences(step, data, places, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    torch.set_num_threads(1)
    return prepare(tmp_path_factory.mktemp("planted"), planted=True)


@pytest.fixture(scope="module")
def found(planted):
    study, case, _ = planted
    return ask(study, [case])


def first(influences, kind):
    rows = [row for row in influences.rows if row["kind"] == kind]
    return rows[0] if rows else None


def test_a_mislabelled_copy_is_the_nearest_and_the_one_that_raised_the_loss_most(planted, found):
    _, case, copy = planted
    for kind in ("nearest", "raised"):
        assert first(found, kind)["image_id"] == case
        assert first(found, kind)["train_image_id"] == copy
        assert first(found, kind)["train_label"] == "benign"
    assert first(found, "nearest")["score"] == pytest.approx(0, abs=1e-3)
    assert first(found, "raised")["score"] < 0
    assert first(found, "lowered")["score"] > 0


def test_without_the_copy_another_image_stands_first(tmp_path):
    study, case, copy = prepare(tmp_path, planted=False)
    told = ask(study, [case])
    assert first(told, "nearest")["train_image_id"] != copy
    assert first(told, "nearest")["score"] > 0.1


def test_each_subject_stands_once_and_is_of_the_folds_train(planted, found):
    study, _, _ = planted
    folds = read_table(Layout(study.output.path).folds)
    train = {r["image_id"] for r in folds if (r["fold"], r["split"]) == ("0", "train")}
    assert {row["train_image_id"] for row in found.rows} <= train
    for kind in ("nearest", "raised", "lowered"):
        rows = [row for row in found.rows if row["kind"] == kind]
        assert 0 < len(rows) <= study.explain.influence
        assert len({row["train_subject"] for row in rows}) == len(rows)
        assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))


def test_what_is_said_of_the_network_names_its_checkpoints(found):
    (network,) = found.networks
    assert [held["epoch"] for held in network["checkpoints"]] == [2, 4, 7]
    assert network["n_train"] == network["n_compared"]
    assert network["reason"] is None
    raised = first(found, "raised")
    assert raised["n_checkpoints"] == 3
    assert first(found, "nearest")["n_checkpoints"] == 0


def test_the_answer_is_the_same_twice_and_whoever_is_asked_for_together(planted, found):
    study, case, _ = planted
    folds = read_table(Layout(study.output.path).folds)
    tested = [r["image_id"] for r in folds if (r["fold"], r["split"]) == ("0", "test")]
    together = ask(study, tested)
    assert [row for row in together.rows if row["image_id"] == case] == found.rows


def test_where_no_checkpoint_was_kept_the_nearest_are_named_and_the_reason_is_told(tmp_path):
    study, case, _ = prepare(tmp_path, planted=False, train={"epochs": 1, "keep_checkpoints": 0})
    told = ask(study, [case])
    assert {row["kind"] for row in told.rows} == {"nearest"}
    assert "train.keep_checkpoints" in told.networks[0]["reason"]


def test_none_is_looked_for_where_none_is_asked_for(planted):
    study, case, _ = planted
    values = study.model_dump()
    values["explain"]["influence"] = 0
    assert ask(build_study(values), [case]).rows == []


@pytest.mark.parametrize("backbone", [*BACKBONES])
def test_every_backbones_last_layer_follows_from_its_features(backbone):
    torch.manual_seed(0)
    network = build_backbone(backbone, spatial_dims=2, channels=1, n_classes=3).eval()
    images, head = torch.rand(2, 1, 64, 64), head_names(backbone)[0]
    with torch.no_grad(), keep_features(network, head, n_views=1) as seen:
        logits = network(images).numpy()
    weight, bias = read_head(network, head)
    np.testing.assert_allclose(seen[0].numpy() @ weight.T + bias, logits, rtol=1e-3, atol=1e-4)
