"""What ingestion is told: settings, masks, and the listing that its raw files must fit."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from medvision.cli._inputs import find_key, find_labels, find_source, read_labels
from medvision.cli._run import Step, read_record
from medvision.config.model import Study
from medvision.errors import StaleOutputError
from medvision.layout import Layout

if TYPE_CHECKING:
    from medvision.io.deidentify import Pseudonymiser
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
        images=section.image_kind,
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
    if study.fetch.source:
        return layout.table("fetch", "archive")
    return layout.pulled_listing if study.pacs.protocol != "none" else None


def check_archive(step: Step, listing: Path) -> None:
    """Refuse raw files that are not what the earlier step wrote.

    Raises:
        StaleOutputError: A file is missing, was added, or has other bytes; or it was fetched under
            another key, so that its pseudonyms are others.
    """
    layout = step.layout
    step.read(listing)
    names = _check_key(step.study, layout) if step.study.fetch.source else None
    if step.study.data.kind == "phantom":
        step.read(layout.phantom_labels)
        step.read(layout.phantom_key)
    is_same = _sum_digests(listing) == _sum_digests(layout.sources)
    if not is_same and names is not None:
        # Members of archives stand in the sources, in place of the archives.
        is_same = _is_as_fetched(step.study, layout, listing, names=names)
    if not is_same:
        name = listing.parent.name
        raise StaleOutputError(
            f"{name}/archive: files must be as the step {name} wrote them, got others.",
            f"run `medvision {name}` again.",
        )


def _check_key(study: Study, layout: Layout) -> "Pseudonymiser":
    """Return who names files, having refused a fetch whose tables bear another key's pseudonyms."""
    from medvision.io.deidentify import Pseudonymiser, read_key

    record = read_record(layout, "fetch")
    names = Pseudonymiser(read_key(find_key(study, layout)))
    if record is None or record.facts.get("key_id") != names.key_id:
        raise StaleOutputError(
            "ingest.key: key must be the one of the step fetch, got another.",
            "run `medvision fetch` again.",
        )
    return names


def _sum_digests(table: Path) -> tuple[int, int]:
    """Return number and sum of the digests in a table: equal for equal files in any order."""
    number = total = 0
    with table.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            number += 1
            total += int(row["digest"] or "0", 16)
    return number, total


def _is_as_fetched(study: Study, layout: Layout, listing: Path, *, names: "Pseudonymiser") -> bool:
    """Tell whether a folder that holds archives is as it was fetched; archives are read again."""
    from medvision.io.ingest.walk import walk_files
    from medvision.io.tables import read_table
    from medvision.runtime.files import hash_stream

    source = find_source(study, layout)
    read = {row["file"]: row["digest"] for row in read_table(layout.sources)}
    fetched = {row["file"]: row["digest"] for row in read_table(listing)}
    walked = walk_files(source, without=layout.step("ingest"))
    held = {names.file_id(item.path): item.path for item in walked}
    if held.keys() != fetched.keys():
        return False
    for file, path in held.items():
        digest = read.get(file)
        if not digest:
            with (source / path).open("rb") as stream:
                digest = hash_stream(stream.read)[0]
        if digest != fetched[file]:
            return False
    return True
