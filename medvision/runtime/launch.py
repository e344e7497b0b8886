"""The start of a team: by torchrun on one machine, by srun and torchrun on several."""

import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from medvision.errors import ConfigError, StoppedError, TrainingError
from medvision.runtime.files import storage_faults
from medvision.runtime.team import DONE, RENDEZVOUS, STOP, STOPPED
from medvision.runtime.team_commands import (
    Shape,
    build_environment,
    build_srun,
    build_torchrun,
)

FOLDER_PREFIX = ".team-"
"""Of the folder in the output folder in which the processes of one start find each other."""

# A terminal's Ctrl-C and its loss ask for an end as well.
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)
# Of what is asked to end, before it is killed.
_GRACE_S = 60

Handler = Callable[[int, FrameType | None], object]

_log = logging.getLogger(__name__)


def is_launcher(shape: Shape, environment: Mapping[str, str]) -> bool:
    """Tell whether this process is to start the others, rather than to be one of them.

    Args:
        shape: What the configuration asks for.
        environment: Variables of the process.

    Returns:
        False for a process that torchrun started, and where one process trains alone.

    Raises:
        ConfigError: Processes were started by hand, and are not as many as asked for.
    """
    if shape.size == 1:
        return False
    held = environment.get("WORLD_SIZE")
    if held is not None and held != str(shape.size):
        raise ConfigError(
            f"environment: WORLD_SIZE must be {shape.size}, as compute.nodes and "
            f"compute.processes_per_node say, got {held}.",
            "start the command without torchrun: it starts its processes by itself.",
        )
    return held is None


def launch(words: Sequence[str], *, shape: Shape, root: Path) -> int:
    """Start all processes of a command, and wait for their end.

    On several machines srun starts this command once on each of them, and that one starts the
    processes of its machine.

    Args:
        words: The command's name and options.
        shape: How many processes.
        root: The study's output folder, which all machines see.

    Returns:
        0, the exit code of `StoppedError` where all stopped and kept where they are, or that of
        the process that failed first.

    Raises:
        ConfigError: There are no several machines, or no way between them; or the command itself
            was started several times over.
        TrainingError: srun ended well, and the processes did not.
        StorageError: The output folder cannot be written.
    """
    held = os.environ.get(RENDEZVOUS)
    if held is not None:
        return _run_torchrun(words, shape=shape, folder=Path(held))
    _check_single(os.environ)
    with _open_rendezvous(root) as folder:
        _log.info("training by %d processes on %d nodes", shape.size, shape.nodes)
        start = _run_torchrun if shape.nodes == 1 else _run_srun
        return _judge(start(words, shape=shape, folder=folder), folder)


def _check_single(environment: Mapping[str, str]) -> None:
    """Refuse a command that srun started more than once: each would start processes of its own."""
    n = environment.get("SLURM_STEP_NUM_TASKS", "1")
    if n != "1":
        raise ConfigError(
            f"environment: command must be started once, got a step of SLURM with {n} tasks.",
            "start it without srun: it starts its processes on all nodes by itself.",
        )


@contextmanager
def _open_rendezvous(root: Path) -> Iterator[Path]:
    """Make a folder of this start's own, and remove it afterwards."""
    with storage_faults(root):
        root.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=root.absolute()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _judge(code: int, folder: Path) -> int:
    """Return the exit code of all, by what the processes themselves said."""
    if (folder / STOPPED).exists():
        return StoppedError.exit_code
    # srun was seen to end with 0 where its step had been cancelled.
    if code == 0 and not (folder / DONE).exists():
        raise TrainingError(
            "training: all processes must end their work, got no word of that.",
            "another may have cancelled them; the last complete epoch is kept: run again.",
        )
    return code


def _run_srun(words: Sequence[str], *, shape: Shape, folder: Path) -> int:
    """Run the command on each machine of the job; a signal reaches it by a file, and then srun."""
    if "SLURM_JOB_ID" not in os.environ or shutil.which("srun") is None:
        raise ConfigError(
            f"compute.nodes: value must be 1 outside a SLURM job, got {shape.nodes}.",
            "run the workflow with the profile slurm, or set compute.nodes to 1.",
        )
    environment = {**os.environ, RENDEZVOUS: str(folder)}
    words = build_srun(words, shape=shape, environment=environment)
    started: list[subprocess.Popen[bytes]] = []

    def hand_on(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's signature
        # srun itself would end all processes within seconds, whatever they have to write.
        for process in started if (folder / STOP).exists() else ():
            process.send_signal(signal.SIGTERM)
        # On a full disk the processes go on to their end, or to that of the job's time.
        with suppress(OSError):
            (folder / STOP).touch()

    with _handling(hand_on, *_SIGNALS), _ending(subprocess.Popen(words, env=environment)) as srun:
        started.append(srun)
        return _read_code(srun.wait())


@contextmanager
def _ending(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """Leave no process behind, however the wait for it ends."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _handling(handler: Handler, *signums: signal.Signals) -> Iterator[None]:
    """Have signals handled, and put back what handled them before."""
    before = {signum: signal.signal(signum, handler) for signum in signums}
    try:
        yield
    finally:
        for signum, earlier in before.items():
            signal.signal(signum, earlier)


def _run_torchrun(words: Sequence[str], *, shape: Shape, folder: Path) -> int:
    """Run the command in each process of this machine; torchrun hands SIGTERM on."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    os.environ.update(build_environment(os.environ, shape=shape, folder=folder))
    options = build_torchrun(words, shape=shape, folder=folder)
    try:
        with _handling(_take_for_sigterm, signal.SIGUSR1):
            run.run(run.parse_args(options))  # type: ignore[no-untyped-call]  # torch has none
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode != StoppedError.exit_code:
            _log.warning("training: process %d ended with %d", rank, failure.exitcode)
        return _read_code(failure.exitcode)
    except SignalException as error:
        return _read_code(-error.sigval)
    return 0


def _take_for_sigterm(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's signature
    """Do as at SIGTERM, which torchrun knows: a scheduler may warn by another signal."""
    os.kill(os.getpid(), signal.SIGTERM)


def _read_code(code: int) -> int:
    """Return an exit code as a shell tells it, where a signal is a number below 0."""
    return code if code >= 0 else 128 - code
