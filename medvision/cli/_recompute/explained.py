"""Level 1 of an audit, explanations: what their tables tell follows from rows and maps beside it.

Nothing but the bundle is needed, and no network library is imported.
"""

from collections.abc import Callable
from pathlib import Path

from medvision.audit.findings import Check, Finding
from medvision.audit.inventory import take_inventory
from medvision.audit.manifest import MANIFEST, parse_manifest
from medvision.cli._recompute.answers import FAULTS, fail, find_in, skip
from medvision.cli._recompute.beside import find_beside_faults
from medvision.cli._recompute.peaks import find_peak_faults
from medvision.cli._recompute.told import ATTRIBUTIONS, INFLUENCE, Told, read_told
from medvision.cli._recompute.verdicts import find_verdict_faults
from medvision.errors import AuditError

FIRST_LEVEL = 1
QUESTIONS = {
    "verdicts": "Do all verdicts on maps and methods, and all rates, intervals, margins and means "
    "of the explanations, follow from the statistics beside them?",
    "beside": "Are the train images beside each case of its own network's train split, in order, "
    "one of a subject, with subject and label of the folds?",
    "peaks": "Do extremes and peaks follow from the maps, and the stored pixels from the peaks?",
}
_FIND: dict[str, Callable[[Told], list[Finding]]] = {
    "verdicts": find_verdict_faults,
    "beside": find_beside_faults,
    "peaks": find_peak_faults,
}


def check_explained(bundle: Path, *, level: int) -> tuple[Check, ...]:
    """Compute again what the tables of a bundle's explanations tell of one another.

    Args:
        bundle: Folder written by `medvision audit seal`, trusted in nothing.
        level: 0 asks nothing of this.

    Returns:
        One check a question; none where the manifest is unreadable, which another check tells.
        What is wrong in the bundle is told and not raised.

    Raises:
        AuditError: There is no such folder.
    """
    if level < FIRST_LEVEL:
        return tuple(
            skip(name, text, "asked from --level 1 on") for name, text in QUESTIONS.items()
        )
    inventory = take_inventory(bundle)
    try:
        parse_manifest(inventory.read(MANIFEST))
    except AuditError:
        return ()
    try:
        told = read_told(find_in(inventory))
    except FAULTS as error:
        return tuple(fail(name, text, error) for name, text in QUESTIONS.items())
    return tuple(_ask(name, told) for name in QUESTIONS)


def _ask(name: str, told: Told) -> Check:
    """Answer one question."""
    try:
        findings = tuple(_FIND[name](told))
    except FAULTS as error:
        return fail(name, QUESTIONS[name], error)
    notes = {
        "verdicts": f"{len(told.checks)} rows of checks",
        "beside": f"{len(told.tables[INFLUENCE])} train images",
        "peaks": f"{len(told.tables[ATTRIBUTIONS])} maps",
    }
    return Check(name, QUESTIONS[name], "FAIL" if findings else "PASS", findings, notes[name])
