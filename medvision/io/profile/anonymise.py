"""One DICOM object de-identified: attributes cleaned, identity replaced, meta rebuilt."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medvision.io.deidentify import Pseudonymiser
from medvision.io.dicom.values import read_text
from medvision.io.profile.actions import METHOD, Options
from medvision.io.profile.clean import Scope, clean_dataset
from medvision.io.profile.comments import blank_comments
from medvision.io.profile.shift import build_shift

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataset import FileDataset, FileMetaDataset

IMPLEMENTATION_UID = "2.25.150310757728415302323549822008737105823"
"""Names this software as a writer of files; drawn once, under the UUID root (PS3.5 B.2)."""

IMPLEMENTATION_NAME = "MEDVISION"


@dataclass(frozen=True)
class Identity:
    """Whom an object is of, in pseudonyms.

    Args:
        subject: Pseudonym of issuer and identifier.
        clock: Pseudonym of the identifier alone, by which dates are shifted.
    """

    subject: str
    clock: str


def read_identity(dataset: "Dataset", names: Pseudonymiser) -> Identity:
    """Return whom an object is of; where it does not say, its study stands for the subject.

    Args:
        dataset: A whole object, or a header with these attributes.
        names: Holds the key.

    Raises:
        RefusalError: `unreadable`: an identifier cannot be parsed.
    """
    identifier = read_text(dataset, "PatientID")
    if not identifier:
        study = read_text(dataset, "StudyInstanceUID") or read_text(dataset, "SeriesInstanceUID")
        subject = names.subject(f"study {study or read_text(dataset, 'SOPInstanceUID')}")
        return Identity(subject, subject)
    issuer = read_text(dataset, "IssuerOfPatientID")
    return Identity(names.subject(identifier, issuer=issuer), names.subject(identifier))


def anonymise(dataset: "Dataset", names: Pseudonymiser, *, options: Options) -> "FileDataset":
    """Return a de-identified copy of an object, ready to be written.

    The pixels decode to the same values; comments inside compressed pixels, and bytes behind the
    last pixel, are dropped.

    Args:
        dataset: Object with pixels and its transfer syntax in `file_meta`; not changed.
        names: Key of the pseudonyms: equal UIDs and identifiers get equal ones.
        options: Of the standard's profile.

    Raises:
        RefusalError: `unreadable`: an identifier cannot be parsed.

    Source:
        PS3.15 annex E, Basic Application Level Confidentiality Profile.
    """
    from pydicom.dataset import FileDataset

    identity = read_identity(dataset, names)
    scope = Scope(names, build_shift(names, identity.clock), options)
    cleaned = clean_dataset(dataset, scope)
    cleaned.PatientName = cleaned.PatientID = identity.subject
    _state_method(cleaned, options)
    meta = _build_meta(dataset, cleaned)
    _clean_pixels(cleaned, meta)
    written = FileDataset("", cleaned, preamble=bytes(128), file_meta=meta)
    syntax = meta.TransferSyntaxUID
    written.set_original_encoding(syntax.is_implicit_VR, syntax.is_little_endian)
    return written


def _state_method(cleaned: "Dataset", options: Options) -> None:
    """Say in the object that it is de-identified, and how (PS3.15 E.1.1, PS3.3 C.7.1.1)."""
    from pydicom import Dataset

    cleaned.PatientIdentityRemoved = "YES"
    cleaned.DeidentificationMethod = METHOD
    codes = []
    for value, meaning in options.codes:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
        codes.append(code)
    cleaned.DeidentificationMethodCodeSequence = codes
    is_shifted = options.dates == "shift"
    cleaned.LongitudinalTemporalInformationModified = "MODIFIED" if is_shifted else "REMOVED"


def _build_meta(dataset: "Dataset", cleaned: "Dataset") -> "FileMetaDataset":
    """Return fresh meta information: titles of machines and private parts are not taken over."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(read_text(cleaned, "SOPClassUID"))
    meta.MediaStorageSOPInstanceUID = UID(read_text(cleaned, "SOPInstanceUID"))
    meta.TransferSyntaxUID = UID(read_text(dataset.file_meta, "TransferSyntaxUID"))
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_NAME
    return meta


def _clean_pixels(cleaned: "Dataset", meta: "FileMetaDataset") -> None:
    """Drop what pixel data hold beside the pixels."""
    if "PixelData" not in cleaned:
        return
    element = cleaned["PixelData"]
    if meta.TransferSyntaxUID.is_encapsulated:
        element.value = blank_comments(element.value)
        # Told by the meta, and needed by the writer: the items have no length of their own.
        element.is_undefined_length = True
        return
    length = count_pixel_bytes(cleaned)
    if 0 < length < len(element.value):
        element.value = element.value[:length]


def count_pixel_bytes(dataset: "Dataset") -> int:
    """Return how many bytes native pixels have, even as all values; 0 where that is not known."""
    from pydicom.pixels.utils import get_expected_length

    try:
        length = get_expected_length(dataset)
    except Exception:  # noqa: BLE001 - pydicom raises what it meets; then nothing is cut off
        return 0
    return length + length % 2
