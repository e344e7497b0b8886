"""A DICOM header translated into an Instance; nothing of pydicom goes further than this.

Two tiers read headers, one translation turns them into instances: so equal attributes are equal
instances.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from medvision.domain.novelty.vendors import find_vendor
from medvision.domain.study import Instance, PixelLayout, Role
from medvision.io.deidentify import Pseudonymiser
from medvision.io.dicom.attributes import ATTRIBUTES
from medvision.io.dicom.file import Header, read_header
from medvision.io.dicom.layout import PixelExtent, read_layout
from medvision.io.dicom.objects import MODALITIES, name_other_object
from medvision.io.dicom.scan import ScannedHeader, scan_content, scan_path
from medvision.io.dicom.terms import is_term
from medvision.io.dicom.values import (
    DatasetTexts,
    Texts,
    read_capitals,
    read_integer,
    read_number,
    read_text,
)
from medvision.io.frames.flat_frame import read_flat_frame
from medvision.io.frames.read import FRAME_KEYWORDS, FRAME_TAGS, FrameFacts, read_frames
from medvision.io.headers.hide import hide_terms
from medvision.io.headers.person import name_uid, read_age, read_person, read_person_key, read_sex
from medvision.io.headers.protocol import name_units, read_protocol
from medvision.io.headers.role import find_role, list_text_risks
from medvision.io.quiet import silence_readers
from medvision.io.reasons import RefusalError

_KEYWORDS = tuple(sorted({*FRAME_KEYWORDS, *ATTRIBUTES}))
_UID = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True)
class Origin:
    """Where a header was read, and who gives names.

    Args:
        file: Pseudonymous id of the file.
        path: Its path below the source folder.
        names: Makes pseudonyms.
    """

    file: str
    path: str
    names: Pseudonymiser


def read_instance(
    path: Path,
    *,
    file: str,
    relative_path: str,
    names: Pseudonymiser,
    content: bytes | None = None,
) -> Instance | str:
    """Translate a DICOM file's header: by the bounded scan where it is trusted, else by pydicom.

    Args:
        path: The file.
        file: Its pseudonymous id.
        relative_path: Its path below the source folder.
        names: Makes pseudonyms.
        content: The file's bytes where it is the member of an archive: then `path` is not opened.

    Returns:
        The instance, or a code of reasons.NON_IMAGE for an object that is no image. An instance
        whose pixels cannot be used is returned with its fault, so that its series is known to
        lack it.

    Raises:
        RefusalError: The file claims to be an image and its header cannot be used.
        OSError: The file cannot be opened.
    """
    scanned = scan_path(path) if content is None else scan_content(content)
    if scanned is not None:
        instance = _translate_scanned(scanned, Origin(file, relative_path, names))
        if instance is not None:
            return instance
    return read_instance_fully(
        path, file=file, relative_path=relative_path, names=names, content=content
    )


def read_instance_fully(
    path: Path,
    *,
    file: str,
    relative_path: str,
    names: Pseudonymiser,
    content: bytes | None = None,
) -> Instance | str:
    """Translate a DICOM file's header by pydicom, private attributes included.

    Args, returns and raises as read_instance.
    """
    with silence_readers():
        header = read_header(path if content is None else content, _KEYWORDS, tags=FRAME_TAGS)
        other = name_other_object(header.sop_class)
        if other is not None:
            return other
        texts = DatasetTexts(header.dataset)
        if "Rows" not in texts or "Columns" not in texts:
            return _judge_without_size(header)
        return translate(
            texts,
            read_frames(header.dataset),
            extent=header.pixels,
            sop_class=header.sop_class,
            syntax=header.syntax,
            origin=Origin(file, relative_path, names),
            fault=header.fault,
        )


def _judge_without_size(header: Header) -> str:
    """Return the code of an object without the size of an image, or refuse a broken image."""
    from pydicom.uid import UID

    if header.fault is not None:
        raise header.fault
    if header.pixels is not None:
        raise RefusalError("unreadable", "Rows and Columns must be given, got none")
    if "Image Storage" in UID(header.sop_class).name:
        raise RefusalError("no-pixel-data", "image must have pixel data, got none")
    return "no-image-object"


def _translate_scanned(scanned: ScannedHeader, origin: Origin) -> Instance | None:
    """Translate what the scan told, None where anything is wrong: pydicom has the last word."""
    attributes = scanned.attributes
    sop_class = attributes["SOPClassUID"][0]
    if name_other_object(sop_class) is not None:
        return None
    try:
        instance = translate(
            attributes,
            read_flat_frame(attributes),
            extent=scanned.pixels,
            sop_class=sop_class,
            syntax=scanned.syntax,
            origin=origin,
            is_partial=True,
        )
    except RefusalError:
        return None
    return None if instance.fault else instance


def translate(
    header: Texts,
    facts: FrameFacts,
    *,
    extent: PixelExtent | None,
    sop_class: str,
    syntax: str,
    origin: Origin,
    fault: RefusalError | None = None,
    is_partial: bool = False,
) -> Instance:
    """Build the instance of an image's header, under pseudonyms.

    Args:
        header: Attributes of the top level.
        facts: Its planes.
        extent: Where the pixels lie; None where there are none.
        sop_class: UID of the kind of object.
        syntax: Transfer syntax UID, "" where it is not known.
        origin: Where the header was read, and who gives names.
        fault: Why the pixels cannot be used, where that is known already.
        is_partial: The header was told by the bounded scan.

    Returns:
        The instance, with its fault where the pixels cannot be used.

    Raises:
        RefusalError: An attribute that the image depends on is broken.
    """
    person = read_person(header, origin.names, file=origin.file)
    modality = read_text(header, "Modality").upper()
    image_type = read_capitals(header, "ImageType")
    photometric = _keep_terms(read_capitals(header, "PhotometricInterpretation")[:1])
    role = _find_role(header, sop_class, image_type=image_type)
    pixels, found = _describe_pixels(header, extent, syntax=_keep_uid(syntax), fault=fault)
    return Instance(
        file=origin.file,
        path=origin.path,
        subject=person.subject,
        subject_key=person.subject_key,
        study_uid=person.study_uid,
        series_uid=person.series_uid,
        sop_uid=origin.names.uid(read_text(header, "SOPInstanceUID") or origin.file),
        sop_class=_keep_uid(sop_class),
        modality=modality if modality in MODALITIES else "OT",
        image_type=_keep_terms(image_type),
        frame_of_reference=name_uid(origin.names, read_text(header, "FrameOfReferenceUID")),
        rows=facts.rows,
        columns=facts.columns,
        samples=read_integer(header, "SamplesPerPixel", default=1),
        photometric=photometric[0] if photometric else "",
        thickness_mm=facts.thickness_mm,
        units=name_units(header, modality, rescale_type=facts.rescale_type),
        manufacturer=find_vendor(read_text(header, "Manufacturer")),
        frames=hide_terms(facts.frames, origin.names),
        flags=_list_flags(header, image_type, sop_class=sop_class, role=role),
        image_key=person.image_key,
        image_name=person.image_name,
        role=role,
        pixels=pixels,
        is_partial=is_partial,
        date=person.date,
        age_years=read_age(header),
        sex=read_sex(header),
        person_key=read_person_key(header, origin.names),
        protocol=read_protocol(header),
        fault=found,
    )


def _find_role(header: Texts, sop_class: str, *, image_type: tuple[str, ...]) -> Role:
    """Return what the image is for."""
    return find_role(
        sop_class,
        image_type,
        scan_options=read_capitals(header, "ScanOptions"),
        conversion=read_capitals(header, "ConversionType"),
    )


def _keep_terms(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return values with OTHER in place of what is no term of the standard, and may be a name."""
    return tuple([value if is_term(value) else "OTHER" for value in values])


def _keep_uid(uid: str) -> str:
    """Return a UID that is one, else nothing: what stands in its place may be a name."""
    return uid if _UID.fullmatch(uid) else ""


def _describe_pixels(
    header: Texts, extent: PixelExtent | None, *, syntax: str, fault: RefusalError | None
) -> tuple[PixelLayout | None, tuple[str, str] | None]:
    """Return how the pixels lie, or why they cannot be used."""
    try:
        if fault is not None:
            raise fault
        return read_layout(header, extent, syntax=syntax), None
    except RefusalError as refusal:
        return None, (refusal.reason, refusal.detail)


def _list_flags(
    header: Texts, image_type: tuple[str, ...], *, sop_class: str, role: Role
) -> tuple[str, ...]:
    """Collect what the header alone gives cause to flag."""
    annotation = read_capitals(header, "BurnedInAnnotation")
    flags = list(list_text_risks(sop_class, role, annotation=annotation))
    if not read_text(header, "PatientID"):
        flags.append("no-patient-id")
    if "PixelSpacing" not in header and read_number(header, "ImagerPixelSpacing"):
        flags.append("detector-spacing")
    if image_type[:1] == ("DERIVED",):
        flags.append("derived")
    if "VOILUTSequence" in header:
        flags.append("voi-lut")
    return tuple(sorted(flags))
