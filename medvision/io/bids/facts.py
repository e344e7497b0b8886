"""What lies beside a NIfTI file: sidecars, gradients, and what its path says, by an allow-list."""

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine
from medvision.domain.record import JsonValue
from medvision.domain.study import Role, Value
from medvision.errors import DataError
from medvision.io.bids.entities import (
    guess_modality,
    guess_part,
    guess_role,
    read_entities,
    read_suffix,
)
from medvision.io.bids.fields import check_bids_fields
from medvision.io.bids.gradients import restore_directions
from medvision.runtime.files import read_json

_MOST_BYTES = 1 << 20
_MOST_SIDECARS = 64
_EXTENSIONS = (".nii.gz", ".nii", ".hdr.gz", ".hdr")


@dataclass(frozen=True)
class NiftiFacts:
    """What is known of a NIfTI file beyond its header.

    Args:
        role: What the image is for.
        part: What sets it apart within its acquisition.
        modality: DICOM's code, or unknown.
        fields: BIDS keys and values for the sidecar.
    """

    role: Role
    part: tuple[tuple[str, Value], ...]
    modality: str
    fields: dict[str, Value] = field(default_factory=dict)


def read_facts(source: Path, relative_path: str) -> NiftiFacts:
    """Read what a path and the JSON sidecars say of a NIfTI file.

    Sidecars of the folders above count too where their entities are the file's own (BIDS's
    inheritance principle); the nearest has the last word. Of their content only numbers in a
    range and terms of a list pass.

    Args:
        source: Folder of the input.
        relative_path: Path of the file below it, POSIX.

    Returns:
        The facts; without fields where no sidecar can be read.

    Source:
        BIDS 1.10, common principles, the inheritance principle.
    """
    fields: dict[str, Value] = {}
    for sidecar in _list_sidecars(source, PurePosixPath(relative_path)):
        fields |= _read_fields(sidecar)
    return NiftiFacts(
        guess_role(relative_path), guess_part(relative_path), guess_modality(relative_path), fields
    )


def read_gradients(path: Path, affine: Affine, *, n_volumes: int) -> dict[str, JsonValue]:
    """Read the b-values and directions beside a diffusion image (.bval, .bvec).

    Args:
        path: The image.
        affine: (4, 4), voxel index to RAS+ mm, of the file as it is.
        n_volumes: Its volumes.

    Returns:
        Sidecar entries: Axis, AxisValues in s/mm² and GradientDirections, LPS+ `x,y,z`, empty
        where there is none; {} where the files are missing or do not fit.
    """
    stem = _strip(path.name)
    b_values = _read_numbers(path.with_name(f"{stem}.bval"))
    vectors = _read_numbers(path.with_name(f"{stem}.bvec"))
    if b_values is None or b_values.size != n_volumes or n_volumes < 2 or (b_values < 0).any():
        return {}
    found: dict[str, JsonValue] = {"Axis": "b-value", "AxisValues": [*map(float, b_values.ravel())]}
    if vectors is None or vectors.shape != (3, n_volumes):
        return found
    directions = restore_directions(vectors.T, affine)
    found["GradientDirections"] = [
        ",".join(f"{value:.6g}" for value in row) if row.any() else "" for row in directions
    ]
    return found


def list_companions(source: Path, relative_path: str) -> list[Path]:
    """Return the files that are read with a NIfTI file, whether they are there or not.

    Args:
        source: Folder of the input.
        relative_path: Path of the file below it, POSIX.
    """
    path = PurePosixPath(relative_path)
    stem = source / path.parent / _strip(path.name)
    gradients = [stem.with_name(f"{stem.name}{end}") for end in (".bval", ".bvec")]
    return [*_list_sidecars(source, path), *gradients]


def _list_sidecars(source: Path, path: PurePosixPath) -> list[Path]:
    """Return the sidecars that concern a file, the furthest first."""
    suffix, entities = read_suffix(path.name), set(read_entities(path.name))
    folders = [source / parent for parent in reversed(path.parents)]
    found = []
    for folder in folders[:-1]:
        names = _list_json(folder).get(suffix, []) if "_" in path.name else []
        inherited = [name for name in names if set(read_entities(name)) <= entities]
        found += [folder / name for name in inherited]
    return [*found, folders[-1] / f"{_strip(path.name)}.json"]


def _list_json(folder: Path) -> dict[str, list[str]]:
    """Return the names of a folder's JSON files by BIDS suffix, sorted, not too many of each."""
    try:
        return _list_json_as_of(folder, folder.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=64)
def _list_json_as_of(
    folder: Path,
    changed: int,  # noqa: ARG001 - part of the key: a file more or less changes it
) -> dict[str, list[str]]:
    """List a folder once for all its images: in a flat one each would list all the others."""
    found: dict[str, list[str]] = {}
    with os.scandir(folder) as items:
        for name in sorted(item.name for item in items if item.name.endswith(".json")):
            held = found.setdefault(read_suffix(name), [])
            if len(held) < _MOST_SIDECARS:
                held.append(name)
    return found


def _read_fields(path: Path) -> dict[str, Value]:
    """Return what of a sidecar may go on; nothing where it cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return {}
        content = read_json(path)
    except (DataError, OSError):
        return {}
    return check_bids_fields(content) if isinstance(content, dict) else {}


def _read_numbers(path: Path) -> NDArray[np.float64] | None:
    """Return a table of numbers, None where there is none."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        table = np.array([[float(cell) for cell in line] for line in lines if line])
    except (OSError, ValueError):
        return None
    return table if table.ndim == 2 and np.isfinite(table).all() else None


def _strip(name: str) -> str:
    """Return a file's name without the extensions of NIfTI."""
    return next((name[: -len(end)] for end in _EXTENSIONS if name.endswith(end)), name)
