"""The source folder: which files it holds, and what each is by its content, never by its name."""

import os
import zlib
from pathlib import Path

from medvision.errors import DataError

DICOM = "dicom"
NIFTI = "nifti"

_HEAD_BYTES = 4096
_GZIP = b"\x1f\x8b"
_SIGNATURES = (
    (b"PK\x03\x04", "archive-not-opened"),
    (_GZIP, "archive-not-opened"),
    (b"7z\xbc\xaf\x27\x1c", "archive-not-opened"),
    (b"\x89PNG", "other-format"),
    (b"\xff\xd8\xff", "other-format"),
    (b"II*\x00", "other-format"),
    (b"MM\x00*", "other-format"),
    (b"BM", "other-format"),
    (b"GIF8", "other-format"),
    (b"NRRD", "other-format"),
    (b"ObjectType", "other-format"),
    (b"\x89HDF", "other-format"),
    (b"CDF\x01", "other-format"),
    (b"CDF\x02", "other-format"),
)
_NIFTI_SIZES = (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c")
_NIFTI2_MAGIC = b"\r\n\x1a\n"


def list_files(source: Path, *, without: Path) -> list[str]:
    """List the files below a folder as relative POSIX paths, sorted.

    Args:
        source: Folder to walk; links to folders are not followed, so that no file counts twice.
        without: Folder to leave out where it lies below `source`: this study's own output.

    Raises:
        DataError: The folder is missing or cannot be read.
    """
    if not source.is_dir():
        raise DataError(
            f"data.path: must be an existing folder, got {source}.",
            f"correct data.path; paths are relative to the working directory, {Path.cwd()}.",
        )

    def refuse(error: OSError) -> None:
        raise DataError(
            f"data.path: every folder must be readable, got {type(error).__name__} below {source}.",
            "give this account the right to read all folders below data.path.",
        ) from error

    excluded = without.resolve()
    found = []
    for folder, names, files in os.walk(source, onerror=refuse):
        here = Path(folder)
        names[:] = sorted(name for name in names if (here / name).resolve() != excluded)
        found += [(here / name).relative_to(source).as_posix() for name in files]
    return sorted(found)


def classify_file(path: Path) -> str:
    """Tell what a file is by its first bytes.

    Returns:
        DICOM, NIFTI, or a code of reasons.REFUSED or reasons.NON_IMAGE.

    Raises:
        OSError: The file cannot be opened.
    """
    if not path.is_file():
        return "not-a-file"
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    return _classify_head(head)


def _classify_head(head: bytes) -> str:
    """Tell what a file is by its head."""
    if not head:
        return "empty-file"
    if is_dicom(head):
        return DICOM
    plain = _inflate(head) if head.startswith(_GZIP) else head
    if plain[:4] in _NIFTI_SIZES:
        single = plain[344:347] == b"n+1"
        return NIFTI if single else "analyze-not-supported"
    if plain[4:7] in (b"n+2", b"ni2") and plain[8:12] == _NIFTI2_MAGIC:
        return NIFTI if plain[4:7] == b"n+2" else "analyze-not-supported"
    return next((code for start, code in _SIGNATURES if head.startswith(start)), "not-an-image")


def is_dicom(head: bytes) -> bool:
    """Say whether a head is DICOM: by its prefix, or by a first element of a likely group.

    Source:
        PS3.10 7.1; files without preamble begin with group 0002 or 0008 at their first byte.
    """
    if head[128:132] == b"DICM":
        return True
    group_element = head[:4]
    little = group_element[:2] in (b"\x02\x00", b"\x08\x00") and group_element[3:4] == b"\x00"
    big = group_element[:2] in (b"\x00\x02", b"\x00\x08") and group_element[2:3] == b"\x00"
    return len(head) >= 16 and (little or big)


def _inflate(head: bytes) -> bytes:
    """Return what the head of a gzip file unpacks to, or nothing."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 2 * _HEAD_BYTES)
    except zlib.error:
        return b""
