"""Commands in a forked child: it has what this process has imported, which a new one would load."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from pipeline import call

Done = subprocess.CompletedProcess[str]


def run_snakemake(command: list[str], *, env: dict[str, str] | None = None) -> Done:
    """Do as `python -m snakemake ...` does, in a child of this process.

    Args:
        command: The whole command line, from the interpreter on.
        env: The child's environment; this process's own when omitted.

    Returns:
        Exit code and both outputs.
    """
    import snakemake.cli

    assert command[:3] == [sys.executable, "-m", "snakemake"]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("stdout", "stderr")]
        child = os.fork()
        if child == 0:
            os.environ.update(env or {})
            _end_as(lambda: snakemake.cli.main(command[3:]), paths)
        _, status = os.waitpid(child, 0)
        outputs = [path.read_text() for path in paths]
    return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(status), *outputs)


def _end_as(run: Callable[[], object], paths: list[Path]) -> None:
    """Run in this child with its outputs in files, and end with the code that was asked for."""
    code: object = 1
    try:
        for number, path in enumerate(paths, start=1):
            os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), number)
        sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))  # noqa: SIM115
        if module := sys.modules.get("snakemake.shell"):
            # It keeps the output that there was when it was imported.
            module.STDOUT = sys.stdout
        run()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001 - whatever it is, the child ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def start(arguments: list[str]) -> int:
    """Start a command of medvision in a child; return the child's number."""
    child = os.fork()
    if child == 0:
        os._exit(call(arguments).exit_code)
    return child


def wait(child: int) -> int:
    """Return a child's end: its exit code, or minus the signal that killed it."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def interrupt(arguments: list[str], *, once: Callable[[], bool], number: signal.Signals) -> int:
    """Run a command of medvision in a child that is sent a signal once it has come so far.

    Args:
        arguments: The command line.
        once: Tells whether it has.
        number: The signal.

    Returns:
        The child's end.
    """
    child = start(arguments)
    while not once():
        ended, status = os.waitpid(child, os.WNOHANG)
        assert not ended, f"the child ended by itself: {os.waitstatus_to_exitcode(status)}"
        time.sleep(0.001)
    os.kill(child, number)
    return wait(child)
