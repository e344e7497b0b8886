"""A converted image on its way out: NIfTI, sidecar and the row of the manifest."""

from dataclasses import dataclass

import numpy as np

from medvision.domain.geometry import Affine, compute_orientation, compute_spacing_mm
from medvision.domain.intended_use import RESEARCH_USE
from medvision.domain.record import JsonValue
from medvision.domain.study import Role, Value
from medvision.domain.voi import Voi, encode_voi
from medvision.domain.volume import NumberGrid, format_shape
from medvision.io.nifti.write import Compression, Shrunk, as_colour, shrink_dtype, write_nifti
from medvision.layout import Layout
from medvision.runtime.files import hash_fast, write_json

MANIFEST_COLUMNS = (
    *("image_id", "subject", "subject_key", "study", "series", "source", "modality", "role"),
    *(
        "part",
        "axis",
        "n_volumes",
        "volume",
        "shape",
        "n_channels",
        "spacing_mm",
        "orientation",
        "units",
    ),
    *(
        "geometry",
        "n_files",
        "flags",
        "date",
        "age",
        "sex",
        "frame_of_reference",
        "person_key",
        "voi",
        "image_digest",
        "pixel_digest",
        "image_key",
    ),
)


@dataclass(frozen=True)
class Image:
    """An image ready to be written; every name in it is a pseudonym or a controlled term.

    Args:
        image_id: `sub-<10 hex>_img-<12 hex>`.
        subject: `sub-<10 hex>`.
        subject_key: Pseudonym of the subject's identifier, whatever its issuer.
        study: UID of the 2.25 root.
        series: UID of the 2.25 root.
        source: dicom or nifti.
        modality: Controlled term, or unknown.
        units: HU or another controlled term; none where unknown.
        image_key: Pseudonym of the user's name of the image.
        array: (I, J, K), (I, J, K, T), or of colour (I, J, K[, T], 3) uint8.
        affine: (4, 4), voxel index to RAS+ mm.
        is_placed: The source states where the image lies in space.
        n_files: Files whose pixels are part of it.
        flags: Codes of reasons.FLAGS.
        origin: Further entries of the sidecar.
        role: What the image is for.
        part: What sets it apart from other images of its series.
        axis: What the fourth axis of the source is; empty where it has one volume.
        n_volumes: Volumes of the source.
        volume: Which of them this is: empty for an only one, its number from 1, mean, or all.
        date: Shifted date of the study, YYYY-MM-DD.
        age_years: Age at the study, capped.
        sex: M, F, O or empty.
        frame_of_reference: Pseudonym of the UID of its space; empty where unknown.
        person_key: Pseudonym of name, birth date and sex; empty where they name nobody.
        is_colour: The last axis holds red, green and blue.
        step_s: Seconds between the volumes of a time series; None elsewhere.
        voi: How the header of an image of one grey plane asks for it to be shown.
    """

    image_id: str
    subject: str
    subject_key: str
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
    role: Role = "original"
    part: tuple[tuple[str, Value], ...] = ()
    axis: str = ""
    n_volumes: int = 1
    volume: str = ""
    date: str = ""
    age_years: float | None = None
    sex: str = ""
    frame_of_reference: str = ""
    person_key: str = ""
    is_colour: bool = False
    step_s: float | None = None
    voi: Voi | None = None


def write_image(image: Image, layout: Layout, *, compression: Compression) -> dict[str, str]:
    """Write an image and its sidecar.

    Args:
        image: What to write.
        layout: Where both lie.
        compression: none, fast or small.

    Returns:
        The image's row of the manifest.

    Raises:
        StorageError: The folder cannot be written.
    """
    shrunk = shrink_dtype(image.array)
    array = shrunk.array
    digest = write_nifti(
        layout.image(image.image_id),
        as_colour(array.astype(np.uint8, copy=False)) if image.is_colour else array,
        affine=image.affine,
        is_placed=image.is_placed,
        compression=compression,
        step_s=image.step_s,
    )
    row = _build_row(image, shrunk) | {"image_digest": digest}
    write_json(layout.sidecar(image.image_id), _build_sidecar(image, row, shrunk))
    return row


def _build_row(image: Image, shrunk: Shrunk) -> dict[str, str]:
    """Return what the manifest says of an image, its file's digest apart."""
    return {
        "image_id": image.image_id,
        "subject": image.subject,
        "subject_key": image.subject_key,
        "study": image.study,
        "series": image.series,
        "source": image.source,
        "modality": image.modality,
        "role": image.role,
        "part": format_part(image.part),
        "axis": image.axis,
        "n_volumes": str(image.n_volumes),
        "volume": image.volume,
        "shape": format_shape(_find_shape(image)),
        "n_channels": "3" if image.is_colour else "1",
        "spacing_mm": "x".join(f"{size:.6g}" for size in compute_spacing_mm(image.affine)),
        "orientation": compute_orientation(image.affine),
        "units": image.units,
        "geometry": "full" if image.is_placed else "none",
        "n_files": str(image.n_files),
        "flags": ",".join(sorted({*image.flags, *_judge_range(shrunk.low, shrunk.high)})),
        "date": image.date,
        "age": "" if image.age_years is None else f"{image.age_years:.9g}",
        "sex": image.sex,
        "frame_of_reference": image.frame_of_reference,
        "person_key": image.person_key,
        "voi": image.voi.function if image.voi else "",
        "pixel_digest": compute_pixel_digest(shrunk.array),
        "image_key": image.image_key,
    }


def _find_shape(image: Image) -> tuple[int, ...]:
    """Return the voxels along each axis, colours apart."""
    return image.array.shape[:-1] if image.is_colour else image.array.shape


def format_part(part: tuple[tuple[str, Value], ...]) -> str:
    """Return a part as text: `component=M,echo-time-ms=4.6`."""
    return ",".join(
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in part
    )


def compute_pixel_digest(array: NumberGrid) -> str:
    """Return the BLAKE3 digest over the shape, the dtype and the values in the file's order.

    Equal pixels have equal digests, wherever they lie in space: images are written in the
    smallest dtype that is exact, so that equal values have one dtype.

    Args:
        array: As `shrink_dtype` returns it, or colour.
    """
    values = np.ascontiguousarray(array.T)
    kind = repr((tuple(int(size) for size in array.shape), array.dtype.str)).encode()
    return hash_fast(kind + hash_fast(values.view(np.uint8).reshape(-1).data).encode())


def _judge_range(low: float, high: float) -> list[str]:
    """Flag values that no network can learn from."""
    if np.isnan(low):
        return ["nan"]
    return ["constant"] if low == high else []


def _build_sidecar(image: Image, row: dict[str, str], shrunk: Shrunk) -> dict[str, JsonValue]:
    """Return the sidecar: an allow-list of what later stages and an auditor need."""
    array = image.array
    is_finite = not np.isnan(shrunk.low)
    finite = array if is_finite else array[np.isfinite(array)]
    return {
        "Affine": [[float(value) for value in line] for line in image.affine],
        "Flags": [flag for flag in row["flags"].split(",") if flag],
        "Geometry": row["geometry"],
        "IntendedUse": RESEARCH_USE,
        "Modality": image.modality,
        "NonFiniteVoxels": int(array.size - finite.size),
        "Orientation": row["orientation"],
        "PixelDigest": row["pixel_digest"],
        "Role": image.role,
        "SeriesInstanceUID": image.series,
        "Shape": [int(size) for size in _find_shape(image)],
        "SpacingMm": list(compute_spacing_mm(image.affine)),
        "StudyInstanceUID": image.study,
        "Subject": image.subject,
        "Units": image.units,
        "ValueRange": _describe_range(finite, shrunk),
        **({"VOI": encode_voi(image.voi)} if image.voi else {}),
        **image.origin,
    }


def _describe_range(finite: NumberGrid, shrunk: Shrunk) -> JsonValue:
    """Return the range of the finite values, None where there is none."""
    if not finite.size:
        return None
    if not np.isnan(shrunk.low):
        return [shrunk.low, shrunk.high]
    return [float(finite.min()), float(finite.max())]
