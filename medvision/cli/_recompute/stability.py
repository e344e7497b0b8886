"""Level 4 of an audit, for a sample: maps under noise, redrawn, of other networks."""

from collections.abc import Mapping, Sequence
from math import isclose
from typing import TYPE_CHECKING

from medvision.audit.findings import Check as Answered
from medvision.audit.findings import Finding
from medvision.cli._cohort.summary import read_classes
from medvision.cli._recompute.rerun import Rerun
from medvision.cli._recompute.scene import Scene
from medvision.cli._recompute.told import (
    CASCADE,
    STABILITY,
    build_bounds,
    list_rings,
    parse_likeness,
    parse_point,
)
from medvision.io.tables import read_table

if TYPE_CHECKING:
    from medvision.explain.consistency_rows import CascadePoint, Consistency
    from medvision.explain.likeness import Likeness

STABILITY_NAME = "stability"
QUESTION = "Do cascade and stability of the sampled cases come out the same, run again?"

TOLERANCE = 1e-3
"""Of a likeness or an entropy, which are shares of 1: maps differ by 2e-4 at most."""

_FIGURES = ("ssim", "rank_correlation", "entropy")
_TEXTS = ("subject", "split", "layer", "n_layers", "reason")
_RULES = {True: ("there, as of this case", "no row"), False: ("absent", "a row")}

_Rows = Mapping[tuple[str, ...], "CascadePoint | Likeness"]


def check_stability(scene: Scene, rerun: Rerun) -> Answered:
    """Look at the sampled cases again as the run did, and compare both tables row by row.

    Args:
        scene: The bundle's explanations, and what the auditor handed over.
        rerun: The sampled cases, explained again.

    Raises:
        MedvisionError: A table or a network of the bundle cannot be read.
    """
    answer = rerun.open_answer()
    if not rerun.names:
        return answer.as_check(STABILITY_NAME, QUESTION)
    locate = scene.request.locate
    cascade = [parse_point(row) for row in read_table(locate(CASCADE))]
    stability = [parse_likeness(row) for row in read_table(locate(STABILITY))]
    wanted = _measure_again(scene, rerun)
    names = rerun.names
    answer.findings += _compare(CASCADE, _index(wanted.cascade, names), _index(cascade, names))
    answer.findings += _compare(
        STABILITY, _index(wanted.likenesses, names), _index(stability, names)
    )
    n_rows = len(wanted.cascade) + len(wanted.likenesses)
    answer.notes.insert(0, f"{n_rows} rows of {len(names)} cases run again")
    return answer.as_check(STABILITY_NAME, QUESTION)


def _measure_again(scene: Scene, rerun: Rerun) -> "Consistency":
    """Send the cases through the entrance that the run sent them through."""
    from medvision.explain.consistency import measure_consistency
    from medvision.explain.network import reference_precision

    locate = scene.request.locate
    with reference_precision():
        return measure_consistency(
            rerun.explained,
            selection=[*scene.cases.values()],
            rings=list_rings(scene.rows, [*scene.cases]),
            predictions=read_table(locate("predict/predictions.tsv")),
            hands=rerun.hands,
            plan=scene.plan,
            bounds=build_bounds(scene.section),
            task=read_classes(locate("cohort/summary.json")).task,
        )


def _index(rows: "Sequence[CascadePoint | Likeness]", names: set[str]) -> _Rows:
    """Return rows of some images by what tells one from another.

    A row about two images can be told where both are at hand.
    """
    return {key: row for row in rows if (key := _name(row)) and _is_of(row, names)}


def _name(row: "CascadePoint | Likeness") -> tuple[str, ...]:
    """Return image, method, and stage or comparison."""
    if hasattr(row, "stage"):
        return row.image_id, row.method, f"stage-{row.stage}"
    return row.image_id, row.method, row.comparison, row.against


def _is_of(row: "CascadePoint | Likeness", names: set[str]) -> bool:
    """Say whether a row is about sampled images alone."""
    is_pair = getattr(row, "comparison", "") == "other_image"
    return row.image_id in names and (not is_pair or getattr(row, "against", "") in names)


def _compare(path: str, wanted: _Rows, held: _Rows) -> list[Finding]:
    """Name the rows that are missing, too many, or say something else."""
    findings = [
        Finding(f"{path} {' '.join(key)}", "row", *_RULES[key in wanted])
        for key in sorted(wanted.keys() ^ held.keys())
    ]
    for key in sorted(wanted.keys() & held.keys()):
        findings += _compare_row(f"{path} {' '.join(key)}", wanted[key], held[key])
    return findings


def _compare_row(
    where: str, wanted: "CascadePoint | Likeness", held: "CascadePoint | Likeness"
) -> list[Finding]:
    """Hold figures and words of one row."""
    findings = []
    for name in (*_FIGURES, *_TEXTS):
        one, other = getattr(wanted, name, None), getattr(held, name, None)
        if not (_is_near(one, other) if name in _FIGURES else one == other):
            findings.append(Finding(where, name, f"{one}, run again", f"{other}"))
    return findings


def _is_near(one: float | None, other: float | None) -> bool:
    """Compare two figures; an absent one is like an absent one alone."""
    if one is None or other is None:
        return one is other
    return isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
