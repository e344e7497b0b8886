"""The grid of every map in a bundle, held against the one that its source image had."""

import json
from typing import cast

import numpy as np

from medvision.audit.findings import Finding
from medvision.audit.verify import Locate
from medvision.errors import MedvisionError
from medvision.io.nifti.affine import choose_affine
from medvision.io.nifti.read import read_header
from medvision.io.tables import Row, read_table
from medvision.runtime.files import read_json

INDEX = "preprocess/index.tsv"
ATTRIBUTIONS = "explain/attributions.tsv"

TOLERANCE_MM = 1e-3
"""Files hold an affine in float32 and tables nine digits: at a metre that leaves 0.0001 mm."""


def find_geometry_faults(locate: Locate) -> list[Finding]:
    """Return the maps that do not lie on their source image's grid, by the bundle alone.

    The image is not in the bundle; its shape and affine are in preprocessing's index, and the
    affine in the image's sidecar as well. Headers are read, voxels are not.

    Args:
        locate: Returns where a file of the study lies in the bundle.

    Returns:
        One finding per map of another shape or affine, and per image whose index and sidecar
        differ.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        LookupError, ValueError: A table is incomplete.
    """
    images = {row["image_id"]: row for row in read_table(locate(INDEX))}
    maps = [row for row in read_table(locate(ATTRIBUTIONS)) if row["map_digest"]]
    findings = []
    for image_id in dict.fromkeys(row["image_id"] for row in maps):
        findings += _compare_sidecar(locate, images[image_id])
    for row in maps:
        findings += _compare_map(locate, row, image=images[row["image_id"]])
    return findings


def _compare_map(locate: Locate, row: Row, *, image: Row) -> list[Finding]:
    """Hold the header of one map against its source image."""
    path = f"explain/maps/{row['image_id']}/{row['method']}.nii.gz"
    header = read_header(locate(path))
    wanted, held = _fill([int(n) for n in image["source_shape"].split("x")]), _fill(header.shape)
    if held != wanted:
        rule, found = ("x".join(map(str, shape)) for shape in (wanted, held))
        return [Finding(path, "shape", f"{rule}, its image's in {INDEX}", found)]
    affine, _, _ = choose_affine(header, held)
    gap_mm = _measure_gap(affine, json.loads(image["source_affine"]))
    return _judge(path, gap_mm, rule=f"its image's in {INDEX}")


def _compare_sidecar(locate: Locate, image: Row) -> list[Finding]:
    """Hold preprocessing's index against the image's sidecar, where that is in the bundle."""
    path = f"ingest/images/{image['image_id']}.json"
    try:
        sidecar = cast(dict[str, list[list[float]]], read_json(locate(path)))
    except MedvisionError:
        return []
    gap_mm = _measure_gap(sidecar["Affine"], json.loads(image["source_affine"]))
    return _judge(path, gap_mm, rule=f"the one in {INDEX}")


def _judge(path: str, gap_mm: float, *, rule: str) -> list[Finding]:
    """Return a finding where an affine is another one; NaN is another one too."""
    same = gap_mm <= TOLERANCE_MM
    return [] if same else [Finding(path, "affine", rule, f"one {gap_mm:.3g} mm off")]


def _measure_gap(one: object, other: object) -> float:
    """Return the largest difference of two affines (4, 4), in mm per voxel and in mm."""
    first, second = (np.asarray(affine, dtype=np.float64) for affine in (one, other))
    return float(np.abs(first - second).max()) if first.shape == second.shape else float("inf")


def _fill(shape: list[int] | tuple[int, ...]) -> tuple[int, int, int]:
    """Return a grid's shape with the axes that have one voxel."""
    i, j, k = (*shape, 1, 1)[:3]
    return i, j, k
