"""A folder of DICOM images copied without what tells who somebody is, each file accounted for."""

import io
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from medvision.errors import DataError
from medvision.io.deidentify import Pseudonymiser
from medvision.io.dicom.file import name_sop_class, read_dataset, read_header
from medvision.io.dicom.objects import BURNED_IN_RISK, name_other_object
from medvision.io.dicom.values import read_text
from medvision.io.ingest.kind import ARCHIVES, DICOM, HEAD_BYTES, NIFTI, NIFTI_PAIR, classify_head
from medvision.io.ingest.walk import list_files
from medvision.io.profile.actions import Options
from medvision.io.profile.anonymise import anonymise, count_pixel_bytes
from medvision.io.quiet import silence_readers
from medvision.io.reasons import REFUSED, RefusalError
from medvision.io.tables import write_table
from medvision.runtime.files import hash_bytes, write_bytes
from medvision.runtime.progress import track

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataset import FileDataset

_log = logging.getLogger(__name__)

COPIES_COLUMNS = ("file", "verdict", "reason", "object", "digest")
REJECTS_COLUMNS = ("file", "reason", "detail")

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
_OVERLAY_ROWS, _OVERLAY_DATA = 0x0010, 0x3000


@dataclass(frozen=True)
class ExportSummary:
    """What became of the files.

    Args:
        verdicts: Number of files per verdict: written, duplicate, non-image, refused.
        refused: Number of files per reason, refused files alone.
    """

    verdicts: dict[str, int]
    refused: dict[str, int]


@dataclass(frozen=True)
class _Copied:
    """What became of one file: a row of both tables."""

    file: str
    verdict: str
    reason: str = ""
    detail: str = ""
    object: str = ""
    digest: str = ""


def export_folder(
    source: Path,
    destination: Path,
    *,
    names: Pseudonymiser,
    options: Options,
    burned_in: Literal["refuse", "flag"],
) -> ExportSummary:
    """Write a de-identified copy of every DICOM image below a folder, under pseudonymous names.

    Copies lie at subject/study/series/instance.dcm; `copies.tsv` and `rejects.tsv` beside them
    account for every file. One file that cannot be copied never stops the rest.

    Args:
        source: Folder of the input.
        destination: Empty or missing folder.
        names: Key of the pseudonyms.
        options: Of the profile of PS3.15.
        burned_in: What to do with images of a kind that often has text in its pixels.

    Raises:
        DataError: The source is no folder or holds no file, or the destination holds something.
        StorageError: The destination cannot be written.
    """
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise DataError(
            f"{destination}: destination must be an empty folder, got one that holds something.",
            "name another folder; copies of several runs are never mixed.",
        )
    paths = list_files(source, without=destination)
    if not paths:
        raise DataError(f"{source}: folder must hold at least one file, got none.", "check SOURCE.")
    exporter = _Exporter(source, destination, names, options, burned_in, {})
    rows = [exporter.copy(path) for path in track(paths, "de-identifying")]
    rows.sort(key=lambda row: row.file)
    write_table(destination / "copies.tsv", map(vars, rows), columns=COPIES_COLUMNS)
    rejects = [row for row in rows if row.verdict == "refused"]
    write_table(destination / "rejects.tsv", map(vars, rejects), columns=REJECTS_COLUMNS)
    return ExportSummary(
        verdicts=dict(sorted(Counter(row.verdict for row in rows).items())),
        refused=dict(sorted(Counter(row.reason for row in rejects).items())),
    )


@dataclass(frozen=True)
class _Exporter:
    """Copies files, and remembers what it wrote: object to digest."""

    source: Path
    destination: Path
    names: Pseudonymiser
    options: Options
    burned_in: Literal["refuse", "flag"]
    written: dict[str, str]

    def copy(self, path: str) -> _Copied:
        """Copy one file; whatever it holds ends in a verdict."""
        file = self.names.file_id(path)
        try:
            kind = _classify(self.source / path)
            if kind != DICOM:
                return _judge_other(file, kind)
            return self._copy_object(file, self.source / path)
        except RefusalError as refusal:
            return _Copied(file, "refused", refusal.reason, refusal.detail)
        except OSError as error:
            # A full disk of the destination has become a StorageError already.
            return _Copied(
                file, "refused", "unreadable", f"file must be readable, got {type(error).__name__}"
            )

    def _copy_object(self, file: str, path: Path) -> _Copied:
        """Copy one DICOM object, if it is an image."""
        prepared = self._prepare(path)
        if isinstance(prepared, str):
            return _Copied(file, "non-image", prepared)
        content, name = prepared
        digest = hash_bytes(content)
        earlier = self.written.get(name)
        if earlier is not None and earlier != digest:
            raise RefusalError(
                "conflicting-duplicate", "objects of one UID must be equal, got another"
            )
        if earlier is not None:
            return _Copied(file, "duplicate", "", "", name, digest)
        write_bytes(self.destination / name, content)
        self.written[name] = digest
        return _Copied(file, "written", "", "", name, digest)

    def _prepare(self, path: Path) -> tuple[bytes, str] | str:
        """Return a copy's bytes and its path below the destination, or the code of no image."""
        try:
            with silence_readers():
                header = read_header(path, ("SOPClassUID",))
                dataset = read_dataset(path)
                other = name_other_object(name_sop_class(dataset, dataset.file_meta))
                if other is not None:
                    return other
                if header.fault is not None:
                    raise header.fault
                check_image(dataset, burned_in=self.burned_in)
                return _serialise(anonymise(dataset, self.names, options=self.options))
        except (RefusalError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - pydicom raises what it meets; any bytes need a verdict
            raise RefusalError(
                "unreadable", f"object must be parsable DICOM, got {type(error).__name__}"
            ) from None


def _classify(path: Path) -> str:
    """Tell what a file is by its head."""
    if not path.is_file():
        return "not-a-file"
    with path.open("rb") as stream:
        return classify_head(stream.read(HEAD_BYTES))


def _judge_other(file: str, kind: str) -> _Copied:
    """Return what becomes of a file that is not DICOM."""
    if kind in ARCHIVES:
        return _Copied(file, "refused", "archive-not-opened", "archive must be unpacked, got it")
    if kind in REFUSED:
        return _Copied(file, "refused", kind, f"file must be DICOM, got: {REFUSED[kind]}")
    is_other_image = kind in (NIFTI, NIFTI_PAIR)
    return _Copied(file, "non-image", "other-kind" if is_other_image else kind)


def check_image(dataset: "Dataset", *, burned_in: Literal["refuse", "flag"]) -> None:
    """Refuse an object that is no image, or one whose pixels may tell who somebody is.

    Args:
        dataset: A whole object.
        burned_in: refuse, or flag to let kinds of images pass that only may hold text.

    Raises:
        RefusalError: It is not copied.
    """
    from pydicom.uid import UID

    if not any(keyword in dataset for keyword in _PIXELS):
        raise RefusalError("no-pixel-data", "image must have pixel data, got none")
    if "Image Storage" not in UID(name_sop_class(dataset, dataset.file_meta)).name:
        raise RefusalError("unreadable", "SOPClassUID must be of an image, got an unregistered one")
    if UID(read_text(dataset.file_meta, "TransferSyntaxUID")).type != "Transfer Syntax":
        raise RefusalError("unreadable", "TransferSyntaxUID must be registered, got another")
    for keyword in ("SOPInstanceUID", "StudyInstanceUID"):
        if not read_text(dataset, keyword):
            raise RefusalError("unreadable", f"{keyword} must be given, got none")
    if not read_text(dataset, "SeriesInstanceUID"):
        raise RefusalError("no-series-uid", "SeriesInstanceUID must be given, got none")
    if read_text(dataset, "BurnedInAnnotation").upper() == "YES":
        raise RefusalError("burned-in-annotation", "BurnedInAnnotation must be NO, got YES")
    _check_length(dataset)
    if _has_overlay_in_pixels(dataset):
        raise RefusalError("burned-in-annotation", "pixels must hold no overlay, got one")
    if burned_in == "refuse" and has_burned_in_risk(dataset):
        raise RefusalError("burned-in-risk", "BurnedInAnnotation must be NO, got nothing")


def _check_length(dataset: "Dataset") -> None:
    """Refuse native pixels of which a part is missing."""
    from pydicom.uid import UID

    if UID(read_text(dataset.file_meta, "TransferSyntaxUID")).is_encapsulated:
        return
    expected, found = count_pixel_bytes(dataset), len(dataset.get("PixelData") or b"")
    # Some writers leave the byte out that makes an odd number even.
    if 0 < found < expected - 1:
        raise RefusalError("truncated", f"pixel data must have {expected} bytes, got {found}")


def has_burned_in_risk(dataset: "Dataset") -> bool:
    """Say whether an image is of a kind that often has text in its pixels, and denies it nowhere.

    Source:
        PS3.3 C.7.6.1.1.1 (BurnedInAnnotation), C.8.6.1 (ConversionType: the image was captured).
    """
    if read_text(dataset, "BurnedInAnnotation").upper() == "NO":
        return False
    return name_sop_class(dataset, dataset.file_meta) in BURNED_IN_RISK or bool(
        read_text(dataset, "ConversionType")
    )


def _has_overlay_in_pixels(dataset: "Dataset") -> bool:
    """Say whether an overlay lies in the unused bits of the pixels (PS3.3 C.9.2, retired)."""
    for group in _OVERLAY_GROUPS:
        has_rows = (group, _OVERLAY_ROWS) in dataset
        if has_rows and (group, _OVERLAY_DATA) not in dataset:
            return True
    return False


def _serialise(copy: "FileDataset") -> tuple[bytes, str]:
    """Return a de-identified object's bytes, and its path below the destination."""
    stream = io.BytesIO()
    copy.save_as(stream, enforce_file_format=True)
    folder = f"{copy.PatientID}/{copy.StudyInstanceUID}/{copy.SeriesInstanceUID}"
    return stream.getvalue(), f"{folder}/{copy.SOPInstanceUID}.dcm"
