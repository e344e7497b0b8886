"""Whether a part of a step needs no second run: its record, what it read and what it wrote."""

from collections.abc import Sequence
from pathlib import Path

from medvision import __version__
from medvision.cli._run import read_record
from medvision.config.model import Study
from medvision.layout import Layout
from medvision.runtime.files import hash_file


def is_up_to_date(layout: Layout, study: Study, name: str, *, upstream: Sequence[str]) -> bool:
    """Tell whether a step would write again what it wrote.

    What it read is held to the records of the steps before it, which stand for their files; what
    it wrote is read.

    Args:
        layout: Where the study lies.
        study: The configuration in force.
        name: Step name, such as `predict/transfer/fold-0`.
        upstream: Steps whose files it reads.
    """
    record = read_record(layout, name)
    if record is None or record.version != __version__:
        return False
    if record.parameters != study.settings(name):
        return False
    earlier = [read_record(layout, step) for step in upstream]
    written = {path: digest for held in earlier if held for path, digest in held.writes.items()}
    if any(written.get(path) != digest for path, digest in record.reads.items()):
        return False
    return all(_holds(layout.root / path, digest) for path, digest in record.writes.items())


def _holds(path: Path, digest: str) -> bool:
    """Tell whether a file is there, with the bytes of a digest."""
    return path.is_file() and hash_file(path) == digest
