"""One file looked at: its digest, what it is, and its header where it is DICOM."""

from dataclasses import dataclass
from pathlib import Path

from medvision.domain.study import Instance
from medvision.io.deidentify import Pseudonymiser
from medvision.io.dicom.header import read_instance
from medvision.io.ingest.convert import NiftiFile, Verdict
from medvision.io.ingest.walk import DICOM, NIFTI, classify_file
from medvision.io.reasons import REFUSED, RefusalError
from medvision.runtime.files import hash_file


@dataclass(frozen=True)
class Scanned:
    """What is known of a file before any pixel is read.

    Args:
        file: Pseudonymous id.
        digest: sha256 of its bytes, "" where it cannot be read.
        n_bytes: Its size.
        content: An image to be converted, or the verdict on what is none.
    """

    file: str
    digest: str
    n_bytes: int
    content: Instance | NiftiFile | Verdict


@dataclass(frozen=True)
class Scanner:
    """What looking at a file needs.

    Args:
        source: Folder of the input.
        pseudonymiser: Gives the file its id.
        kinds: DICOM, NIFTI or both; images of another kind are left out.
        masks: Resolved paths of files that are masks, not images.
    """

    source: Path
    pseudonymiser: Pseudonymiser
    kinds: frozenset[str]
    masks: frozenset[Path]


def scan_file(relative_path: str, scanner: Scanner) -> Scanned:
    """Look at one file; whatever it holds ends in a verdict, never in an exception.

    Args:
        relative_path: Path below the source folder.
        scanner: Settings of the run.
    """
    path = scanner.source / relative_path
    file = scanner.pseudonymiser.file_id(relative_path)
    try:
        kind = classify_file(path)
        if kind == "not-a-file":
            return Scanned(file, "", 0, Verdict("non-image", kind))
        content = _read_content(path, relative_path, kind=kind, scanner=scanner)
        return Scanned(file, hash_file(path), path.stat().st_size, content)
    except OSError as error:
        verdict = Verdict(
            "refused", "unreadable", f"file must be readable, got {type(error).__name__}"
        )
        return Scanned(file, "", 0, verdict)


def _read_content(
    path: Path, relative_path: str, *, kind: str, scanner: Scanner
) -> Instance | NiftiFile | Verdict:
    """Return the image that a file holds, or the verdict on it."""
    file = scanner.pseudonymiser.file_id(relative_path)
    if kind in (DICOM, NIFTI) and kind not in scanner.kinds:
        return Verdict("non-image", "other-kind")
    if path.resolve() in scanner.masks:
        return Verdict("non-image", "mask")
    if kind == NIFTI:
        return NiftiFile(file, relative_path)
    if kind != DICOM:
        return _judge_other(kind)
    try:
        read = read_instance(path, file=file, relative_path=relative_path)
    except RefusalError as refusal:
        return Verdict("refused", refusal.reason, refusal.detail)
    return Verdict("non-image", read) if isinstance(read, str) else read


def _judge_other(kind: str) -> Verdict:
    """Return the verdict on a file that is neither DICOM nor NIfTI."""
    if kind in REFUSED:
        return Verdict("refused", kind, f"file must be DICOM or NIfTI, got: {REFUSED[kind]}")
    return Verdict("non-image", kind)
