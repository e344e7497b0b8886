"""Faults of whole series: a gap, copies, another subject's images, a second study."""

from dataclasses import replace

from medvision.phantom.delivery import Delivery, Files, deliver_scan, name_file, name_image
from medvision.phantom.dicom import build_slice_header, encode_file, put_pixels
from medvision.phantom.fault import Fault, Planted, Planting, plant_files
from medvision.phantom.scan import draw_scan
from medvision.phantom.streams import build_uid
from medvision.phantom.subject import build_subject


def plant_missing_slice(planting: Planting) -> Planted:
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
    lost = name_file(planting.seed, scan, purpose=f"slice-{scan.grid.shape[2] // 2}")
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


def plant_duplicate_instances(planting: Planting) -> Planted:
    """Send two slices twice: same SOPInstanceUID and pixels, other file, maybe other encoding."""
    scan = planting.scan
    files: Files = {}
    for k in (0, 1):
        dataset = build_slice_header(scan, k=k)
        put_pixels(dataset, scan.stored[:, :, k].T, codec="none")
        files[name_file(planting.seed, scan, purpose=f"duplicate-{k}")] = encode_file(dataset)
    return plant_files(
        planting,
        files,
        kind="duplicate-instances",
        verdict="duplicate",
        reason="same-pixels",
        detail="either copy may be the one kept; the series is converted whole",
    )


def plant_same_image(planting: Planting) -> Planted:
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


def plant_two_studies(planting: Planting) -> Planted:
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
