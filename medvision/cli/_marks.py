"""The mark that a part of a step leaves once it is done: by which settings and version."""

from collections.abc import Mapping
from pathlib import Path

from medvision import __version__
from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.runtime.files import write_json


def write_mark(path: Path, facts: Mapping[str, JsonValue], *, study: Study, step: str) -> None:
    """Write the mark of a part.

    Args:
        path: Where the workflow looks for it.
        facts: What the part did.
        study: The configuration that it obeyed.
        step: Of which it is a part.
    """
    held = {**facts, "version": __version__, "parameters": study.settings(step)}
    write_json(path, held)
