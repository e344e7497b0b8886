"""Level 1 of an audit, the gate's verdict: its figures against its own tables.

Nothing but the bundle is needed, and no network library is imported.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isnan, nan
from typing import cast

from medvision.audit.findings import Finding
from medvision.audit.verify import Locate
from medvision.cli._gate.files import GATE_SHUT
from medvision.cli._recompute.compared import compare_values
from medvision.cli._synthetic.accepted import VERDICT
from medvision.cli._synthetic.read import TABLE
from medvision.domain.record import JsonValue
from medvision.domain.synthesis.copies import COPIES, count_copies
from medvision.domain.synthesis.criterion import Criterion, close_gate
from medvision.domain.synthesis.synthetic import name_gate
from medvision.io.tables import Row, read_table
from medvision.runtime.files import read_json


def find_verdict_faults(locate: Locate, fold: int) -> list[Finding]:
    """Hold a gate's verdict against its criteria, and both against what it says of each image.

    Args:
        locate: Returns where a file of the study lies in the bundle.
        fold: Whose gate.

    Returns:
        What differs: a verdict, its reason or a count that does not follow; an image that is
        accepted for a reason or refused without one; fewer or more images refused as copies than
        a criterion counted.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        LookupError, ValueError: A table is incomplete.
    """
    step = name_gate(fold)
    criteria = read_table(locate(f"{step}/criteria.tsv"))
    images = read_table(locate(f"{step}/{TABLE}"))
    told = cast(Mapping[str, JsonValue], read_json(locate(f"{step}/{VERDICT}")))
    verdict = close_gate([_read_criterion(row) for row in criteria], [])
    wanted: dict[str, JsonValue] = {
        "is_open": verdict.is_open,
        "reason": verdict.reason,
        "n_drawn": len(images),
        "n_accepted": sum(row["accepted"] == "true" for row in images),
        "n_refused": sum(row["reason"] not in ("", GATE_SHUT) for row in images),
    }
    found = compare_values("", wanted=wanted, held={name: told.get(name) for name in wanted})
    return [
        *(replace(finding, where=f"{step}/{VERDICT}") for finding in found),
        *_find_unreasoned(f"{step}/{TABLE}", images),
        *_find_miscounted(f"{step}/{TABLE}", images, criteria=criteria),
    ]


def _read_criterion(row: Row) -> Criterion:
    """Return a criterion by what its verdict is asked of; figures play no part."""
    words = {name: row[name] for name in ("criterion", "space", "statistic", "verdict", "reason")}
    return Criterion(
        **words, value=nan, low=nan, high=nan, n=0, comparator=nan, threshold=nan, source=""
    )


def _find_unreasoned(where: str, images: Sequence[Row]) -> Iterator[Finding]:
    """Name images that are refused without a reason, or accepted in spite of one."""
    for row in images:
        is_accepted = row["accepted"] == "true"
        if is_accepted == bool(row["reason"]):
            wanted = "none, as it is accepted" if is_accepted else "one, as it is not accepted"
            place = f"reason of {row['image_id']}"
            yield Finding(where, place, wanted, row["reason"] or "none")


def _find_miscounted(
    where: str, images: Sequence[Row], *, criteria: Sequence[Row]
) -> Iterator[Finding]:
    """Name the spaces in which not as many images are refused as copies as were found there."""
    reasons = [row["reason"] for row in images]
    for row in criteria:
        if row["statistic"] != COPIES or isnan(float(row["value"] or nan)):
            continue
        wanted = round(float(row["value"]) * int(row["n"]))
        held = count_copies(reasons, space=row["space"])
        if (wanted, int(row["n"])) != (held, len(images)):
            place = f"images refused as copies in {row['space']}"
            yield Finding(where, place, f"{wanted} of {row['n']}", f"{held} of {len(images)}")
