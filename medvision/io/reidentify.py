"""The table that undoes the pseudonyms: made on request alone, and for its owner's eyes alone."""

import itertools
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from medvision.io.deidentify import ISSUER_MARK, Pseudonymiser
from medvision.io.dicom.values import read_text
from medvision.io.ingest.kind import DICOM, HEAD_BYTES, classify_head
from medvision.io.profile.anonymise import read_identity
from medvision.io.quiet import silence_readers
from medvision.io.reasons import RefusalError
from medvision.io.tables import write_lines
from medvision.runtime.files import PARTIAL_PREFIX, storage_faults

COLUMNS = ("kind", "pseudonym", "original")

_KEYWORDS = (
    *("PatientID", "IssuerOfPatientID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("SOPInstanceUID", "FrameOfReferenceUID"),
)
_UIDS = (
    ("study", "StudyInstanceUID"),
    ("series", "SeriesInstanceUID"),
    ("instance", "SOPInstanceUID"),
    ("frame-of-reference", "FrameOfReferenceUID"),
)


class Identity(NamedTuple):
    """A row of the table.

    Args:
        kind: file, subject, study, series, instance or frame-of-reference.
        pseudonym: What outputs call it.
        original: What the source calls it; a subject's with its issuer, where one is given.
    """

    kind: str
    pseudonym: str
    original: str


def list_identities(
    paths: Iterable[str], names: Pseudonymiser, *, open_file: Callable[[str], BinaryIO]
) -> Iterator[Identity]:
    """Read once more who is behind each pseudonym; nothing else of a header is read.

    Instances go by pseudonym from the moment that they are scanned, so that no earlier step could
    have kept the originals.

    Args:
        paths: Paths below the source folder, as file ids are made from them.
        names: Key of the pseudonyms.
        open_file: Opens a path of `paths`, a member of an archive as well.

    Yields:
        Each row once, in the order of the files; a file that cannot be read has but its own row.
    """
    seen: set[Identity] = set()
    for path in paths:
        yield Identity("file", names.file_id(path), path)
        for identity in _read_identities(path, names, open_file=open_file):
            if identity not in seen:
                # Instances are met once each: to remember them all would take memory for nothing.
                seen.update([] if identity.kind == "instance" else [identity])
                yield identity


def _read_identities(
    path: str, names: Pseudonymiser, *, open_file: Callable[[str], BinaryIO]
) -> list[Identity]:
    """Return what one file's header tells, nothing for a file that is not DICOM."""
    from pydicom import dcmread

    try:
        with open_file(path) as stream, silence_readers():
            if classify_head(stream.read(HEAD_BYTES)) != DICOM:
                return []
            stream.seek(0)
            header = dcmread(
                stream, force=True, stop_before_pixels=True, specific_tags=list(_KEYWORDS)
            )
            texts = {keyword: read_text(header, keyword) for keyword in _KEYWORDS}
            subject = read_identity(header, names).subject
    except (OSError, RefusalError):
        return []
    except Exception:  # noqa: BLE001 - pydicom raises what it meets; such a file was refused before
        return []
    issuer, identifier = texts["IssuerOfPatientID"], texts["PatientID"]
    full = f"{issuer}{ISSUER_MARK}{identifier}" if issuer and identifier else identifier
    rows = [Identity("subject", subject, full)]
    rows += [
        Identity(kind, names.uid(texts[keyword]), texts[keyword])
        for kind, keyword in _UIDS
        if texts[keyword]
    ]
    return rows


def write_reidentification(path: Path, rows: Iterable[Identity]) -> None:
    """Write the table, mode 0600, in a folder of mode 0700; never half-written, never wider.

    Args:
        path: Such as `secret/reidentification.tsv`.
        rows: From list_identities.

    Raises:
        StorageError: The folder cannot be written.
    """
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.parent.chmod(0o700)
        # mkstemp makes the file with mode 0600.
        handle, name = tempfile.mkstemp(prefix=PARTIAL_PREFIX, dir=path.parent)
        try:
            with os.fdopen(
                handle, "w", encoding="utf-8", errors="backslashreplace", newline=""
            ) as stream:
                write_lines(stream, itertools.chain([COLUMNS], rows))
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
