"""Commands of SLURM that answer from text: what a test puts on PATH in place of a cluster."""

import os
import shlex
import stat
import textwrap
from collections.abc import Mapping
from pathlib import Path

CONFIG = "MinJobAge               = 300 sec\nAccountingStorageType   = (null)\n"

CALLS = "calls"
"""File in the folder of commands to which `sbatch` adds its arguments, one call a line."""


def write_command(folder: Path, name: str, script: str) -> None:
    """Write one command as a shell script."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n" + textwrap.dedent(script))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def write_answer(folder: Path, name: str, text: str, *, code: int = 0) -> None:
    """Write a command that prints a text and ends with a code."""
    write_command(folder, name, f"printf '%s' {shlex.quote(text)}\nexit {code}\n")


def write_refusing_cluster(folder: Path, *, account: str = "radiology") -> None:
    """Write a cluster whose `sbatch` writes down what it is asked and refuses every job."""
    write_answer(folder, "scontrol", CONFIG)
    write_answer(folder, "sacctmgr", f"{account}\n")
    write_answer(folder, "sinfo", "")
    write_answer(folder, "squeue", "")
    calls = shlex.quote(str(folder / CALLS))
    write_command(
        folder,
        "sbatch",
        f"""\
        for word in "$@"; do printf '%s\\0' "$word" >> {calls}; done
        printf '\\n' >> {calls}
        env > {calls}-environment
        echo refused >&2
        exit 1
        """,
    )


def read_calls(folder: Path) -> list[list[str]]:
    """Return the arguments of each call of `sbatch`, in their order."""
    path = folder / CALLS
    lines = path.read_text().split("\0\n") if path.is_file() else []
    return [line.split("\0") for line in lines if line]


def with_path(folder: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return an environment in which the folder's commands are found first."""
    return {**environment, "PATH": f"{folder}:{environment['PATH']}"}
