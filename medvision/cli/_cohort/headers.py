"""What the headers of held-out images say that no train image's does, fold by fold."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import cast

from medvision.cli._run import Step
from medvision.domain.novelty.header_fit import (
    HeaderDifference,
    HeaderFacts,
    gather_headers,
    list_differences,
    parse_header,
)
from medvision.domain.record import JsonValue
from medvision.domain.split import Assignment
from medvision.io.tables import Cell, read_table, write_table
from medvision.runtime.files import read_json

HEADERS_COLUMNS = (
    "fold",
    "split",
    "image_id",
    "subject",
    "n_differences",
    "fact",
    "found",
    "train",
)

_SCANNER = {"Manufacturer": "manufacturer", "MagneticFieldStrength": "field strength (T)"}
"""Key of the sidecar to its name."""


def write_headers(step: Step, folds: Sequence[Assignment]) -> None:
    """Write one row per fold, held-out image and fact that sets its header apart from train.

    An image that differs in nothing has one row, without a fact.

    Args:
        step: The running step; what is read is registered with it.
        folds: The split of each image in each fold.
    """
    facts = _read_facts(step, sorted({item.image_id for item in folds}))
    train: dict[int, list[HeaderFacts]] = {}
    for item in folds:
        if item.split == "train":
            train.setdefault(item.fold, []).append(facts[item.image_id])
    known = {fold: gather_headers(every) for fold, every in train.items()}
    rows: list[dict[str, Cell]] = []
    for item in folds:
        if item.split == "train" or item.fold not in known:
            continue
        found = list_differences(facts[item.image_id], known[item.fold])
        own: dict[str, Cell] = {
            "fold": item.fold,
            "split": item.split,
            "image_id": item.image_id,
            "subject": item.subject,
            "n_differences": len(found),
        }
        rows += [{**own, **asdict(each)} for each in found or (HeaderDifference("", "", ""),)]
    write_table(step.write(step.layout.table("cohort", "headers")), rows, columns=HEADERS_COLUMNS)


def _read_facts(step: Step, image_ids: Sequence[str]) -> dict[str, HeaderFacts]:
    """Read what is known of each image from the manifest and from the file beside it."""
    layout = step.layout
    manifest = {row["image_id"]: row for row in read_table(step.read(layout.manifest))}
    return {
        name: parse_header(
            manifest[name],
            _read_scanner(cast(dict[str, JsonValue], read_json(step.read(layout.sidecar(name))))),
        )
        for name in image_ids
    }


def _read_scanner(sidecar: Mapping[str, JsonValue]) -> dict[str, str]:
    """Return what a sidecar says of the scanner."""
    return {
        name: str(sidecar[key]) for key, name in _SCANNER.items() if sidecar.get(key) is not None
    }
