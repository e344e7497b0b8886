"""What the archive receives for one scan: nameless files, a row of labels, the truth."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from medvision.domain.geometry import compute_orientation, compute_spacing_mm
from medvision.domain.record import JsonValue
from medvision.phantom.dicom import encode_slices
from medvision.phantom.nifti import encode_mask, encode_scan
from medvision.phantom.scan import Scan, draw_scan
from medvision.phantom.streams import build_name
from medvision.phantom.subject import TARGET_COLUMNS, Subject

LABEL_COLUMNS = ("subject", "label", "image", "mask", "site", "sex", "age", *TARGET_COLUMNS)

Files = dict[str, bytes]
"""File name to content."""


@dataclass(frozen=True)
class Delivery:
    """Everything that follows from one scan, or from one planted fault.

    Args:
        files: Files of the archive.
        masks: Files of the folder of masks.
        row: Line of the labels table, by LABEL_COLUMNS; empty where there is none.
        truth: What is known of the scan.
    """

    files: Files
    masks: Files = field(default_factory=dict)
    row: dict[str, str] = field(default_factory=dict)
    truth: dict[str, JsonValue] = field(default_factory=dict)


def deliver_subjects(
    seed: int, subjects: tuple[Subject, ...], *, size: tuple[int, int, int]
) -> Iterator[Delivery]:
    """Scan each subject once, one after the other.

    Args:
        seed: Seed of the cohort.
        subjects: Who is scanned.
        size: Typical number of voxels (i, j, k).

    Yields:
        One delivery a subject.
    """
    for subject in subjects:
        yield deliver_scan(seed, draw_scan(seed, subject, visit=0, size=size))


def deliver_scan(seed: int, scan: Scan) -> Delivery:
    """Turn a scan into files, its row of labels and its truth.

    Args:
        seed: Seed of the cohort; names of files derive from it.
        scan: The scan.
    """
    subject = scan.subject
    if subject.source == "nifti":
        files = {f"{subject.identifier}.nii.gz": encode_scan(scan)}
    else:
        files = {
            name_file(seed, scan, purpose=f"slice-{k}"): content
            for k, content in enumerate(encode_slices(scan))
        }
    mask_name = f"{build_name(seed, 'mask', subject.index, scan.visit, length=12)}.nii.gz"
    masks = {mask_name: encode_mask(scan.mask, scan)} if scan.nodules else {}
    row = {
        "subject": subject.identifier,
        "label": subject.label,
        "image": "",
        "mask": f"masks/{mask_name}" if masks else "",
        "site": subject.scanner.site,
        "sex": subject.sex,
        "age": str(subject.age),
        "findings": scan.chest.findings,
        "chest_width_mm": f"{scan.chest.width_mm:.1f}",
    }
    return Delivery(files, masks, row, _describe_scan(scan, files=files))


def name_image(delivery: Delivery, image: str) -> Delivery:
    """Return the delivery with the image column filled, as a subject with several needs."""
    return replace(delivery, row=delivery.row | {"image": image})


def name_file(seed: int, scan: Scan, *, purpose: str) -> str:
    """Return a name that tells nothing; `purpose` keeps the files of one scan apart."""
    return build_name(seed, "file", scan.subject.index, scan.visit, purpose, length=12)


def _describe_scan(scan: Scan, *, files: Files) -> dict[str, JsonValue]:
    """Return what is known of a scan, as JSON types."""
    names: list[JsonValue] = [*sorted(files)]
    nodules: list[JsonValue] = [
        {
            "centre_mm": [round(value, 3) for value in nodule.centre_mm],
            "radii_mm": [round(value, 3) for value in nodule.radii_mm],
            "hu": round(nodule.hu, 3),
        }
        for nodule in scan.nodules
    ]
    return {
        "subject": scan.subject.identifier,
        "label": scan.subject.label,
        "source": scan.subject.source,
        "scanner": scan.subject.scanner.model,
        "study_uid": scan.study_uid,
        "series_uid": scan.series_uid,
        "shape": [*scan.grid.shape],
        "affine": [[round(float(value), 9) for value in row] for row in scan.grid.affine],
        "spacing_mm": [round(value, 6) for value in compute_spacing_mm(scan.grid.affine)],
        "orientation": compute_orientation(scan.grid.affine),
        "noise_hu": scan.subject.scanner.noise_hu,
        "mask_voxels": int(scan.mask.sum()),
        "nodules": nodules,
        "files": names,
    }
