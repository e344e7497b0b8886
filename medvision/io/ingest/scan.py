"""Files looked at: what each is, its header where it is DICOM, its members if an archive."""

from collections.abc import Sequence

from medvision.domain.study import Instance
from medvision.io.bids.entities import is_outside
from medvision.io.ingest.convert_nifti import NiftiFile
from medvision.io.ingest.entry import Entry, hold_dicom, hold_nifti, hold_verdict
from medvision.io.ingest.kind import ARCHIVES, DICOM, HEAD_BYTES, NIFTI_PAIR, classify_head
from medvision.io.ingest.scan_archive import scan_archive
from medvision.io.ingest.scanner import Scanner, judge_kind, read_dicom, refuse_for_now
from medvision.io.ingest.verdict import Verdict
from medvision.io.ingest.walk import Found
from medvision.io.nifti.pair import find_partner
from medvision.runtime.files import hash_stream


def scan_files(files: Sequence[Found], scanner: Scanner) -> list[Entry]:
    """Look at several files; whatever they hold ends in entries, never in an exception."""
    return [entry for found in files for entry in scan_file(found, scanner)]


def scan_file(found: Found, scanner: Scanner) -> list[Entry]:
    """Look at one file.

    Args:
        found: The file.
        scanner: Settings of the run.

    Returns:
        Its entry, and behind it those of its members where it is an archive.
    """
    entry = scanner.begin_entry(found)
    if not found.is_file:
        return [hold_verdict(entry, Verdict("non-image", "not-a-file"))]
    try:
        return _scan(found, entry, scanner)
    except (OSError, MemoryError) as error:
        detail = f"file must be readable, got {type(error).__name__}"
        return [refuse_for_now(entry, Verdict("refused", "unreadable", detail))]


def _scan(found: Found, entry: Entry, scanner: Scanner) -> list[Entry]:
    """Look at a file by its content."""
    path = scanner.source / found.path
    with path.open("rb", buffering=0) as stream:
        head = stream.read(HEAD_BYTES)
        kind = classify_head(head)
        verdict = judge_kind(kind, scanner, is_member=False)
        if verdict is None and scanner.is_bids and is_outside(found.path):
            verdict = Verdict("non-image", "outside-dataset")
        # To resolve a path costs as much as to read a header: only where there are masks.
        if verdict is None and scanner.masks and path.resolve() in scanner.masks:
            verdict = Verdict("non-image", "mask")
        if verdict is None:
            if kind in ARCHIVES:
                return scan_archive(found, entry, scanner, kind=kind)
            held = _read_image(entry, found, scanner, kind=kind)
            if isinstance(held, Entry):
                return [held]
            verdict = held
        digest, _ = hash_stream(stream.read, head=head)
    return [hold_verdict(entry, verdict, digest=digest)]


def _read_image(entry: Entry, found: Found, scanner: Scanner, *, kind: str) -> Entry | Verdict:
    """Return the entry of an image, or the verdict on what claims to be one."""
    path = scanner.source / found.path
    if kind == DICOM:
        read = read_dicom(path, found.path, scanner=scanner)
        return hold_dicom(entry, read) if isinstance(read, Instance) else read
    partner = find_partner(path) if kind == NIFTI_PAIR else None
    partner_id = (
        ""
        if partner is None
        else scanner.names.file_id(partner.relative_to(scanner.source).as_posix())
    )
    return hold_nifti(entry, NiftiFile(entry.file, found.path, partner_id), scanner.names)
