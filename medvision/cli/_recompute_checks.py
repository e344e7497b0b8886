"""Level 4 of an audit, for a sample: checks and controls run again on their cases."""

from collections.abc import Mapping, Sequence
from math import isclose
from typing import TYPE_CHECKING

from medvision.audit.findings import Check as Answered
from medvision.audit.findings import Finding
from medvision.cli._recompute_attributions import describe_software
from medvision.cli._recompute_images import PluginError
from medvision.cli._recompute_request import Answer, MissingSourceError, draw_pairs
from medvision.cli._recompute_scene import Scene
from medvision.cli._recompute_told import CHECKS, parse_check
from medvision.domain.attribution import Check
from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatGrid
from medvision.errors import MedvisionError
from medvision.io.tables import read_table

if TYPE_CHECKING:
    from medvision.explain.case import Case, CaseImage

RERUN = "checks"
QUESTION = "Do checks and controls of the sampled cases come out the same, run again?"

COHORT = ("weight_randomisation_top", "weight_randomisation")
"""Checks of which comparator and verdict depend on all cases: of a sample the statistic is held."""

TOLERANCE = 1e-3
"""Of a statistic, as a share of it, or of 1 where it is smaller: maps differ by 2e-4 at most."""

_RULES = {True: ("there, as this check is run", "no row"), False: ("absent", "a row")}

FIGURES = (
    *("statistic", "comparator", "threshold", "n"),
    *("edge_map", "centre_prior", "edge_margin"),
)

Key = tuple[str, str, str]
"""Image, method, check."""


def check_checks(scene: Scene) -> list[Answered]:
    """Run the checks of a sample's cases again.

    Args:
        scene: The bundle's explanations, and what the auditor handed over.

    Raises:
        MedvisionError: A table of the bundle cannot be read.
    """
    return [_check_sample(scene)]


def _check_sample(scene: Scene) -> Answered:
    """Explain the sampled cases again by all methods, and compare every row of theirs."""
    answer = Answer([], [], describe_software(scene.record))
    images = sorted({image_id for image_id, _ in draw_pairs(scene.request)})
    cases = [scene.cases[name] for name in images if _can_load(scene, name, answer=answer)]
    if cases:
        wanted = _explain_again(scene, cases)
        names = {case.image_id for case in cases}
        held = [parse_check(row) for row in read_table(scene.request.locate(CHECKS))]
        own = {key: row for row in held if (key := _name(row))[0] in names}
        is_whole = names == scene.cases.keys()
        answer.findings += _compare_rows(wanted, own, is_whole=is_whole)
        answer.notes.insert(0, f"{len(wanted)} rows of {len(cases)} cases run again")
        answer.notes.append("cascade.tsv and stability.tsv are described, and not run again")
    return answer.as_check(RERUN, QUESTION)


def _can_load(scene: Scene, image_id: str, *, answer: Answer) -> bool:
    """Say whether an image and its mask are there; where not, note why."""
    try:
        scene.load_image(scene.cases[image_id], with_mask=True)
    except (MissingSourceError, PluginError) as error:
        answer.missed.append(error.message.removesuffix("."))
        return False
    except MedvisionError as error:
        answer.findings.append(Finding(image_id, "source", "that of the manifest", error.message))
        return False
    return True


def _explain_again(scene: Scene, cases: "Sequence[Case]") -> dict[Key, Check]:
    """Send cases through the very entrance that the run sent them through."""
    import torch

    from medvision.explain.bench import Hands, explain_cases
    from medvision.explain.network import reference_precision
    from medvision.explain.sanity import check_randomisations

    def load(case: "Case") -> "CaseImage":
        return scene.load_image(case, with_mask=True)

    def keep_no_map(image_id: str, method: str, *, grid: FloatGrid, affine: Affine) -> str:  # noqa: ARG001 - the signature of a writer
        return ""

    hands = Hands(load, scene.load_network, keep_no_map, torch.device("cpu"), scene.is_exclusive)
    with reference_precision():
        finished, _ = explain_cases(cases, hands=hands, plan=scene.plan)
        explained = [done.explained for done in finished]
        rows = [check for each in explained for check in each.checks]
        rows += check_randomisations(explained, seed=scene.plan.seed)
    return {_name(row): row for row in rows}


def _name(row: Check) -> Key:
    """Return what tells one row from another."""
    return row.image_id, row.method, row.check


def _compare_rows(
    wanted: Mapping[Key, Check], held: Mapping[Key, Check], *, is_whole: bool
) -> list[Finding]:
    """Name the rows that are missing, too many, or say something else."""
    findings = [
        Finding(f"{CHECKS} {' '.join(key)}", "row", *_RULES[key in wanted])
        for key in sorted(wanted.keys() ^ held.keys())
    ]
    for key in sorted(wanted.keys() & held.keys()):
        is_partial = key[2] in COHORT and not is_whole
        findings += _compare_row(wanted[key], held[key], is_partial=is_partial)
    return findings


def _compare_row(wanted: Check, held: Check, *, is_partial: bool) -> list[Finding]:
    """Hold the figures of a row, and its verdict where it depends on this case alone."""
    where = f"{CHECKS} {' '.join(_name(held))}"
    names = ("statistic",) if is_partial else FIGURES
    findings = []
    for name in names:
        one, other = getattr(wanted, name), getattr(held, name)
        if not _is_near(one, other):
            findings.append(Finding(where, name, f"{one}, computed again", f"{other}"))
    if not is_partial and wanted.verdict != held.verdict and (findings or not _is_open(wanted)):
        findings.append(Finding(where, "verdict", f"{wanted.verdict}, run again", held.verdict))
    return findings


def _is_near(one: float | None, other: float | None) -> bool:
    """Compare two figures; an absent one is like an absent one alone."""
    if one is None or other is None:
        return one is other
    return isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _is_open(row: Check) -> bool:
    """Say whether a statistic is so near its threshold that rounding decides."""
    return row.statistic is not None and _is_near(row.statistic, row.threshold)
