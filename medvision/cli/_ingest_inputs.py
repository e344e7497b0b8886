"""What ingestion is told: settings, masks, and the listing that its raw files must fit."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from medvision.cli._inputs import find_key, find_labels, read_labels
from medvision.cli._run import Step
from medvision.config.model import Study
from medvision.errors import StaleOutputError
from medvision.layout import Layout

if TYPE_CHECKING:
    from medvision.io.ingest.settings import IngestSettings

_KINDS = {"dicom": ("dicom",), "nifti": ("nifti",), "phantom": ("dicom", "nifti")}


def build_settings(study: Study, layout: Layout) -> "IngestSettings":
    """Return how the study's input is ingested.

    Raises:
        DataError: The key, or the rules of regions, cannot be read.
        ConfigError: The rules of regions are none, or the program that finds text is missing.
        LabelError: The table of labels, which names masks, cannot be read.
    """
    from dataclasses import fields

    from medvision.io.ingest.settings import IngestSettings
    from medvision.io.ingest.workshop import ConversionSettings
    from medvision.io.pixels.regions import read_rules
    from medvision.io.pixels.text_detection import check_program

    section = study.ingest
    if section.text_detection == "refuse":
        # Now, not after hours of reading.
        check_program()
    rules = read_rules(section.blank_regions) if section.blank_regions is not None else ()
    held = {**dict(section), "region_rules": rules}
    return IngestSettings(
        key=find_key(study, layout),
        workers=section.workers,
        archives=section.archives,
        archive_limit_gb=section.archive_limit_gb,
        conversion=ConversionSettings(
            **{item.name: held[item.name] for item in fields(ConversionSettings)}
        ),
        kinds=frozenset(_KINDS[study.data.kind]),
        masks=_find_masks(study, layout),
    )


def _find_masks(study: Study, layout: Layout) -> frozenset[Path]:
    """Return the files that the table of labels names as masks: they are no images."""
    labels = find_labels(study, layout)
    if not labels.is_file():
        return frozenset()
    rows = read_labels(labels, data=study.data)
    return frozenset(labels.parent / row["mask"] for row in rows if row.get("mask"))


def find_listing(study: Study, layout: Layout) -> Path | None:
    """Return the table of raw files that an earlier step wrote, None for a user's own folder."""
    if study.data.kind == "phantom":
        return layout.archive_listing
    return layout.pulled_listing if study.pacs.protocol != "none" else None


def check_archive(step: Step, listing: Path) -> None:
    """Refuse raw files that are not what the earlier step wrote.

    Raises:
        StaleOutputError: A file is missing, was added, or has other bytes.
    """
    layout = step.layout
    step.read(listing)
    if step.study.data.kind == "phantom":
        step.read(layout.phantom_labels)
        step.read(layout.phantom_key)
    if _sum_digests(listing) != _sum_digests(layout.sources):
        name = listing.parent.name
        raise StaleOutputError(
            f"{name}/archive: files must be as the step {name} wrote them, got others.",
            f"run `medvision {name}` again.",
        )


def _sum_digests(table: Path) -> tuple[int, int]:
    """Return number and sum of the digests in a table: equal for equal files in any order."""
    number = total = 0
    with table.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            number += 1
            total += int(row["digest"] or "0", 16)
    return number, total
