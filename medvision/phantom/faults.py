"""The planted faults: what goes wrong in real archives, each with the verdict it must get."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import BasicTextSRStorage

from medvision.domain.record import JsonValue
from medvision.errors import ConfigError
from medvision.phantom.delivery import Delivery, Files, deliver_scan, name_file, name_image
from medvision.phantom.dicom import (
    build_slice_header,
    build_study_header,
    encode_file,
    format_decimal,
    put_pixels,
)
from medvision.phantom.scan import Scan, draw_scan
from medvision.phantom.streams import build_generator, build_uid
from medvision.phantom.subject import Subject, build_subject


@dataclass(frozen=True)
class Fault:
    """One planted fault and the verdict expected of the pipeline.

    Args:
        kind: Name of the fault.
        subject: Identifier of the subject that it is planted on.
        verdict: converted, duplicate, refused or non-image: what becomes of `files`.
        reason: Code of the verdict; empty where the files are converted.
        files: Names of the files that the verdict falls on.
        detail: What must follow further down the pipeline.
        related: Identifier of the other subject that the fault involves, if any.
    """

    kind: str
    subject: str
    verdict: str
    reason: str
    files: tuple[str, ...]
    detail: str
    related: str = ""

    def as_dict(self) -> dict[str, JsonValue]:
        """Return the fault as plain JSON types."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "verdict": self.verdict,
            "reason": self.reason,
            "files": [*sorted(self.files)],
            "detail": self.detail,
            "related": self.related,
        }


@dataclass(frozen=True)
class Planting:
    """Where a fault is planted: a subject of the base cohort, its scan, and a free index."""

    seed: int
    size: tuple[int, int, int]
    scan: Scan
    free_index: int


Planted = tuple[Fault, Delivery]


def plant_faults(
    seed: int, subjects: tuple[Subject, ...], *, size: tuple[int, int, int]
) -> tuple[Planted, ...]:
    """Plant every fault, on DICOM subjects drawn without regard to their labels.

    Faults add files, studies or subjects; they never take anything from the base cohort.

    Args:
        seed: Seed of the cohort.
        subjects: The base cohort.
        size: Typical number of voxels (i, j, k).

    Returns:
        (fault, delivery) of each kind in the order of FAULTS.

    Raises:
        ConfigError: No subject is handed over as DICOM.
    """
    hosts = [subject for subject in subjects if subject.source == "dicom"]
    if not hosts:
        raise ConfigError(
            "phantom.nifti_fraction: must leave a DICOM subject to plant faults on, got none.",
            "lower phantom.nifti_fraction, or set phantom.faults to false.",
        )
    order = build_generator(seed, "faults").permutation(len(hosts))
    planted = []
    for position, plant in enumerate(FAULTS.values()):
        host = hosts[int(order[position % len(hosts)])]
        scan = draw_scan(seed, host, visit=0, size=size)
        planted.append(plant(Planting(seed, size, scan, len(subjects) + position)))
    return tuple(planted)


def _plant_missing_slice(planting: Planting) -> Planted:
    """Add a subject whose series lacks a slice in its middle."""
    subject = build_subject(
        planting.seed,
        planting.free_index,
        scanner=planting.scan.subject.scanner,
        source="dicom",
        label="normal",
    )
    scan = draw_scan(planting.seed, subject, visit=0, size=planting.size)
    delivery = deliver_scan(planting.seed, scan)
    lost = name_file(planting.seed, scan, f"slice-{scan.grid.shape[2] // 2}")
    kept = {name: content for name, content in delivery.files.items() if name != lost}
    fault = Fault(
        kind="missing-slice",
        subject=subject.identifier,
        verdict="refused",
        reason="missing-slice",
        files=tuple(kept),
        detail="an extra subject; its label is reported as a label without image",
    )
    # The series is no scan of the cohort, so the truth knows it as a fault only.
    return fault, Delivery(kept, row=delivery.row)


def _plant_duplicate_instances(planting: Planting) -> Planted:
    """Send two slices twice: same SOPInstanceUID and pixels, other file, maybe other encoding."""
    scan = planting.scan
    files: Files = {}
    for k in (0, 1):
        dataset = build_slice_header(scan, k=k)
        put_pixels(dataset, scan.stored[:, :, k].T, codec="none")
        files[name_file(planting.seed, scan, f"duplicate-{k}")] = encode_file(dataset)
    fault = Fault(
        kind="duplicate-instances",
        subject=scan.subject.identifier,
        verdict="duplicate",
        reason="same-pixels",
        files=tuple(files),
        detail="either copy may be the one kept; the series is converted whole",
    )
    return fault, Delivery(files)


def _plant_localizer(planting: Planting) -> Planted:
    """Add a coronal scout to a subject's study."""
    scan = planting.scan
    dataset = _build_extra(scan, purpose="localizer", number=1)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.SeriesDescription = "Scout"
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    spacing = np.linalg.norm(scan.grid.affine[:3, :3], axis=0)
    dataset.PixelSpacing = [format_decimal(spacing[2]), format_decimal(spacing[0])]
    frame = np.rint(scan.stored.mean(axis=1)).astype(scan.stored.dtype).T[::-1]
    put_pixels(dataset, frame, codec="none")
    files = {name_file(planting.seed, scan, "localizer"): encode_file(dataset)}
    return _refuse(planting, files=files, kind="localizer", reason="localizer")


def _plant_truncated_file(planting: Planting) -> Planted:
    """Add a one-image series whose file ends in the middle of its pixels."""
    scan = planting.scan
    dataset = _build_extra(scan, purpose="truncated", number=7)
    put_pixels(dataset, scan.stored[:, :, 0].T, codec="none")
    content = encode_file(dataset)
    cut = len(content) - scan.stored[:, :, 0].nbytes // 2
    files = {name_file(planting.seed, scan, "truncated"): content[:cut]}
    return _refuse(planting, files=files, kind="truncated-file", reason="truncated")


def _plant_report(planting: Planting) -> Planted:
    """Add a structured report to a subject's study.

    Source:
        PS3.3 A.35.1 (Basic Text SR).
    """
    scan = planting.scan
    dataset = build_study_header(scan)
    dataset.SOPClassUID = BasicTextSRStorage
    dataset.SOPInstanceUID = build_uid(scan.series_uid, "report")
    dataset.SeriesInstanceUID = build_uid(scan.series_uid, "report", "series")
    dataset.Modality = "SR"
    dataset.SeriesNumber = 90
    dataset.InstanceNumber = 1
    dataset.ContentDate = dataset.StudyDate
    dataset.ContentTime = dataset.StudyTime
    dataset.CompletionFlag = "COMPLETE"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.ValueType = "CONTAINER"
    dataset.ContinuityOfContent = "SEPARATE"
    text = Dataset()
    text.RelationshipType = "CONTAINS"
    text.ValueType = "TEXT"
    text.TextValue = f"Made-up report of {scan.subject.name}."
    dataset.ContentSequence = DicomSequence([text])
    files = {name_file(planting.seed, scan, "report"): encode_file(dataset)}
    fault = Fault(
        kind="non-image-object",
        subject=scan.subject.identifier,
        verdict="non-image",
        reason="structured-report",
        files=tuple(files),
        detail="catalogued; nothing else changes",
    )
    return fault, Delivery(files)


def _plant_text_file(planting: Planting) -> Planted:
    """Add what people leave in folders."""
    name = name_file(planting.seed, planting.scan, "text")
    fault = Fault(
        kind="text-file",
        subject="",
        verdict="non-image",
        reason="not-an-image",
        files=(name,),
        detail="catalogued; nothing else changes",
    )
    return fault, Delivery({name: b"Export finished. Call the archive if a study is missing.\n"})


def _plant_same_image(planting: Planting) -> Planted:
    """Add a subject whose images are another's, under identifiers of its own."""
    scan = planting.scan
    twin = build_subject(
        planting.seed,
        planting.free_index,
        scanner=scan.subject.scanner,
        source="dicom",
        label=scan.subject.label,
    )
    copy = replace(
        scan,
        subject=twin,
        study_uid=build_uid(planting.seed, "study", twin.index, 0),
        series_uid=build_uid(planting.seed, "series", twin.index, 0),
    )
    delivery = deliver_scan(planting.seed, copy)
    fault = Fault(
        kind="same-image-two-subjects",
        subject=twin.identifier,
        verdict="converted",
        reason="",
        files=tuple(delivery.files),
        detail="an extra subject; leakage check reports same-pixels, both lie in one split",
        related=scan.subject.identifier,
    )
    return fault, delivery


def _plant_two_studies(planting: Planting) -> Planted:
    """Scan a subject again a year later."""
    scan = draw_scan(planting.seed, planting.scan.subject, visit=1, size=planting.size)
    delivery = name_image(deliver_scan(planting.seed, scan), scan.series_uid)
    fault = Fault(
        kind="two-studies",
        subject=scan.subject.identifier,
        verdict="converted",
        reason="",
        files=tuple(delivery.files),
        detail="an extra study of a base subject; both images lie in one split of every fold",
    )
    return fault, delivery


FAULTS: dict[str, Callable[[Planting], Planted]] = {
    "missing-slice": _plant_missing_slice,
    "duplicate-instances": _plant_duplicate_instances,
    "localizer": _plant_localizer,
    "truncated-file": _plant_truncated_file,
    "non-image-object": _plant_report,
    "text-file": _plant_text_file,
    "same-image-two-subjects": _plant_same_image,
    "two-studies": _plant_two_studies,
}
"""Kind of fault to the function that plants it."""


def _build_extra(scan: Scan, *, purpose: str, number: int) -> Dataset:
    """Return the header of a one-image series beside the scan, in the same study."""
    dataset = build_slice_header(scan, k=0)
    dataset.SeriesInstanceUID = build_uid(scan.series_uid, purpose, "series")
    dataset.SOPInstanceUID = build_uid(scan.series_uid, purpose)
    dataset.SeriesNumber = number
    dataset.InstanceNumber = 1
    return dataset


def _refuse(planting: Planting, *, files: Files, kind: str, reason: str) -> Planted:
    """Return a fault whose files are refused while the subject's scan is converted."""
    fault = Fault(
        kind=kind,
        subject=planting.scan.subject.identifier,
        verdict="refused",
        reason=reason,
        files=tuple(files),
        detail="an extra series; the subject's scan is converted",
    )
    return fault, Delivery(files)
