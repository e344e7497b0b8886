"""MLflow shows what the history holds, once, and nothing of anybody."""

import sys

import pytest

from medvision.errors import ConfigError, StoppedError
from medvision.learn.tracking import EXPERIMENT, RUN_TAG, open_tracking

ROWS = [
    {"epoch": 1, "train_loss": 0.5, "validation_auc": None},
    {"epoch": 2, "train_loss": 0.25, "validation_auc": 0.75},
]


def open_run(folder):
    return open_tracking(
        str(folder), run_id="0f" * 16, name="scratch fold 0 seed 1", parameters={"train.epochs": 2}
    )


def stop_after_an_epoch(folder):
    with open_run(folder) as add:
        add(ROWS[0])
        raise StoppedError("told to")


def read_runs(folder):
    tracking = pytest.importorskip("mlflow.tracking")
    client = tracking.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return client, client.search_runs([experiment.experiment_id])


def test_a_training_that_goes_on_is_one_run_with_each_epoch_once(tmp_path):
    pytest.importorskip("mlflow", reason="needs mlflow-skinny")
    with pytest.raises(StoppedError):
        stop_after_an_epoch(tmp_path)
    with open_run(tmp_path) as add:
        add(ROWS[0])
        add(ROWS[1])
    client, runs = read_runs(tmp_path)
    assert len(runs) == 1
    run = runs[0]
    assert run.info.status == "FINISHED"
    assert run.data.params == {"train.epochs": "2"}
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.5), (2, 0.25)]
    assert run.data.metrics["validation_auc"] == 0.75
    assert run.data.tags == {RUN_TAG: "0f" * 16, "mlflow.runName": "scratch fold 0 seed 1"}
    assert not run.info.user_id or run.info.user_id == "unknown"
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db"}, "no image, no artefact"


def test_a_training_that_fails_is_shown_as_failed(tmp_path):
    pytest.importorskip("mlflow", reason="needs mlflow-skinny")
    with pytest.raises(RuntimeError), open_run(tmp_path):
        raise RuntimeError
    assert read_runs(tmp_path)[1][0].info.status == "FAILED"


def test_without_the_package_the_line_to_install_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(ConfigError, match="mlflow-skinny must be installed") as caught:
        open_run(tmp_path).__enter__()
    assert "pip install 'medvision[mlflow]'" in caught.value.hint
