"""Faults of single files: a scout, half a file, a report, a note."""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import BasicTextSRStorage

from medvision.phantom.delivery import Delivery, name_file
from medvision.phantom.dicom import (
    build_slice_header,
    build_study_header,
    encode_file,
    format_decimal,
    put_pixels,
)
from medvision.phantom.fault import Fault, Planted, Planting, plant_files
from medvision.phantom.scan import Scan
from medvision.phantom.streams import build_uid


def plant_localizer(planting: Planting) -> Planted:
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
    files = {name_file(planting.seed, scan, purpose="localizer"): encode_file(dataset)}
    return plant_files(
        planting,
        files,
        kind="localizer",
        verdict="converted",
        reason="",
        detail="an extra series; converted under its own role, which no cohort takes by default",
    )


def plant_truncated_file(planting: Planting) -> Planted:
    """Add a one-image series whose file ends in the middle of its pixels."""
    scan = planting.scan
    dataset = _build_extra(scan, purpose="truncated", number=7)
    put_pixels(dataset, scan.stored[:, :, 0].T, codec="none")
    content = encode_file(dataset)
    cut = len(content) - scan.stored[:, :, 0].nbytes // 2
    files = {name_file(planting.seed, scan, purpose="truncated"): content[:cut]}
    return plant_files(
        planting,
        files,
        kind="truncated-file",
        verdict="refused",
        reason="truncated",
        detail="an extra series; the subject's scan is converted",
    )


def plant_report(planting: Planting) -> Planted:
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
    files = {name_file(planting.seed, scan, purpose="report"): encode_file(dataset)}
    return plant_files(
        planting,
        files,
        kind="non-image-object",
        verdict="non-image",
        reason="structured-report",
        detail="catalogued; nothing else changes",
    )


def plant_text_file(planting: Planting) -> Planted:
    """Add what people leave in folders."""
    name = name_file(planting.seed, planting.scan, purpose="text")
    fault = Fault(
        kind="text-file",
        subject="",
        verdict="non-image",
        reason="not-an-image",
        files=(name,),
        detail="catalogued; nothing else changes",
    )
    return fault, Delivery({name: b"Export finished. Call the archive if a study is missing.\n"})


def _build_extra(scan: Scan, *, purpose: str, number: int) -> Dataset:
    """Return the header of a one-image series beside the scan, in the same study."""
    dataset = build_slice_header(scan, k=0)
    dataset.SeriesInstanceUID = build_uid(scan.series_uid, purpose, "series")
    dataset.SOPInstanceUID = build_uid(scan.series_uid, purpose)
    dataset.SeriesNumber = number
    dataset.InstanceNumber = 1
    return dataset
