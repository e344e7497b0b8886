"""MLflow's view of a training, for the eyes only: settings and figures, no image and no name."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from medvision.errors import ConfigError, StoppedError
from medvision.learn.resume import HistoryValue

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

Parameter = str | int | float | bool | None

EXPERIMENT = "medvision"
RUN_TAG = "medvision.run"

_LONGEST = 500
"""Characters of a setting that every store of MLflow takes."""


@contextmanager
def open_tracking(
    place: str,
    *,
    run_id: str,
    name: str,
    parameters: Mapping[str, Parameter],
) -> Iterator[Callable[[Mapping[str, HistoryValue]], None]]:
    """Yield a function that adds an epoch's row to a run of MLflow.

    A run is known by its tag `medvision.run`: training that goes on goes on with the same run, and
    an epoch that is there already is not added again. MLflow gives its runs random ids of its own.

    Args:
        place: Folder, in which `mlflow.db` is written, or a tracking URI.
        run_id: Digest of all that the training depends on.
        name: What MLflow shows for it.
        parameters: Settings, by name.

    Raises:
        ConfigError: MLflow is not installed, or the place is none that it can write to.
    """
    client = _open_client(place)
    run = _find_run(client, run_id=run_id, name=name, parameters=parameters)
    seen = {metric.step for metric in client.get_metric_history(run, "train_loss")}

    def add(row: Mapping[str, HistoryValue]) -> None:
        epoch = int(row["epoch"] or 0)
        if epoch in seen:
            return
        for key, value in row.items():
            if key != "epoch" and value is not None:
                client.log_metric(run, key, float(value), step=epoch)

    status = "FAILED"
    try:
        yield add
        status = "FINISHED"
    except StoppedError:
        status = "KILLED"
        raise
    finally:
        client.set_terminated(run, status)


def _open_client(place: str) -> "MlflowClient":
    """Return a client of a folder's database, or of a server."""
    # MLflow reports its use to its makers unless told not to; nothing leaves a hospital unasked.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise ConfigError(
            "train.mlflow: package mlflow-skinny must be installed, got none.",
            "run `pip install 'medvision[mlflow]'`, or leave train.mlflow empty.",
        ) from error
    if "://" in place:
        return MlflowClient(tracking_uri=place)
    folder = Path(place).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # MLflow's own store of plain files is no longer kept up by its makers.
    return MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def _find_run(
    client: "MlflowClient", *, run_id: str, name: str, parameters: Mapping[str, Parameter]
) -> str:
    """Return MLflow's id of the run, which is made where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        experiment = _find_experiment(client)
        found = client.search_runs([experiment], filter_string=f"tags.`{RUN_TAG}` = '{run_id}'")
        if found:
            run = str(found[0].info.run_id)
            client.update_run(run, status="RUNNING")
            return run
        made = client.create_run(experiment, tags={RUN_TAG: run_id}, run_name=name)
        run = str(made.info.run_id)
        for key, value in parameters.items():
            client.log_param(run, key, str(value)[:_LONGEST])
    except MlflowException as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ConfigError(
            f"train.mlflow: place must be one that MLflow can write to, got {reason}.",
            "give a folder, or the address of a running server.",
        ) from error
    return run


def _find_experiment(client: "MlflowClient") -> str:
    """Return the id of our experiment, which is made where there is none."""
    from mlflow.exceptions import MlflowException

    held = client.get_experiment_by_name(EXPERIMENT)
    if held is not None:
        return str(held.experiment_id)
    try:
        return str(client.create_experiment(EXPERIMENT))
    except MlflowException:
        # Another training made it just now.
        held = client.get_experiment_by_name(EXPERIMENT)
        if held is None:
            raise
        return str(held.experiment_id)
