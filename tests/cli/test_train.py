"""`medvision train`: reproducible to the byte, also when it is killed on the way."""

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from children import interrupt
from click.testing import CliRunner
from safetensors import safe_open
from toy_study import make_study

from medvision.cli.main import main
from medvision.io.tables import read_table
from medvision.layout import Layout

CHECKPOINTS = tuple(f"checkpoint-{epoch:04d}.safetensors" for epoch in (1, 3, 5))
ARTEFACTS = (
    *("model.safetensors", "history.tsv", "weights.tsv", "summary.json"),
    *("checkpoints.json", *CHECKPOINTS),
)


def train(study, *options: str):
    arguments = ["train", "--config", study.model_dump_json(), "--fold", "0", *options]
    return CliRunner().invoke(main, arguments)


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ARTEFACTS}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A study trained in one go; the output folder's name must not matter."""
    study = make_study(tmp_path_factory.mktemp("undisturbed"), train={"epochs": 5})
    result = train(study, "--arm", "scratch")
    assert result.exit_code == 0, result.output
    return study


def test_every_artefact_is_written_and_recorded(undisturbed):
    layout = Layout(undisturbed.output.path)
    record = json.loads(layout.record("train/scratch/fold-0").read_text())
    written = {Path(path).name for path in record["writes"]}
    assert written == set(ARTEFACTS)
    assert not (layout.seed("scratch", 0, seed=0) / "resume").exists()
    assert list((layout.seed("scratch", 0, seed=0) / "tensorboard").glob("events*"))


def test_checkpoints_are_evenly_spaced_and_say_rate_and_loss(undisturbed):
    folder = Layout(undisturbed.output.path).seed("scratch", 0, seed=0)
    listing = json.loads((folder / "checkpoints.json").read_text())
    history = read_table(folder / "history.tsv")
    assert [held["file"] for held in listing["checkpoints"]] == list(CHECKPOINTS)
    for held in listing["checkpoints"]:
        told = history[held["epoch"] - 1]["learning_rate"]
        assert held["learning_rate"] == pytest.approx(float(told))
    assert listing["loss"]["name"] == "cross_entropy"
    assert len(listing["loss"]["class_weights"]) == 2


def test_none_is_kept_of_a_network_that_is_not_explained_nor_where_none_is_wanted(tmp_path):
    study = make_study(tmp_path, train={"epochs": 1, "seeds": [0, 1]})
    assert train(study, "--arm", "scratch").exit_code == 0
    kept = [list(Layout(tmp_path).seed("scratch", 0, seed=n).glob("checkpoint*")) for n in (0, 1)]
    assert [len(files) for files in kept] == [2, 0]
    study = make_study(tmp_path, train={"epochs": 1, "keep_checkpoints": 0})
    assert train(study, "--arm", "scratch").exit_code == 0
    assert not list(Layout(tmp_path).seed("scratch", 0, seed=0).glob("checkpoint*"))


def test_checkpoint_says_how_to_build_it(undisturbed):
    path = Layout(undisturbed.output.path).model("scratch", 0, seed=0)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["backbone"] == "small"
    assert json.loads(metadata["classes"]) == ["benign", "nodule"]
    assert (metadata["spatial_dims"], metadata["channels"]) == ("3", "1")


def test_history_has_one_row_per_epoch(undisturbed):
    rows = read_table(Layout(undisturbed.output.path).history("scratch", 0, seed=0))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert list(rows[0]) == [
        "epoch",
        "train_loss",
        "validation_loss",
        "validation_auc",
        "learning_rate",
    ]


def test_same_settings_give_the_same_bytes(undisturbed, tmp_path):
    again = make_study(tmp_path, train={"epochs": 5})
    assert train(again, "--arm", "scratch").exit_code == 0
    folders = [Layout(s.output.path).seed("scratch", 0, seed=0) for s in (undisturbed, again)]
    assert digests(folders[0]) == digests(folders[1])


def test_another_seed_gives_another_network(tmp_path):
    study = make_study(tmp_path, train={"seeds": [0, 1], "epochs": 1})
    assert train(study, "--arm", "scratch").exit_code == 0
    first, second = (Layout(tmp_path).model("scratch", 0, seed=seed) for seed in (0, 1))
    assert first.read_bytes() != second.read_bytes()


def interrupt_once_kept(study, folder: Path, number: signal.Signals) -> int:
    """Send a run a signal once it has kept something; return its end."""
    words = ["train", "--arm", "scratch", "--fold", "0", "--config", study.model_dump_json()]
    kept = folder / "resume" / "state.pt"
    return interrupt(words, once=kept.exists, number=number)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 75)]
)
def test_interrupted_at_any_time_it_ends_bit_equal(undisturbed, tmp_path, number, end):
    study = make_study(tmp_path, train={"epochs": 5})
    folder = Layout(tmp_path).seed("scratch", 0, seed=0)
    assert interrupt_once_kept(study, folder, number) == end
    assert not (folder / "model.safetensors").exists()
    assert not Layout(tmp_path).record("train/scratch/fold-0").exists()
    result = train(study, "--arm", "scratch")
    assert result.exit_code == 0, result.output
    assert "resuming after epoch" in result.output
    assert digests(folder) == digests(Layout(undisturbed.output.path).seed("scratch", 0, seed=0))


def test_transfer_from_another_study_is_reported_tensor_by_tensor(undisturbed, tmp_path):
    study = make_study(tmp_path, model={"weights": str(undisturbed.output.path)})
    result = train(study, "--arm", "transfer")
    assert result.exit_code == 0, result.output
    folder = Layout(tmp_path).seed("transfer", 0, seed=0)
    status = {row["tensor"]: row["status"] for row in read_table(folder / "weights.tsv")}
    assert status["features.conv0.weight"] == "loaded"
    assert status["class_layers.out.weight"] == "skipped-head"
    assert json.loads((folder / "summary.json").read_text())["weights_match"] == 1.0
    record = json.loads(Layout(tmp_path).record("train/transfer/fold-0").read_text())
    assert "source:weights" in record["reads"]


def test_augmentation_changes_what_is_learnt(undisturbed, tmp_path):
    study = make_study(tmp_path, train={"epochs": 5}, augment={"flip_axes": [0], "noise_sd": 0.1})
    assert train(study, "--arm", "scratch").exit_code == 0
    folders = [Layout(s.output.path).seed("scratch", 0, seed=0) for s in (undisturbed, study)]
    assert digests(folders[0])["history.tsv"] != digests(folders[1])["history.tsv"]


def test_arm_that_the_study_has_not_is_refused(tmp_path):
    result = train(make_study(tmp_path), "--arm", "transfer")
    assert result.exit_code == 2
    assert "arm must be one of scratch" in result.output


def test_subject_on_two_sides_is_refused_before_training(tmp_path):
    study = make_study(tmp_path)
    folds = Layout(tmp_path).folds
    first = folds.read_text().splitlines()[1].split("\t")
    first[4], first[7] = "sub-0000000000_img-ffffffffffff", "validation"
    folds.write_text(folds.read_text() + "\t".join(first) + "\n")
    result = train(study, "--arm", "scratch")
    assert result.exit_code == 5
    assert "subject must be in one split" in result.output


def test_synthetic_image_outside_train_is_refused(tmp_path):
    study = make_study(tmp_path)
    folds = Layout(tmp_path).folds
    header, *lines = folds.read_text().splitlines()
    text = [header + "\tsynthetic", *(f"{line}\ttrue" for line in lines)]
    folds.write_text("\n".join(text) + "\n")
    result = train(study, "--arm", "scratch")
    assert result.exit_code == 5
    assert "synthetic image must be in train" in result.output


def test_not_a_number_names_the_subject_and_keeps_no_model(tmp_path):
    study = make_study(tmp_path)
    layout = Layout(tmp_path)
    row = next(r for r in read_table(layout.folds) if r["split"] == "train")
    arrays = np.load(layout.array_shard("1-of-1"))
    arrays[int(row["subject"].removeprefix("sub-"), 16)] = np.nan
    np.save(layout.array_shard("1-of-1"), arrays)
    result = train(study, "--arm", "scratch")
    assert result.exit_code == 7
    assert row["subject"] in result.output
    assert not layout.model("scratch", 0, seed=0).exists()


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"schedule": "one_cycle", "warm_up_epochs": 1}, "warm_up_epochs must be 0"),
        ({"loss": "focal", "label_smoothing": 0.1}, "label_smoothing must be 0"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(values, rule):
    config = json.dumps({"train": values})
    result = CliRunner().invoke(main, ["config", "--config", config])
    assert result.exit_code == 2
    assert rule in result.output


def test_a_linear_head_is_trained_on_features_computed_once(undisturbed, tmp_path):
    model = {"weights": str(undisturbed.output.path), "policy": "linear"}
    study = make_study(tmp_path, model=model)
    result = train(study, "--arm", "transfer")
    assert result.exit_code == 0, result.output
    assert "features are computed once" in result.output
    summary = Layout(tmp_path).seed("transfer", 0, seed=0) / "summary.json"
    assert json.loads(summary.read_text())["reuses_features"] is True


def test_torchrun_trains_by_several_processes_and_the_first_one_writes(undisturbed, tmp_path):
    study = make_study(tmp_path, train={"epochs": 5})
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", "medvision", "train", "--config", study.model_dump_json()),
        *("--arm", "scratch", "--fold", "0"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("training scratch, fold 0, seed 0: done") == 1
    records, tables = [], []
    for layout in (Layout(undisturbed.output.path), Layout(study.output.path)):
        records.append(json.loads(layout.record("train/scratch/fold-0").read_text()))
        tables.append(read_table(layout.history("scratch", 0, seed=0)))
    assert records[1]["facts"] == {**records[0]["facts"], "processes": 2}
    assert records[1]["writes"].keys() == records[0]["writes"].keys()
    # AdamW's first steps depend on the sign of gradients that are all but nought.
    for one, two in zip(*tables, strict=True):
        assert float(two["train_loss"]) == pytest.approx(float(one["train_loss"]), abs=0.02)


def test_mlflow_shows_the_run_that_the_record_names_and_no_path(tmp_path):
    tracking = pytest.importorskip("mlflow.tracking", reason="needs mlflow-skinny")
    place = tmp_path / "shown"
    study = make_study(tmp_path / "study", train={"epochs": 1, "mlflow": str(place)})
    assert train(study, "--arm", "scratch").exit_code == 0
    text = Layout(study.output.path).record("train/scratch/fold-0").read_text()
    assert str(tmp_path) not in text
    client = tracking.MlflowClient(tracking_uri=f"sqlite:///{place / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("medvision").experiment_id])
    assert json.loads(text)["facts"]["mlflow_runs"] == {"0": run.data.tags["medvision.run"]}
    assert run.data.params["train.epochs"] == "1"
    assert str(tmp_path) not in json.dumps(run.data.params)
    rows = read_table(Layout(study.output.path).history("scratch", 0, seed=0))
    assert run.data.metrics["train_loss"] == pytest.approx(float(rows[0]["train_loss"]))
