"""Several processes of one command: which may have them, and which of them writes."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from medvision.cli._run import Step, find_layout, open_step
from medvision.config.model import Study
from medvision.runtime.team import Team


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


def is_under_torchrun() -> bool:
    """Tell whether torchrun started this process, and so sends it a SIGTERM of its own."""
    return "TORCHELASTIC_RUN_ID" in os.environ
