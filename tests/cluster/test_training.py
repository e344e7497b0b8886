"""Trainings that a cluster interrupts end with the bytes of one that was left alone."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cluster.disks import small_disk
from cluster.runs import CHECKOUT
from cluster.slurm import Cluster, wait_for
from pipeline import TINY, list_commands, run, write_config

from medvision.layout import Layout
from medvision.runtime.files import hash_file

# Some 15 s on one core: more than the first life has.
FIT = {"epochs": 250, "patience": 250, "batch_size": 4}
STUDY = {**TINY, "model": {"weights": "none"}, "train": FIT}
TRAIN = f"{sys.executable} -m medvision train --config config.yaml --arm scratch --fold 0"
REQUEUES = """\
echo "life ${SLURM_RESTART_COUNT:-0} ends with $code"
if [ $code = 75 ]; then scontrol requeue $SLURM_JOB_ID; sleep 30; fi
exit $code
"""
# A job's own limit ends its first life; what preempts it ends the second.
SCRIPT = f"""\
[ "${{SLURM_RESTART_COUNT:-0}}" = 0 ] && export MEDVISION_TIME_LIMIT_MIN=0.3
srun {TRAIN}
code=$?
{REQUEUES}"""
# Warned by SLURM itself, which reaches each process of a step but not the script,
WARNED = f"srun {TRAIN}\ncode=$?\n"
# or the script alone (`B:`), which hands the warning on.
TRAPPED = f"""\
srun {TRAIN} &
step=$!
trap 'kill -USR1 $step' USR1
wait $step; code=$?
# 128 and the signal's number: the warning came, and the step goes on to its end.
if [ $code = 138 ]; then wait $step; code=$?; fi
"""


@dataclass
class Training:
    """A study that is ready to be trained, in a folder of its own, and what its jobs say."""

    cluster: Cluster
    folder: Path
    log: Path

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

    def submit(self, script: str, *options: str) -> str:
        """Submit a job that runs in the study's folder and writes to its log."""
        own = ("--open-mode=append", "-o", str(self.log), "-c", "2", "--mem=3000")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            inside = f"cd {self.folder}\n{script}"
            return self.cluster.submit(inside, *own, *options, folder=self.log.parent)

    def wait_for_word(self, word: str, seconds: float = 240) -> None:
        """Wait until something is said in the log."""

        def has_word() -> bool:
            return self.log.is_file() and word in self.log.read_text()

        try:
            wait_for(has_word, seconds=seconds, what=word)
        except TimeoutError:
            said = self.log.read_text() if self.log.is_file() else "no log"
            pytest.fail(f"{word!r} is not in {said}")

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
    return Training(cluster, folder, folder.with_suffix(".log"))


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
    job = training.submit(SCRIPT, "--requeue", "-p", "spare")
    training.wait_for_word("life 0 ends with 75")
    assert "it was asked to stop in epoch" in training.log.read_text()
    assert ": the job's time is nearly over." in training.log.read_text()
    training.wait_for_word("resuming after")
    preempt(cluster, tmp_path)
    training.wait_for_word("life 1 ends with 75")
    assert "SIGTERM came" in training.log.read_text()
    training.wait_for_word("life 2 ends with 0", 300)
    assert cluster.show(job)["Restarts"] == "2"
    left_alone.finish(300)
    assert training.digest() == left_alone.training.digest()
    assert not (training.seed / "resume").exists()


def preempt(cluster: Cluster, folder: Path) -> None:
    """Have something more urgent want all of the node, for a moment."""
    cluster.submit("sleep 1\n", "-p", "urgent", "-c", "4", folder=folder)


def test_warned_by_sigusr1_a_minute_before_a_preemption_it_ends_bit_equal(
    prepared: Path, tmp_path: Path, cluster: Cluster, left_alone: Started
) -> None:
    scripts = {"warned": (WARNED, "--signal=USR1@60"), "trapped": (TRAPPED, "--signal=B:USR1@60")}
    trainings = []
    for name, (script, asked) in scripts.items():
        training = copy_study(prepared, tmp_path / name, cluster)
        training.submit(script + REQUEUES, asked, "--requeue", "-p", "spare")
        trainings.append(training)
    for training in trainings:
        wait_for_state(training)
    preempt(cluster, tmp_path)
    for training in trainings:
        training.wait_for_word("life 0 ends with 75")
        assert "SIGUSR1 came" in training.log.read_text()
    left_alone.finish(300)
    for training in trainings:
        training.wait_for_word("life 1 ends with 0", 300)
        assert "resuming after" in training.log.read_text()
        assert training.digest() == left_alone.training.digest()


def wait_for_state(training: Training) -> None:
    """Wait until a training has kept where it is."""
    state = training.seed / "resume" / "state.pt"
    wait_for(state.is_file, seconds=240, what=f"{state}")


def test_a_training_whose_disk_fills_up_says_so_and_with_room_ends_bit_equal(
    prepared: Path, tmp_path: Path, cluster: Cluster, left_alone: Started
) -> None:
    script = f'{TRAIN}\necho "it ends with $?"\n'
    with small_disk(tmp_path / "disk", size="64m") as disk:
        on_disk = copy_study(prepared, disk.folder / "study", cluster)
        training = replace(on_disk, log=tmp_path / "out.log")
        training.submit(script)
        wait_for_state(training)
        disk.fill()
        training.wait_for_word("it ends with 11")
        assert "must be writable, it has no space left" in training.log.read_text()
        assert not (training.seed / "model.safetensors").exists()
        disk.free()
        training.submit(script)
        training.wait_for_word("it ends with 0", 300)
        assert "resuming after" in training.log.read_text()
        left_alone.finish(300)
        assert training.digest() == left_alone.training.digest()
