"""The cluster on which these tests run: one for all of them, gone afterwards."""

import importlib.util
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.runs import Run
from cluster.slurm import Cluster, list_missing, running_cluster

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out unless they are asked for by their marker: `-m cluster`."""
    own = [item for item in items if HERE in item.path.parents]
    for item in own:
        item.add_marker(pytest.mark.cluster)
        # What is shared is started by the first test that asks for it: minutes on a busy machine.
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(1500))
    if "cluster" not in config.option.markexpr:
        items[:] = [item for item in items if item not in own]
        config.hook.pytest_deselected(items=own)


@pytest.fixture(scope="session")
def cluster_is_possible() -> None:
    """Skip what needs SLURM where it, or Snakemake's plugin for it, is not installed."""
    if missing := list_missing():
        pytest.skip(
            f"{', '.join(missing)} not found: apt-get install --no-install-recommends slurm-wlm "
            "munge (make test-cluster does, where it may)"
        )
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("snakemake-executor-plugin-slurm is not installed: pip install '.[cluster]'")


@pytest.fixture(scope="session")
def cluster(cluster_is_possible: None) -> Iterator[Cluster]:
    # A run of the tests that is terminated still takes the cluster down.
    before = signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated"))
    # Sockets have short names, so pytest's own folder lies too deep.
    folder = Path(tempfile.mkdtemp(prefix="medvision-slurm-"))
    try:
        with running_cluster(folder) as started:
            yield started
    finally:
        shutil.rmtree(folder)
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that meets no fault."""
    run = Run(cluster, tmp_path_factory.mktemp("undisturbed"), parts=5).start()
    assert run.finish() == 0, run.log
    return run


@pytest.fixture
def start(cluster: Cluster, tmp_path: Path) -> Iterator[type[Run]]:
    """Make a run of the test's own, which does not outlive it."""
    made: list[Run] = []

    def make(**settings: object) -> Run:
        made.append(Run(cluster, tmp_path / "run", **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make  # type: ignore[misc]
    for run in made:
        if run.process is not None and run.process.poll() is None:
            run.process.terminate()
            run.process.wait(60)
