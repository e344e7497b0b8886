"""Level 1 of an audit: smallest and largest value and peak of every map, from the map itself."""

import json
import math
from collections.abc import Mapping
from typing import cast

import numpy as np

from medvision.audit.findings import Finding
from medvision.cli._explained.peaks import COLUMNS, describe_peak
from medvision.cli._recompute.told import ATTRIBUTIONS, INDEX, PEAKS, Told
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatGrid
from medvision.errors import MedvisionError
from medvision.io.nifti.read import read_nifti
from medvision.io.tables import Cell, Row
from medvision.runtime.files import read_json
from medvision.runtime.packs import has_file

_TOLERANCE = 1e-6
_TOLERANCE_MM = 1e-4
_TRACED = ("sop_instance_uid", "file", "frame", "row", "column", "share")

_Pair = tuple[str, str]


def find_peak_faults(told: Told) -> list[Finding]:
    """Read every map of a bundle once, and hold its extremes and its peak against the tables.

    Args:
        told: What the bundle tells.

    Returns:
        One finding per cell that is not that of the map, per row that is missing, and per row of a
        map that has no peak.

    Raises:
        MedvisionError: A map is missing or cannot be read.
        LookupError, ValueError: A table is incomplete.
    """
    held = {(row["image_id"], row["method"]): row for row in told.tables[PEAKS]}
    findings = []
    if len(held) < len(told.tables[PEAKS]):
        findings.append(Finding(PEAKS, "rows", "one of each map", "more"))
    places = {row["image_id"]: row for row in told.tables[INDEX]}
    known = set()
    for row in told.tables[ATTRIBUTIONS]:
        pair = row["image_id"], row["method"]
        image = read_nifti(told.locate("explain/maps/{}/{}.nii.gz".format(*pair)))
        grid: FloatGrid = image.array.astype(np.float32)
        findings += _compare_extremes(row, grid)
        affine = np.array(json.loads(places[pair[0]]["source_affine"]))
        sidecar = _read_sidecar(told, pair[0])
        wanted = describe_peak(*pair, grid=grid, affine=affine, sidecar=sidecar or {})
        columns = COLUMNS if sidecar is not None else COLUMNS[: -len(_TRACED)]
        findings += _compare_peak(pair, wanted, held.get(pair), columns=columns)
        known.add(pair)
    return findings + [
        Finding(f"{PEAKS} {' '.join(pair)}", "row", "of a map", "another")
        for pair in sorted(held.keys() - known)
    ]


def _read_sidecar(told: Told, image_id: str) -> Mapping[str, JsonValue] | None:
    """Return an image's sidecar; None where it is not in the bundle."""
    try:
        path = told.locate(f"ingest/images/{image_id}.json")
    except MedvisionError:
        return None
    return cast(Mapping[str, JsonValue], read_json(path)) if has_file(path) else None


def _compare_extremes(row: Row, grid: FloatGrid) -> list[Finding]:
    """Hold the smallest and the largest value of a map, and whether it is empty, to its row."""
    where = f"{ATTRIBUTIONS} {row['image_id']} {row['method']}"
    wanted = {"minimum": float(grid.min()), "maximum": float(grid.max())}
    findings = [
        Finding(where, name, f"{value:.9g}, as in the map", row[name])
        for name, value in wanted.items()
        if not _is_near(value, row[name], tolerance=0.0)
    ]
    if (row["verdict"] == "EMPTY") == grid.any():
        rule = "EMPTY, as the map is" if not grid.any() else "that of a map that is not empty"
        findings.append(Finding(where, "verdict", rule, row["verdict"]))
    return findings


def _compare_peak(
    pair: _Pair, wanted: list[dict[str, Cell]], held: Row | None, *, columns: tuple[str, ...]
) -> list[Finding]:
    """Hold the row of a peak against the map's own."""
    where = f"{PEAKS} {' '.join(pair)}"
    if not wanted or held is None:
        rule = "there, as the map has a peak" if wanted else "absent, as the map is empty"
        is_right = not wanted and held is None
        return [] if is_right else [Finding(where, "row", rule, "no row" if wanted else "a row")]
    return [
        Finding(where, name, f"{wanted[0].get(name, 'empty')}, as in the map", held[name])
        for name in columns
        if not _is_cell(name, wanted[0].get(name), held[name])
    ]


def _is_cell(name: str, wanted: Cell, text: str) -> bool:
    """Tell whether a cell says what it should; floats to what their digits leave open."""
    if not isinstance(wanted, float):
        return text == ("" if wanted is None else str(wanted))
    return _is_near(wanted, text, tolerance=_TOLERANCE_MM if name.endswith("_mm") else 0.0)


def _is_near(wanted: float, text: str, *, tolerance: float) -> bool:
    """Compare a figure with a cell."""
    try:
        return math.isclose(wanted, float(text), rel_tol=_TOLERANCE, abs_tol=tolerance)
    except ValueError:
        return False
