"""Marks in every attribute that could tell who somebody is, and a search for what survived."""

import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import nibabel
import numpy as np
from dicoms import Plan, build_enhanced, build_slice
from pydicom.datadict import DicomDictionary, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset

from medvision.io.profile.actions import read_profile

WORD = "ZQKANARY"
ISSUER = f"{WORD} ward"
UID_ROOT = "1.2.999.7777."
YEAR = 1753
FIRST_DAY = date(YEAR, 6, 11)
N_DAYS = 5
"""All dates are of these few days, out of which a subject's shift leads."""

CLOCK = "010203."
DAYS_OF_AGE = "777"

TEXT_VRS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT")
_BYTE_VRS = ("OB", "OW", "UN")
_OUTSIDE_TABLE_VRS = (*TEXT_VRS, "UR", "DA", "DT", "TM", "AS", "UI", *_BYTE_VRS)

# What an image needs to be one; marks there would only make it another object.
STRUCTURE = {
    *("SOPClassUID", "Modality", "PhotometricInterpretation", "ImageType", "SpecificCharacterSet"),
    *("PixelData", "BurnedInAnnotation", "FrameType", "PixelDataProviderURL", "Units"),
    *("LossyImageCompression", "ConversionType", "PixelDataAreaOriginRelativeToFOV"),
}


@dataclass
class Marks:
    """Makes one mark after the other, and counts them."""

    count: int = 0
    places: Counter[str] = field(default_factory=Counter)

    def make(self, vr: str, place: str) -> object | None:
        """Return a value that is valid for its kind and stands nowhere else; None if none can."""
        number = self.count + 1
        value = _VALUES[vr](number) if vr in _VALUES else None
        if value is not None:
            self.count = number
            self.places[place] += 1
        return value


def _make_word(number: int) -> str:
    return f"{WORD}{number:06d}"


def _make_day(number: int) -> str:
    return (FIRST_DAY + timedelta(days=number % N_DAYS)).strftime("%Y%m%d")


_VALUES: dict[str, Callable[[int], object]] = {
    **dict.fromkeys(TEXT_VRS, _make_word),
    **dict.fromkeys(_BYTE_VRS, lambda number: (_make_word(number) + "x").encode()),
    "AS": lambda _number: f"{DAYS_OF_AGE}W",
    "DA": _make_day,
    "DS": lambda number: f"8{number:06d}.125",
    "DT": lambda number: f"{_make_day(number)}{CLOCK}{number:06d}",
    "IS": lambda number: str(80_000_000 + number),
    "SQ": lambda number: [_make_item(number)],
    "TM": lambda number: f"{CLOCK}{number:06d}",
    "UI": lambda number: f"{UID_ROOT}{number}",
    "UR": lambda number: f"http://{_make_word(number)}",
}

PATTERNS = {
    "word": re.compile(re.escape(WORD.encode()), re.IGNORECASE),
    "uid": re.compile(re.escape(UID_ROOT.encode())),
    "date": re.compile(rb"(?<![0-9A-Fa-f.])%d-?06-?1[1-5](?![0-9A-Fa-f])" % YEAR),
    "moment": re.compile(rb"%d061[1-5]010203" % YEAR),
    "time": re.compile(rb"010203\.[0-9]{3}"),
    "age": re.compile(rb"777W"),
    "decimal": re.compile(rb"(?<![0-9A-Za-z.])8[0-9]{6}\.125"),
    "whole": re.compile(rb"(?<![0-9A-Za-z.])8000[0-9]{4}(?![0-9A-Za-z])"),
}
"""What to look for: each mark matches one of them and nothing else does."""


def _make_item(number: int) -> Dataset:
    """An item whose every text is a mark, coded concept and person alike."""
    item = Dataset()
    word = _make_word(number)
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = word, "99ZQKANARY", word
    item.PatientName = item.TextValue = item.PersonName = word
    item.ReferencedSOPInstanceUID = f"{UID_ROOT}{number}"
    return item


def plant_table(dataset: Dataset, marks: Marks, *, place: str) -> None:
    """Put a mark into every attribute of table E.1-1, and into its ranges of groups."""
    for tag in sorted(read_profile()):
        keyword = keyword_for_tag(tag)
        group = tag >> 16
        # Commands are never in a file, and the meta information, padding and signatures have
        # their own places.
        if group < 0x0008 or group in (0xFFFA, 0xFFFC) or keyword in STRUCTURE:
            continue
        _plant(dataset, tag, marks=marks, place=place)
    dataset.add_new(0x50003000, "OW", (_make_word(marks.count) + "x").encode())
    dataset.add_new(0x60003000, "OW", (_make_word(marks.count) + "x").encode())
    dataset.add_new(0x60004000, "LT", marks.make("LT", place))
    dataset.add_new(0xFFFAFFFA, "SQ", [_make_item(marks.count)])
    dataset.add_new(0xFFFCFFFC, "OB", (_make_word(marks.count) + "x").encode())
    plant_private(dataset, marks, place=place)


def plant_private(dataset: Dataset, marks: Marks, *, place: str) -> None:
    """Put marks into private elements, with a creator, without one, and into a private sequence."""
    dataset.add_new(0x00090010, "LO", marks.make("LO", place))
    dataset.add_new(0x00091001, "UT", marks.make("UT", place))
    dataset.add_new(0x00091002, "SQ", [_make_item(marks.count)])
    dataset.add_new(0x00111003, "UN", marks.make("UN", place))
    dataset.add_new(0x00291010, "OB", marks.make("OB", place))


def plant_forgotten(dataset: Dataset, marks: Marks, *, place: str) -> None:
    """Put a mark into every attribute of the dictionary that is text, a date, a UID or bytes."""
    table = read_profile()
    for tag, (vr, _, _, _, keyword) in sorted(DicomDictionary.items()):
        is_file_or_command = tag >> 16 < 0x0008 or tag in dataset
        if is_file_or_command or tag in table or not keyword or keyword in STRUCTURE:
            continue
        if vr in _OUTSIDE_TABLE_VRS:
            _plant(dataset, tag, marks=marks, place=place)


def _plant(dataset: Dataset, tag: int, *, marks: Marks, place: str) -> None:
    """Put a mark into one attribute."""
    vr = dictionary_VR(tag) if keyword_for_tag(tag) else "LO"
    value = marks.make(vr, place)
    if value is not None:
        dataset[tag] = DataElement(tag, vr, value)


def plant_meta(dataset: FileDataset, marks: Marks) -> None:
    """Put marks into the preamble and the meta information."""
    meta = dataset.file_meta
    for keyword in (
        *("SourceApplicationEntityTitle", "SendingApplicationEntityTitle"),
        *("ReceivingApplicationEntityTitle", "ImplementationVersionName"),
    ):
        setattr(meta, keyword, marks.make("AE", "meta"))
    meta.ImplementationClassUID = marks.make("UI", "meta")
    meta.PrivateInformationCreatorUID = marks.make("UI", "meta")
    meta.PrivateInformation = marks.make("OB", "meta")
    dataset.preamble = str(marks.make("LO", "meta")).encode().ljust(128, b"\0")


def plant_everywhere(dataset: FileDataset, marks: Marks) -> None:
    """Mark an image: top level, twice nested, functional groups, meta, private, overlay, curve."""
    nested = Dataset()
    plant_table(nested, marks, place="nested twice")
    outer = Dataset()
    outer.ReferencedInstanceSequence = [nested]
    plant_table(dataset, marks, place="top level")
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if keyword in dataset:
            group = dataset[keyword].value[0]
            inner = Dataset()
            plant_table(inner, marks, place="functional groups")
            group.MRImagingModifierSequence = [inner]
            plant_table(group, marks, place="functional groups")
    dataset.ReferencedSeriesSequence = [outer]
    # In the table, and its items are kept: their UIDs are mapped.
    kept = Dataset()
    plant_table(kept, marks, place="nested twice")
    dataset.SourceImageSequence = [Dataset()]
    dataset.SourceImageSequence[0].PurposeOfReferenceCodeSequence = [kept]
    plant_meta(dataset, marks)


def build_marked_slice(plan: Plan, k: int, *, marks: Marks) -> FileDataset:
    """A slice of a series, marked; series and study are told by marks that its slices share."""
    dataset = build_slice(plan, k)
    sop_uid = f"{plan.series}.{k + 1}"
    plant_everywhere(dataset, marks)
    return identify(dataset, plan, sop_uid=sop_uid)


def build_marked_enhanced(plan: Plan, *, marks: Marks) -> FileDataset:
    """An enhanced object, marked in its functional groups too."""
    dataset = build_enhanced(plan, order=list(range(plan.volume.shape[2])))
    plant_everywhere(dataset, marks)
    return identify(dataset, plan, sop_uid=f"{plan.series}.1")


def identify(dataset: FileDataset, plan: Plan, *, sop_uid: str) -> FileDataset:
    """Give an object back what makes slices a series; all of it is marked."""
    dataset.PatientID, dataset.StudyInstanceUID = plan.subject, plan.study
    dataset.IssuerOfPatientID = ISSUER
    dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = plan.series, f"{plan.study}.9"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = sop_uid
    return dataset


def write_marked_nifti(path: Path, *, seed: int) -> None:
    """A NIfTI file with marks in each of its texts, its extensions and its gzip header."""
    array = np.random.default_rng(seed).integers(0, 900, (6, 5, 4), dtype=np.int16)
    image = nibabel.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0]))
    for name in ("descrip", "intent_name", "aux_file", "db_name"):
        image.header[name] = f"{WORD}{name[:6]}".encode()
    for code in (0, 6, 44):
        image.header.extensions.append(
            nibabel.nifti1.Nifti1Extension(code, f"{WORD} extension {code}".encode())
        )
    content = image.to_bytes() if path.name.endswith(".nii") else _zip(image.to_bytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _zip(content: bytes) -> bytes:
    """Compress with a name, a comment-like extra field and a time in the gzip header."""
    stream = io.BytesIO()
    with gzip.GzipFile(f"{WORD}.nii", "wb", fileobj=stream, mtime=1_234_567_890) as writer:
        writer.write(content)
    return stream.getvalue()


def read_outputs(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and decompressed bytes of all files below a folder, the secret's apart."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name.startswith("secret/"):
            continue
        content = path.read_bytes()
        yield name, name.encode()
        yield name, content
        if content.startswith(b"\x1f\x8b"):
            # Not gzip.decompress: the end of a broken file is missing.
            yield name, zlib.decompressobj(31).decompress(content)


def find_survivors(outputs: Iterable[tuple[str, bytes]]) -> dict[str, list[str]]:
    """Search for marks, as text of one and of two bytes a letter and as hexadecimal.

    Returns:
        Output to the marks found in it; outputs without marks are left out.
    """
    found: dict[str, list[str]] = {}
    for name, content in outputs:
        forms = (content, content.replace(b"\0", b""), _unhex(content))
        marks = {
            match.group().decode(errors="replace")
            for form in forms
            for pattern in PATTERNS.values()
            for match in pattern.finditer(form)
        }
        if marks:
            found.setdefault(name, []).extend(sorted(marks))
    return found


def _unhex(content: bytes) -> bytes:
    """Return what runs of hexadecimal digits stand for."""
    runs = re.findall(rb"(?:[0-9a-fA-F]{2}){6,}", content)
    return b" ".join(bytes.fromhex(run.decode()) for run in runs)
