"""Level 2 of an audit: the pictures of the explained cases, drawn again from their raw maps."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from medvision.audit.findings import Check, Finding
from medvision.audit.inventory import take_inventory
from medvision.audit.manifest import MANIFEST, STUDY, parse_manifest
from medvision.cli._recompute.answers import FAULTS, find_in, skip
from medvision.cli._recompute.page_pictures import CasePictures, read_case_pictures
from medvision.domain.record import JsonValue
from medvision.errors import MedvisionError
from medvision.io.nifti.read import read_nifti
from medvision.io.tables import Row, read_table
from medvision.runtime.files import read_json

if TYPE_CHECKING:
    from medvision.report.case import CaseView
    from medvision.report.explanation import Case
    from medvision.report.key_layers import KeptLayers

FIRST_LEVEL = 2
NAME = "pictures"
QUESTION = "Do the explained cases' pictures, in their files and on the page, follow from the maps?"
FIGURES, LAYERS = "report/figures/", "report/layers/"
PAGE, FACTS = "report/report.html", "report/report.json"

_TOLD = ("plane", "shown", "key_slice", "has_mask", "window", "units", "reduction", "scales")
"""What report.json says of a case's pictures, and what was kept must say as well."""


@dataclass(frozen=True)
class Told:
    """What a bundle tells of its pictures.

    Args:
        locate: Returns where a file of the study lies in the bundle.
        paths: All files of the study in the bundle.
        cases: Those that have pictures, in their order.
        manifest: image_id to its row of `ingest/manifest.tsv`.
        displays: image_id to what report.json says of its pictures.
        page: Number of a case to its pictures on the page.
    """

    locate: Callable[[str], Path]
    paths: frozenset[str]
    cases: "Sequence[Case]"
    manifest: Mapping[str, Row]
    displays: Mapping[str, Mapping[str, JsonValue]]
    page: Mapping[int, CasePictures]


def check_pictures(bundle: Path, *, level: int) -> Check:
    """Draw the pictures of a bundle's explained cases again, and compare them.

    Figures are compared pixel by pixel: all of them where the same versions of what draws run on
    the same kind of machine, else with room for another font renderer. The page's own pictures
    hold palette indices and no text, and must be equal always.

    Args:
        bundle: Folder written by `medvision audit seal`, trusted in nothing.
        level: Below 2 nothing is asked.

    Returns:
        One check. What is wrong in the bundle is told and not raised.

    Raises:
        AuditError: There is no such folder.
    """
    if level < FIRST_LEVEL:
        return skip(NAME, QUESTION, "asked from --level 2 on")
    try:
        told = _read(bundle)
    except FAULTS as error:
        return _fail((_name_fault(NAME, error),), "")
    findings, is_exact = [*_list_strays(told)], True
    for case in told.cases:
        where = f"{FIGURES}case-{case.number:02d}.png"
        try:
            found, same = _check_case(told, case)
        # OSError: of a PNG that is none.
        except (*FAULTS, OSError) as error:
            found, same = [_name_fault(where, error)], True
        findings += found
        is_exact &= same
    how = "to the pixel" if is_exact else "with room for another version of what draws"
    note = f"{len(told.cases)} cases drawn again, compared {how}"
    return _fail(tuple(findings), note) if findings else Check(NAME, QUESTION, "PASS", (), note)


def _fail(findings: tuple[Finding, ...], note: str) -> Check:
    """Return the answer no."""
    return Check(NAME, QUESTION, "FAIL", findings, note)


def _name_fault(where: str, error: Exception) -> Finding:
    """Return what could not be read or drawn, without what a library says of files."""
    found = error.message if isinstance(error, MedvisionError) else type(error).__name__
    if isinstance(error, ValueError | LookupError):
        found = f"{error!r}"
    return Finding(where, "content", "complete and readable", found)


def _read(bundle: Path) -> Told:
    """Read the tables of a bundle, and the page."""
    from medvision.report.explanation import build_case
    from medvision.report.page import MAX_CASES
    from medvision.report.sources import Sources

    inventory = take_inventory(bundle)
    parse_manifest(inventory.read(MANIFEST))
    locate = find_in(inventory)
    names = ("selection", "attributions", "checks")
    tables = {name: read_table(locate(f"explain/{name}.tsv")) for name in names}
    tables["predictions"] = read_table(locate("predict/predictions.tsv"))
    facts = cast(Mapping[str, JsonValue], read_json(locate(FACTS)))
    cohort = cast(Mapping[str, JsonValue], facts["cohort"])
    sources, task = Sources(tables=tables), str(cohort["task"])
    displays = cast(Sequence[Mapping[str, JsonValue]], facts["displays"])
    return Told(
        locate=locate,
        paths=frozenset(p.removeprefix(STUDY) for p in inventory.sizes if p.startswith(STUDY)),
        cases=[
            build_case(sources, row, number=number, task=task)
            for number, row in enumerate(tables["selection"][:MAX_CASES], 1)
        ],
        manifest={row["image_id"]: row for row in read_table(locate("ingest/manifest.tsv"))},
        displays={str(held["image_id"]): held for held in displays},
        page=read_case_pictures(locate(PAGE).read_text(encoding="utf-8")),
    )


def _list_strays(told: Told) -> list[Finding]:
    """Name pictures of cases that there are none of, in files and on the page."""
    numbers = {case.number for case in told.cases}
    names = {f"{FIGURES}case-{number:02d}.png" for number in numbers}
    strays = sorted(p for p in told.paths if p.startswith(f"{FIGURES}case-") and p not in names)
    found = [Finding(path, "picture", "of an explained case", "of none") for path in strays]
    further = sorted(told.page.keys() - numbers)
    found += [Finding(PAGE, f"case {n}", "an explained one", "another") for n in further]
    return found


def _check_case(told: Told, case: "Case") -> tuple[list[Finding], bool]:
    """Draw one case again; return what is wrong, and whether every pixel was compared."""
    from medvision.report.figure_case import draw_case
    from medvision.report.key_layers import compare_pictures, describe_versions, rebuild_view

    name = f"case-{case.number:02d}"
    kept = _read_layers(told, name)
    row = told.manifest[case.image_id]
    maps, affine = _read_maps(told, case)
    view, faults = rebuild_view(kept, maps, affine, has_geometry=row["geometry"] == "full")
    findings = [_find(f"{LAYERS}{name}.json", fault) for fault in faults]
    findings += _compare_facts(told, case, view, kept=kept, row=row)
    is_exact = kept.parameters["versions"] == describe_versions()
    picture = f"{FIGURES}{name}.png"
    held = told.locate(picture).read_bytes()
    fault = compare_pictures(held, draw_case(case, view).png, is_exact=is_exact)
    findings += [_find(picture, fault)] if fault else []
    return findings + _compare_page(told, case, view), is_exact


def _find(where: str, fault: str) -> Finding:
    """Return a fault in words as a finding."""
    thing, _, rest = fault.partition(" must ")
    rule, _, found = rest.removesuffix(".").rpartition(", got ")
    return Finding(where, thing, rule.removeprefix("be "), found)


def _read_layers(told: Told, name: str) -> "KeptLayers":
    """Read what the report kept of one case."""
    from medvision.report.key_layers import KeptLayers

    parameters = cast(dict[str, JsonValue], read_json(told.locate(f"{LAYERS}{name}.json")))
    mask = f"{LAYERS}{name}-mask.png"
    return KeptLayers(
        image=told.locate(f"{LAYERS}{name}-image.png").read_bytes(),
        mask=told.locate(mask).read_bytes() if mask in told.paths else None,
        parameters=parameters,
    )


def _read_maps(told: Told, case: "Case") -> "tuple[dict[str, np.ndarray], np.ndarray]":
    """Read the maps of one case, and the affine that they share."""
    paths = {held.method: f"explain/maps/{case.image_id}/" for held in case.methods}
    paths |= {held.method: f"explain/controls/{case.image_id}/" for held in case.controls}
    images = {
        name: read_nifti(told.locate(f"{folder}{name}.nii.gz")) for name, folder in paths.items()
    }
    first = next(iter(images.values()))
    return {name: np.asarray(i.array, np.float32) for name, i in images.items()}, first.affine


def _compare_facts(
    told: Told, case: "Case", view: "CaseView", *, kept: "KeptLayers", row: Row
) -> list[Finding]:
    """Hold what was kept of a case against the manifest and against report.json."""
    where = f"{LAYERS}case-{case.number:02d}.json"
    said = kept.parameters
    wanted = {
        "image_id": case.image_id,
        "units": "" if row["units"] == "none" else row["units"],
        "has_mask": view.key_layers.mask is not None and bool(view.key_layers.mask.any()),
    }
    findings = [
        Finding(where, name, json.dumps(value), json.dumps(said[name]))
        for name, value in wanted.items()
        if said[name] != value
    ]
    display = told.displays[case.image_id]
    return findings + [
        Finding(f"{FACTS} {case.image_id}", name, json.dumps(said[name]), json.dumps(display[name]))
        for name in _TOLD
        if display[name] != said[name]
    ]


def _compare_page(told: Told, case: "Case", view: "CaseView") -> list[Finding]:
    """Hold the pictures on the page against those drawn here."""
    from medvision.report.key_layers import compare_pictures

    where = f"{PAGE}, case {case.number}"
    if case.number not in told.page:
        return [Finding(where, "pictures", "on the page", "none")]
    shown = told.page[case.number]
    laid = [held.method for held in case.methods] + [held.method for held in case.controls]
    wanted = [name for name in laid if name in view.overlays]
    if len(shown.maps) != len(wanted) or not shown.bases:
        rule = f"the image and {len(wanted)} maps"
        return [Finding(where, "pictures", rule, f"{len(shown.bases)} and {len(shown.maps)}")]
    pairs = [("image", base, view.base) for base in shown.bases]
    pairs += [
        (name, picture, view.overlays[name])
        for name, picture in zip(wanted, shown.maps, strict=True)
    ]
    findings = []
    for name, picture, drawn in pairs:
        fault = compare_pictures(picture, drawn, is_exact=True)
        findings += [_find(f"{where}, {name}", fault)] if fault else []
    return findings
