"""Trainings that a cluster interrupts end with the bytes of one that was left alone."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster.runs import CHECKOUT
from cluster.slurm import Cluster, wait_for
from pipeline import TINY, list_commands, run, write_config

from medvision.layout import Layout
from medvision.runtime.files import hash_file

# Some 15 s on one core: more than the first life has.
FIT = {"epochs": 250, "patience": 250, "batch_size": 4}
STUDY = {**TINY, "model": {"weights": "none"}, "train": FIT}
TRAIN = f"{sys.executable} -m medvision train --config config.yaml --arm scratch --fold 0"
# A job's own limit ends its first life; what preempts it ends the second.
SCRIPT = f"""\
[ "${{SLURM_RESTART_COUNT:-0}}" = 0 ] && export MEDVISION_TIME_LIMIT_MIN=0.3
srun {TRAIN}
code=$?
echo "life ${{SLURM_RESTART_COUNT:-0}} ends with $code"
if [ $code = 75 ]; then scontrol requeue $SLURM_JOB_ID; sleep 30; fi
exit $code
"""


@dataclass
class Training:
    """A study that is ready to be trained, in a folder of its own."""

    cluster: Cluster
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        python = Path(sys.executable).parent
        path = self.cluster.environment["PATH"]
        return {
            **self.cluster.environment,
            "PATH": f"{path}:{python}",
            "PYTHONPATH": str(CHECKOUT),
            "OMP_NUM_THREADS": "1",
        }

    @property
    def seed(self) -> Path:
        return Layout(self.folder / "results").seed("scratch", 0, seed=0)

    def digest(self) -> dict[str, str]:
        return {
            path.name: hash_file(path) for path in sorted(self.seed.iterdir()) if path.is_file()
        }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny study up to its arrays."""
    config = write_config(tmp_path_factory.mktemp("prepared"), STUDY)
    for arguments in list_commands(config):
        if arguments[0] == "train":
            return config.parent
        run(arguments)
    raise AssertionError("no training")


def copy_study(prepared: Path, folder: Path, cluster: Cluster) -> Training:
    """Copy a study; times are kept, so that Snakemake finds the earlier steps done."""
    shutil.copytree(prepared, folder)
    write_config(folder, STUDY)
    return Training(cluster, folder)


@dataclass
class Started:
    """A command that runs while the tests go on."""

    training: Training
    process: subprocess.Popen[bytes]

    def finish(self, seconds: float) -> str:
        """Wait for its end, which must be a good one; return what it printed."""
        code = self.process.wait(seconds)
        said = (self.training.folder / "said.log").read_text()
        assert code == 0, said
        return said


@contextmanager
def started(training: Training, words: list[str]) -> Iterator[Started]:
    """Start a command in a study's folder, which does not outlive the tests."""
    with (training.folder / "said.log").open("wb") as log:
        process = subprocess.Popen(
            words, cwd=training.folder, env=training.environment, stdout=log, stderr=log
        )
    try:
        yield Started(training, process)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def left_alone(
    prepared: Path, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Started]:
    """A training that nothing interrupts."""
    study = copy_study(prepared, tmp_path_factory.mktemp("alone") / "study", cluster)
    with started(study, TRAIN.split()) as running:
        yield running


def test_requeued_by_its_own_deadline_and_preempted_it_ends_bit_equal(
    prepared: Path, tmp_path: Path, cluster: Cluster, left_alone: Started
) -> None:
    training = copy_study(prepared, tmp_path / "study", cluster)
    folder, log = training.folder, training.folder / "out.log"
    options = ["--requeue", "--open-mode=append", "-o", "out.log", "-p", "spare", "-c", "2"]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in training.environment.items():
            patch.setenv(name, value)
        job = cluster.submit(SCRIPT, *options, "--mem=3000", folder=folder)

    def wait_for_word(word: str, seconds: float = 150) -> None:
        def has_word() -> bool:
            return log.is_file() and word in log.read_text()

        try:
            wait_for(has_word, seconds=seconds, what=word)
        except TimeoutError:
            pytest.fail(f"{word!r} is not in {log.read_text() if log.is_file() else 'no log'}")

    wait_for_word("life 0 ends with 75")
    assert "the job's time is nearly over" in log.read_text()
    wait_for_word("resuming after")
    # All of the node, for a moment.
    cluster.submit("sleep 1\n", "-p", "urgent", "-c", "4", folder=folder)
    wait_for_word("life 1 ends with 75")
    wait_for_word("life 2 ends with 0", 300)
    assert cluster.show(job)["Restarts"] == "2"
    left_alone.finish(300)
    assert training.digest() == left_alone.training.digest()
    assert not (training.seed / "resume").exists()
