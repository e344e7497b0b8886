"""Whether the tables of all predictions are those of their parts, put together again."""

from itertools import zip_longest

from medvision.audit.findings import Finding
from medvision.audit.verify import Locate
from medvision.cli._recompute.predictions import PREDICTIONS, TEMPERATURES
from medvision.domain.arms import ARMS
from medvision.io.tables import read_table
from medvision.runtime.files import read_json

_RECORD = "predict/record.json"
_DEPTH = 4
"""Words of a part's table: predict, arm, fold-<k>, table."""


def find_gathered_faults(locate: Locate) -> list[Finding]:
    """Put the tables of all arms and folds together again, and return what differs.

    Args:
        locate: Returns where a file of the study lies in the bundle.

    Returns:
        One finding per table that has another row than its parts.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        ValueError: The record names a part that can be none.
    """
    record = read_json(locate(_RECORD))
    reads = record.get("reads") if isinstance(record, dict) else None
    places = sorted({_read_place(path) for path in reads} if isinstance(reads, dict) else ())
    found = [_compare_table(locate, table, places) for table in (PREDICTIONS, TEMPERATURES)]
    return [finding for finding in found if finding is not None]


def _read_place(path: str) -> tuple[int, int]:
    """Return the arm's place among all and the fold of a part's table."""
    words = path.split("/")
    if len(words) != _DEPTH or words[1] not in ARMS:
        raise ValueError(f"{_RECORD}: reads must be tables of an arm and fold, got {path}.")
    return ARMS.index(words[1]), int(words[2].removeprefix("fold-"))


def _compare_table(locate: Locate, table: str, places: list[tuple[int, int]]) -> Finding | None:
    """Name the first row of a table that is not the one of its part."""
    stage, _, name = table.partition("/")
    parts = [f"{stage}/{ARMS[arm]}/fold-{fold}/{name}" for arm, fold in places]
    rows = [(part, row) for part in parts for row in read_table(locate(part))]
    held = read_table(locate(table))
    for n, (own, row) in enumerate(zip_longest(rows, held), 1):
        if own is None:
            return Finding(table, f"row {n}", "absent, as in its parts", "one more row")
        if own[1] != row:
            return Finding(table, f"row {n}", f"the one of {own[0]}", "another" if row else "none")
    return None
