"""The converted images as a BIDS derivative dataset, of those that have a suffix by rule."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from medvision.domain.intended_use import RESEARCH_USE
from medvision.domain.record import JsonValue
from medvision.io.bids.fields import check_bids_fields
from medvision.io.bids.gradients import (
    format_bval,
    format_bvec,
    parse_directions,
    rotate_directions,
)
from medvision.io.bids.names import TreeImage, name_entries
from medvision.io.bids.participants import Person, write_participants
from medvision.io.bids.suffix import Facts, Suffix, choose_suffix
from medvision.io.tables import write_table
from medvision.layout import Layout
from medvision.runtime.files import (
    PARTIAL_PREFIX,
    read_json,
    storage_faults,
    write_json,
    write_text,
)
from medvision.runtime.packs import copy_file

BIDS_VERSION = "1.10.0"
BIDS_COLUMNS = ("image_id", "path", "reason")
"""Of the list beside the tree: where an image stands in it, or why it does not."""

_README = f"""# Images converted by medvision

{RESEARCH_USE}

Each image is the one of the same bytes in `../images`, under a name of BIDS. Suffixes are told by
what the headers measure (kind of sequence, times, b-values), never by names of series; images of
which that does not tell the suffix are left out and listed in `../bids.tsv`. Subjects bear
pseudonyms, and ages above 89 are given as 89.
"""


def write_bids_tree(
    layout: Layout,
    rows: Sequence[Mapping[str, str]],
    *,
    people: Sequence[Person],
    version: str,
) -> list[Path]:
    """Write `ingest/bids/`, and beside it `ingest/bids.tsv`, which accounts for every image.

    The tree appears as a whole or not at all. Images are hard links where the disk allows them.

    Args:
        layout: Where the images and their sidecars lie.
        rows: The manifest.
        people: The manifest's subjects.
        version: medvision's, for the description of the dataset.

    Returns:
        The files written, sorted; the list alone where no image has a suffix.

    Raises:
        StorageError: The folder cannot be written.

    Source:
        BIDS 1.10, derivatives; modality-specific files.
    """
    listing = layout.step("ingest") / "bids.tsv"
    tree = layout.step("ingest") / "bids"
    entries, reasons = _choose_entries(layout, rows)
    names = name_entries(entries)
    table = [
        {"image_id": name, "path": names.get(name, ""), "reason": reasons.get(name, "")}
        for name in sorted({*names, *reasons})
    ]
    write_table(listing, table, columns=BIDS_COLUMNS)
    with storage_faults(tree):
        shutil.rmtree(tree, ignore_errors=True)
        if not entries:
            return [listing]
        building = tree.with_name(f"{PARTIAL_PREFIX}{tree.name}")
        shutil.rmtree(building, ignore_errors=True)
        try:
            building.mkdir()
            _write_dataset(building, entries, people=people, version=version)
            for entry in entries:
                _write_entry(building / names[entry.row["image_id"]], entry, layout=layout)
            building.replace(tree)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return [listing, *sorted(path for path in tree.rglob("*") if path.is_file())]


def _choose_entries(
    layout: Layout, rows: Sequence[Mapping[str, str]]
) -> tuple[list[TreeImage], dict[str, str]]:
    """Divide the images into those with a suffix and those without, with the reason."""
    entries: list[TreeImage] = []
    reasons: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row["image_id"]):
        sidecar = cast(dict[str, JsonValue], read_json(layout.sidecar(row["image_id"])))
        facts = _gather_facts(row, sidecar)
        chosen = choose_suffix(facts)
        if isinstance(chosen, Suffix):
            chosen = _find_lack(chosen, row, sidecar) or chosen
        if isinstance(chosen, Suffix):
            entries.append(TreeImage(row, sidecar, facts, chosen))
        else:
            reasons[row["image_id"]] = chosen
    return entries, reasons


def _find_lack(
    suffix: Suffix, row: Mapping[str, str], sidecar: Mapping[str, JsonValue]
) -> str | None:
    """Say what BIDS asks of a suffix and the image does not have."""
    if suffix.name == "dwi" and _find_gradients(sidecar) is None:
        return "diffusion-without-directions"
    if _is_stripped(row, sidecar) is None:
        return "skull-stripping-unknown"
    return None


def _is_stripped(row: Mapping[str, str], sidecar: Mapping[str, JsonValue]) -> bool | None:
    """Say whether the skull was removed: never by a scanner, perhaps by who wrote a NIfTI file."""
    if row["source"] == "dicom":
        return False
    stated = sidecar.get("SkullStripped")
    return stated if isinstance(stated, bool) else None


def _gather_facts(row: Mapping[str, str], sidecar: Mapping[str, JsonValue]) -> Facts:
    """Return what the choice of a suffix rests on."""
    terms = (term.partition("=") for term in row["part"].split(",") if term)
    fields: dict[str, JsonValue] = {**check_bids_fields(sidecar)}
    for name in ("Manufacturer", "TracerName", "TracerRadionuclide"):
        if isinstance(sidecar.get(name), str):
            fields[name] = sidecar[name]
    return Facts(
        modality=row["modality"],
        role=row["role"],
        axis=row["axis"],
        n_volumes=int(row["n_volumes"]),
        volume=row["volume"],
        part={name: value for name, _, value in terms},
        fields=fields,
    )


def _write_dataset(
    tree: Path, entries: Sequence[TreeImage], *, people: Sequence[Person], version: str
) -> None:
    """Write what describes the dataset as a whole."""
    description: JsonValue = {
        "Name": "Images converted by medvision",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "medvision", "Version": version}],
    }
    write_json(tree / "dataset_description.json", description)
    write_text(tree / "README.md", _README)
    held = {entry.row["subject"] for entry in entries}
    write_participants(
        tree / "participants.tsv", [person for person in people if person.subject in held]
    )


def _write_entry(stem: Path, entry: TreeImage, *, layout: Layout) -> None:
    """Write one image with its sidecar, and its gradients where it has some."""
    image = layout.image(entry.row["image_id"])
    extension = ".nii.gz" if image.name.endswith(".nii.gz") else ".nii"
    stem.parent.mkdir(parents=True, exist_ok=True)
    _link(image, stem.with_name(stem.name + extension))
    fields = {**entry.facts.fields, "SkullStripped": _is_stripped(entry.row, entry.sidecar)}
    if entry.suffix.task:
        fields["TaskName"] = entry.suffix.task
    write_json(stem.with_name(f"{stem.name}.json"), fields)
    if entry.suffix.name == "dwi":
        bval, bvec = cast(tuple[str, str], _find_gradients(entry.sidecar))
        write_text(stem.with_name(f"{stem.name}.bval"), bval)
        write_text(stem.with_name(f"{stem.name}.bvec"), bvec)


def _find_gradients(sidecar: Mapping[str, JsonValue]) -> tuple[str, str] | None:
    """Return the contents of .bval and .bvec, None where directions are missing."""
    b_values, directions = sidecar.get("AxisValues"), sidecar.get("GradientDirections")
    if not isinstance(b_values, list) or not isinstance(directions, list):
        return None
    vectors = parse_directions(b_values, directions)
    if vectors is None:
        return None
    affine = np.array(sidecar["Affine"], dtype=np.float64)
    rotated = rotate_directions(vectors, affine)
    return format_bval(cast(list[float], b_values)), format_bvec(rotated)


def _link(source: Path, target: Path) -> None:
    """Link a file, or copy it where the disk cannot link or it lies in a pack."""
    try:
        os.link(source, target)
    except OSError:
        copy_file(source, target)
