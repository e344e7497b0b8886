"""Several processes of one command: which may have them, and which of them writes."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from medvision.cli._run import Step, find_layout, open_step
from medvision.config.model import Study
from medvision.runtime.launch import is_launcher, launch
from medvision.runtime.team import RENDEZVOUS, STOP, Team
from medvision.runtime.team_commands import Shape


def start_team(study: Study, words: Sequence[str]) -> bool:
    """Run a command in several processes, where the configuration asks for them.

    Args:
        study: The configuration in force, which the processes are given whole.
        words: The command's name and its own options.

    Returns:
        False where this process is to do the work itself: alone, or as one of the several.

    Raises:
        ConfigError: The processes that were started by hand are not as many as asked for, or
            there are not the nodes.
        SystemExit: A process failed, or all stopped and kept where they are.
    """
    compute = study.compute
    shape = Shape(compute.nodes, compute.processes_per_node, compute.threads)
    if not is_launcher(shape, os.environ):
        return False
    is_quiet = logging.getLogger("medvision").level >= logging.WARNING
    quiet = ["--quiet"] if is_quiet else []
    given = [*words, "--config", study.model_dump_json(), *quiet]
    code = launch(given, shape=shape, root=study.output.path)
    if code:
        raise SystemExit(code)
    return True


@contextmanager
def open_shared_step(
    name: str, study: Study, *, upstream: Sequence[str], team: Team
) -> Iterator[Step]:
    """Run a step in several processes, of which the first one alone clears, writes and records.

    Args:
        name: Step name.
        study: The configuration in force.
        upstream: Steps whose files this step reads.
        team: The processes.

    Raises:
        StaleOutputError: An earlier step is missing, or was run with other settings.
    """
    if team.is_first:
        with open_step(name, study, upstream=upstream) as step:
            yield step
        return
    # What the first one says is enough; a warning or an error of this process is still heard.
    logging.getLogger("medvision").setLevel(logging.WARNING)
    yield Step(name, study, find_layout(study), tuple(upstream))


def find_stop_mark() -> Path | None:
    """Return the file by which the process that started this one tells it to stop, if any."""
    folder = os.environ.get(RENDEZVOUS)
    return Path(folder) / STOP if folder is not None else None


def is_under_torchrun() -> bool:
    """Tell whether torchrun started this process, and so sends it a SIGTERM of its own."""
    return "TORCHELASTIC_RUN_ID" in os.environ
