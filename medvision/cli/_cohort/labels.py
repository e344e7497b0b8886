"""The table of labels under pseudonyms, and its rows joined with the images."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medvision.cli._inputs import find_labels, read_labels
from medvision.cli._run import Step, read_record
from medvision.domain.cohort import Matching, match_labels
from medvision.domain.labels.candidates import build_archive_images
from medvision.domain.labels.rows import LabelRow, build_label_rows
from medvision.domain.splits.external import mark_external
from medvision.errors import DataError, StaleOutputError
from medvision.io.deidentify import Pseudonymiser, cap_age, read_key
from medvision.io.tables import read_table


def read_cohort_labels(step: Step) -> list[LabelRow]:
    """Read the table of labels, subjects and images under pseudonyms, ages capped.

    The rows of an external cohort have the split `external`.

    Args:
        step: The running step; the table is registered with it.

    Raises:
        LabelError: The table cannot be read, a row of it makes no sense, or no row is external
            that should be.
        CohortError: An external cohort is named twice.
        DataError: The key of the pseudonyms is missing.
        StaleOutputError: The key is another than ingestion used.
    """
    path, data = find_labels(step.study, step.layout), step.study.data
    register_input(step, "labels", path=path)
    rows = build_label_rows(read_labels(path, data=data))
    rows = mark_external(rows, **step.study.cohort.external)
    # What is predicted may be an age too.
    value = (data.label_column or "") if data.task == "regression" else ""
    names = _read_names(step)
    return [
        replace(
            row,
            subject=names.subject(row.subject),
            label=_cap_age(value, row.label),
            image=names.image_key(row.image.removeprefix("./")) if row.image else None,
            attributes={name: _cap_age(name, text) for name, text in row.attributes.items()},
        )
        for row in rows
    ]


def match_images(step: Step, labels: Sequence[LabelRow]) -> Matching:
    """Join labels with the manifest.

    Args:
        step: The running step; manifest and rejects are registered with it.
        labels: Rows under pseudonyms.

    Returns:
        The cohort's images, and what was left over, with the reason why ingestion refused it.

    Raises:
        LabelError: Nothing matches, or an image has two labels.
    """
    images = build_archive_images(read_table(step.read(step.layout.manifest)))
    reasons: defaultdict[str, set[str]] = defaultdict(set)
    for row in read_table(step.read(step.layout.rejects)):
        for name in (row["subject"], row["image_key"]):
            reasons[name].add(row["reason"])
    refused = {name: ", ".join(sorted(held)) for name, held in reasons.items() if name}
    return match_labels(labels, images, roles=step.study.cohort.roles, refused=refused)


def register_input(step: Step, name: str, *, path: Path) -> None:
    """Register a file of the phantom cohort as read, and one of the user's as a source.

    Args:
        step: The running step.
        name: What the source is called in the record.
        path: The file.
    """
    if step.study.data.kind == "phantom":
        step.read(path)
    elif path.is_file():
        step.source(name, path)


def _cap_age(name: str, text: str) -> str:
    """Return an attribute as it is, unless it is an age that would point at a person."""
    if "age" not in re.split(r"[^a-z]+", name.lower()):
        return text
    try:
        age_years = float(text)
    except ValueError:
        return text
    capped = cap_age(age_years)
    return text if capped == age_years else f"{capped:g}"


def _read_names(step: Step) -> Pseudonymiser:
    """Return the pseudonyms of ingestion; with another key no label would find its image."""
    path = _find_key(step)
    hint = "put the key of ingestion back, or run `medvision ingest` again: all pseudonyms change."
    if not path.is_file():
        raise DataError(f"{path}: key of the pseudonyms must be a file, got none.", hint)
    names = Pseudonymiser(read_key(path))
    record = read_record(step.layout, "ingest")
    key_id = record.facts.get("key_id") if record else None
    if key_id not in (None, names.key_id):
        raise StaleOutputError(
            f"{path}: key of the pseudonyms must be {key_id}, with which the images were "
            f"ingested, got {names.key_id}.",
            hint,
        )
    return names


def _find_key(step: Step) -> Path:
    """Return the secret that ingestion used."""
    if step.study.data.kind == "phantom":
        return step.read(step.layout.phantom_key)
    return step.study.ingest.key or step.layout.pseudonym_key
