"""A DICOM header translated into an Instance; nothing of pydicom goes further than this."""

from pathlib import Path
from typing import TYPE_CHECKING

from medvision.domain.study import Instance
from medvision.io.dicom.file import Header, read_header
from medvision.io.dicom.frames import FRAME_KEYWORDS, read_frames
from medvision.io.dicom.objects import (
    BURNED_IN_RISK,
    MODALITIES,
    name_manufacturer,
    name_other_object,
)
from medvision.io.dicom.values import read_integer, read_number, read_text, read_texts
from medvision.io.quiet import silence_readers
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

_KEYWORDS = (
    *FRAME_KEYWORDS,
    "BitsAllocated",
    "BitsStored",
    "BurnedInAnnotation",
    "Columns",
    "FrameOfReferenceUID",
    "HighBit",
    "ImageType",
    "Manufacturer",
    "Modality",
    "PatientID",
    "PhotometricInterpretation",
    "Rows",
    "SOPClassUID",
    "SOPInstanceUID",
    "SamplesPerPixel",
    "SeriesInstanceUID",
    "StudyInstanceUID",
)
"""All that is ever read of a header: a name or a birth date cannot leak from what is not read."""

_HALF_SAMPLED = {"YBR_FULL_422": 2, "YBR_PARTIAL_422": 2}


def read_instance(path: Path, *, file: str, relative_path: str) -> Instance | str:
    """Translate a DICOM file's header.

    Args:
        path: The file.
        file: Its pseudonymous id.
        relative_path: Its path below the source folder.

    Returns:
        The instance, or a code of reasons.NON_IMAGE for an object that is no image. An instance
        whose pixels cannot be used is returned with its fault, so that its series is known to
        lack it.

    Raises:
        RefusalError: The file claims to be an image and its header cannot be used.
        OSError: The file cannot be opened.
    """
    header = read_header(path, _KEYWORDS)
    with silence_readers():
        sop_class = _name_sop_class(header.dataset)
        other = name_other_object(sop_class)
        if other is not None:
            return other
        if not _describes_pixels(header.dataset):
            return _judge_without_size(header, sop_class)
        return _translate(header, file=file, relative_path=relative_path)


def _name_sop_class(dataset: "Dataset") -> str:
    """Return the SOP class, from the meta information where the dataset has none."""
    named = read_text(dataset, "SOPClassUID")
    return named or read_text(dataset.file_meta, "MediaStorageSOPClassUID")


def _describes_pixels(dataset: "Dataset") -> bool:
    """Say whether a header describes pixels, present or not."""
    return "Rows" in dataset and "Columns" in dataset


def _judge_without_size(header: Header, sop_class: str) -> str:
    """Return the code of an object without the size of an image, or refuse a broken image."""
    from pydicom.uid import UID

    if header.fault is not None:
        raise header.fault
    if header.pixels is not None:
        raise RefusalError("unreadable", "Rows and Columns must be given, got none")
    if "Image Storage" in UID(sop_class).name:
        raise RefusalError("no-pixel-data", "image must have pixel data, got none")
    return "no-image-object"


def _find_fault(header: Header) -> tuple[str, str] | None:
    """Return why the pixels cannot be used, if so."""
    try:
        _check_pixels(header)
    except RefusalError as refusal:
        return refusal.reason, refusal.detail
    return None


def _check_pixels(header: Header) -> None:
    """Refuse an image whose pixels are absent, short, or laid out in an unknown way."""
    dataset = header.dataset
    pixels = header.pixels
    if header.fault is not None:
        raise header.fault
    if pixels is None:
        raise RefusalError("no-pixel-data", "image must have pixel data, got none")
    if pixels.is_encapsulated and not header.syntax:
        raise RefusalError("no-transfer-syntax", "encapsulated pixels must name a syntax, got none")
    if read_text(dataset, "BurnedInAnnotation").upper() == "YES":
        raise RefusalError("burned-in-annotation", "BurnedInAnnotation must be NO, got YES")
    bits = read_integer(dataset, "BitsAllocated", default=0)
    if bits < 1:
        raise RefusalError("unreadable", "BitsAllocated must be given, got none")
    stored = read_integer(dataset, "BitsStored", default=bits)
    high = read_integer(dataset, "HighBit", default=stored - 1)
    if high != stored - 1 or not 0 < stored <= bits:
        raise RefusalError(
            "bit-layout-not-supported", f"HighBit must be BitsStored - 1, got {high} and {stored}"
        )
    expected = _count_bytes(dataset, bits)
    if pixels.length is not None and pixels.length < expected:
        raise RefusalError(
            "truncated", f"pixel data must have {expected} bytes, got {pixels.length}"
        )


def _count_bytes(dataset: "Dataset", bits: int) -> int:
    """Return how many bytes uncompressed pixels need (PS3.5 8.1)."""
    samples = read_integer(dataset, "SamplesPerPixel", default=1)
    if _HALF_SAMPLED.get(read_text(dataset, "PhotometricInterpretation")):
        samples = 2
    frames = max(read_integer(dataset, "NumberOfFrames", default=1), 1)
    rows = read_integer(dataset, "Rows", default=0)
    columns = read_integer(dataset, "Columns", default=0)
    if rows < 1 or columns < 1:
        raise RefusalError("empty-image", f"image must have rows and columns, got {rows}x{columns}")
    return (rows * columns * samples * frames * bits + 7) // 8


def _translate(header: Header, *, file: str, relative_path: str) -> Instance:
    """Build the instance of an image's header."""
    dataset = header.dataset
    facts = read_frames(dataset)
    sop_class = _name_sop_class(dataset)
    series_uid = read_text(dataset, "SeriesInstanceUID")
    study_uid = read_text(dataset, "StudyInstanceUID") or series_uid
    subject = read_text(dataset, "PatientID")
    flags = _list_flags(dataset, sop_class, has_subject=bool(subject))
    modality = read_text(dataset, "Modality").upper()
    return Instance(
        file=file,
        path=relative_path,
        subject=subject or f"study {study_uid or file}",
        study_uid=study_uid,
        series_uid=series_uid,
        sop_uid=read_text(dataset, "SOPInstanceUID") or file,
        sop_class=sop_class,
        modality=modality if modality in MODALITIES else "OT",
        image_type=tuple(value.upper() for value in read_texts(dataset, "ImageType")),
        frame_of_reference=read_text(dataset, "FrameOfReferenceUID"),
        rows=facts.rows,
        columns=facts.columns,
        samples=read_integer(dataset, "SamplesPerPixel", default=1),
        photometric=read_text(dataset, "PhotometricInterpretation").upper(),
        thickness_mm=facts.thickness_mm,
        units=_name_units(modality, facts.rescale_type),
        manufacturer=name_manufacturer(read_text(dataset, "Manufacturer")),
        frames=facts.frames,
        flags=flags,

        fault=_find_fault(header),
    )


def _list_flags(dataset: "Dataset", sop_class: str, *, has_subject: bool) -> tuple[str, ...]:
    """Collect what the header alone gives cause to flag."""
    flags = [] if has_subject else ["no-patient-id"]
    if sop_class in BURNED_IN_RISK and not read_text(dataset, "BurnedInAnnotation"):
        flags.append("burned-in-risk")
    if "PixelSpacing" not in dataset and read_number(dataset, "ImagerPixelSpacing"):
        flags.append("detector-spacing")
    if read_text(dataset, "ImageType").upper() == "DERIVED":
        flags.append("derived")
    return tuple(flags)


def _name_units(modality: str, rescale_type: str | None) -> str:
    """Return HU for a CT whose header rescales without naming other units (PS3.3 C.11.1.1.2)."""
    is_hu = modality == "CT" and rescale_type is not None and rescale_type.upper() in ("HU", "")
    return "HU" if is_hu else "none"
