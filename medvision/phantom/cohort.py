"""The whole phantom cohort: archive, masks, labels, truth and key, written as one."""

import csv
import io
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from medvision.domain.record import JsonValue
from medvision.phantom.delivery import (
    LABEL_COLUMNS,
    Delivery,
    deliver_subjects,
    name_image,
)
from medvision.phantom.fault import Fault, Planted
from medvision.phantom.faults import plant_faults
from medvision.phantom.subject import draw_subjects
from medvision.runtime.files import (
    PARTIAL_PREFIX,
    hash_bytes,
    hash_fast,
    storage_faults,
    write_json,
    write_new,
    write_text,
)
from medvision.runtime.progress import track

ARCHIVE = "archive"
MASKS = "masks"


@dataclass(frozen=True)
class CohortTruth:
    """What is known of a generated cohort.

    Args:
        destination: Folder that holds it.
        scans: One description per series that must be converted, sorted by subject.
        faults: The planted faults.
        rows: The labels table.
        archive_digests: File name in the archive to the BLAKE3 digest of its bytes.
    """

    destination: Path
    scans: tuple[dict[str, JsonValue], ...]
    faults: tuple[Fault, ...]
    rows: tuple[dict[str, str], ...]
    archive_digests: dict[str, str]


def generate_cohort(
    destination: Path,
    *,
    seed: int,
    subjects: int,
    prevalence: float,
    size: tuple[int, int, int],
    nifti_fraction: float,
    faults: bool,
) -> CohortTruth:
    """Write a chest-CT-like cohort with known answers, as an archive would hold it.

    Writes archive/ (flat, meaningless names), masks/, labels.csv, truth.json and pseudonym.key
    below `destination`. Same arguments, same bytes. All subjects are made up.

    Args:
        destination: Folder to write to; an archive already there is replaced.
        seed: Seed of everything.
        subjects: Number of subjects of the base cohort.
        prevalence: Share of subjects with a nodule.
        size: Voxels (i, j, k) of a typical scan; the field of view is fixed, so that more
            voxels are smaller ones.
        nifti_fraction: Share of subjects handed over as NIfTI.
        faults: Plant the known faults, beside the base cohort.

    Returns:
        What is known of the cohort.

    Raises:
        ConfigError: Faults cannot be planted, for want of a DICOM subject.
        StorageError: The folder cannot be written.

    Source:
        none: own definition.
    """
    people = draw_subjects(
        seed, subjects=subjects, prevalence=prevalence, nifti_fraction=nifti_fraction
    )
    planted = plant_faults(seed, people, size=size) if faults else ()
    scans = track(
        deliver_subjects(seed, people, size=size), "writing phantom subjects", total=subjects
    )
    with storage_faults(destination / ARCHIVE):
        kept, digests = _write_folders(destination, scans, planted=planted)
    deliveries = _name_images(kept, planted=planted)
    truth = CohortTruth(
        destination=destination,
        scans=tuple(d.truth for d in deliveries if d.truth),
        faults=tuple(fault for fault, _ in planted),
        rows=tuple(d.row for d in deliveries if d.row),
        archive_digests=digests,
    )
    parameters: dict[str, JsonValue] = {
        "seed": seed,
        "subjects": subjects,
        "prevalence": prevalence,
        "size": [*size],
        "nifti_fraction": nifti_fraction,
        "faults": faults,
    }
    _write_truth(truth, parameters=parameters)
    _write_key(destination / "pseudonym.key", seed=seed)
    return truth


def _write_folders(
    destination: Path, scans: Iterable[Delivery], *, planted: tuple[Planted, ...]
) -> tuple[list[Delivery], dict[str, str]]:
    """Write the archive and the masks beside the old ones, then put them in their place."""
    drafts = {name: destination / f"{PARTIAL_PREFIX}{name}" for name in (ARCHIVE, MASKS)}
    for draft in drafts.values():
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
    digests: dict[str, str] = {}
    kept = []
    for delivery in (*(d for _, d in planted), *scans):
        for name, content in delivery.files.items():
            (drafts[ARCHIVE] / name).write_bytes(content)
            digests[name] = hash_fast(content)
        for name, content in delivery.masks.items():
            (drafts[MASKS] / name).write_bytes(content)
        # The bytes are on disk: only what the tables need stays in memory.
        kept.append(replace(delivery, files={}, masks={}))
    for name, draft in drafts.items():
        shutil.rmtree(destination / name, ignore_errors=True)
        draft.rename(destination / name)
    return kept, dict(sorted(digests.items()))


def _name_images(deliveries: list[Delivery], *, planted: tuple[Planted, ...]) -> list[Delivery]:
    """Name the image in every row of a subject that has several, and sort by subject."""
    several = {fault.subject for fault, _ in planted if fault.kind == "two-studies"}
    named = [
        name_image(d, str(d.truth["series_uid"])) if d.row.get("subject") in several else d
        for d in deliveries
    ]
    return sorted(named, key=lambda d: (d.row.get("subject", ""), d.row.get("image", "")))


def _write_truth(truth: CohortTruth, *, parameters: dict[str, JsonValue]) -> None:
    """Write labels.csv and truth.json."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, LABEL_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(truth.rows)
    write_text(truth.destination / "labels.csv", buffer.getvalue())
    extra = [f.subject for f in truth.faults if f.kind in _EXTRA_SUBJECTS]
    content: dict[str, JsonValue] = {
        "about": "Made-up subjects; extra_subjects are beside the base cohort.",
        "parameters": parameters,
        "base_subjects": [*sorted({row["subject"] for row in truth.rows} - set(extra))],
        "extra_subjects": [*sorted(extra)],
        "scans": [*truth.scans],
        "faults": [fault.as_dict() for fault in truth.faults],
    }
    write_json(truth.destination / "truth.json", cast(JsonValue, content))


_EXTRA_SUBJECTS = ("missing-slice", "same-image-two-subjects")


def _write_key(path: Path, *, seed: int) -> None:
    """Write the published key of the pseudonyms: subjects are made up, so it hides nobody."""
    key = hash_bytes(f"medvision phantom key {seed}".encode())
    with storage_faults(path):
        path.unlink(missing_ok=True)
        write_new(path, f"{key}\n".encode(), mode=0o600)
