"""A converted image on its way out: NIfTI, sidecar and the row of the manifest."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medvision.domain.geometry import Affine, compute_orientation, compute_spacing_mm
from medvision.domain.intended_use import RESEARCH_USE
from medvision.domain.record import JsonValue
from medvision.domain.volume import NumberGrid, format_shape
from medvision.io.nifti.write import shrink_dtype, write_nifti
from medvision.runtime.files import write_json

MANIFEST_COLUMNS = (
    "image_id",
    "subject",
    "study",
    "series",
    "source",
    "modality",
    "shape",
    "spacing_mm",
    "orientation",
    "units",
    "geometry",
    "n_files",
    "flags",
    "image_digest",
    "pixel_digest",
    "image_key",
)


@dataclass(frozen=True)
class Image:
    """An image ready to be written; every name in it is a pseudonym or a controlled term.

    Args:
        image_id: `sub-<10 hex>_img-<12 hex>`.
        subject: `sub-<10 hex>`.
        study: UID of the 2.25 root.
        series: UID of the 2.25 root.
        source: dicom or nifti.
        modality: Controlled term, or unknown.
        units: HU or none.
        image_key: Pseudonym of the user's name of the image.
        array: (I, J, K).
        affine: (4, 4), voxel index to RAS+ mm.
        is_placed: The source states where the image lies in space.
        n_files: Files whose pixels are part of it.
        flags: Codes of reasons.FLAGS.
        origin: Further entries of the sidecar.
    """

    image_id: str
    subject: str
    study: str
    series: str
    source: str
    modality: str
    units: str
    image_key: str
    array: NumberGrid
    affine: Affine
    is_placed: bool
    n_files: int
    flags: tuple[str, ...]
    origin: dict[str, JsonValue]


def write_image(image: Image, folder: Path) -> dict[str, str]:
    """Write an image and its sidecar.

    Args:
        image: What to write.
        folder: Takes `<image_id>.nii.gz` and `<image_id>.json`.

    Returns:
        The image's row of the manifest.
    """
    array = shrink_dtype(image.array)
    flags = sorted({*image.flags, *_inspect_values(array)})
    digest = write_nifti(
        folder / f"{image.image_id}.nii.gz", array, affine=image.affine, is_placed=image.is_placed
    )
    row = {
        "image_id": image.image_id,
        "subject": image.subject,
        "study": image.study,
        "series": image.series,
        "source": image.source,
        "modality": image.modality,
        "shape": format_shape(array.shape),
        "spacing_mm": "x".join(f"{size:.6g}" for size in compute_spacing_mm(image.affine)),
        "orientation": compute_orientation(image.affine),
        "units": image.units,
        "geometry": "full" if image.is_placed else "none",
        "n_files": str(image.n_files),
        "flags": ",".join(flags),
        "image_digest": digest,
        "pixel_digest": compute_pixel_digest(array),
        "image_key": image.image_key,
    }
    write_json(folder / f"{image.image_id}.json", _build_sidecar(image, row, array=array))
    return row


def compute_pixel_digest(array: NumberGrid) -> str:
    """Return the sha256 over the shape and the values as float32, (I, J, K) in C order.

    Equal pixels have equal digests, wherever they lie in space and whatever their dtype.
    """
    digest = hashlib.sha256(repr(tuple(int(size) for size in array.shape)).encode())
    for plane in array:
        digest.update(np.ascontiguousarray(plane, dtype="<f4").tobytes())
    return digest.hexdigest()


def _inspect_values(array: NumberGrid) -> list[str]:
    """Flag values that no network can learn from."""
    if not np.isfinite(array).all():
        return ["nan"]
    return ["constant"] if array.min() == array.max() else []


def _build_sidecar(image: Image, row: dict[str, str], *, array: NumberGrid) -> dict[str, JsonValue]:
    """Return the sidecar: an allow-list of what later stages and an auditor need."""
    finite = array[np.isfinite(array)]
    return {
        "Affine": [[float(value) for value in line] for line in image.affine],
        "Flags": [flag for flag in row["flags"].split(",") if flag],
        "Geometry": row["geometry"],
        "IntendedUse": RESEARCH_USE,
        "Modality": image.modality,
        "NonFiniteVoxels": int(array.size - finite.size),
        "Orientation": row["orientation"],
        "PixelDigest": row["pixel_digest"],
        "SeriesInstanceUID": image.series,
        "Shape": [int(size) for size in array.shape],
        "SpacingMm": list(compute_spacing_mm(image.affine)),
        "StudyInstanceUID": image.study,
        "Subject": image.subject,
        "Units": image.units,
        "ValueRange": [float(finite.min()), float(finite.max())] if finite.size else None,
        **image.origin,
    }
