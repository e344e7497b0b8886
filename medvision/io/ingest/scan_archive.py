"""An archive looked at: an entry of its own for each member."""

from collections.abc import Callable, Iterator

from medvision.domain.study import Instance
from medvision.io.ingest.archive import MARK, Member, find_layout, read_archive
from medvision.io.ingest.convert_nifti import NiftiFile
from medvision.io.ingest.entry import Entry, hold_dicom, hold_nifti, hold_verdict
from medvision.io.ingest.kind import HEAD_BYTES, NIFTI, NIFTI_PAIR, classify_head
from medvision.io.ingest.scanner import Scanner, judge_kind, read_dicom
from medvision.io.ingest.unpack import MOST_IN_MEMORY
from medvision.io.ingest.verdict import Verdict, refuse_with
from medvision.io.ingest.walk import Found
from medvision.io.reasons import RefusalError
from medvision.runtime.files import hash_fast, hash_stream

_CHUNK = 1 << 20


def scan_archive(found: Found, entry: Entry, scanner: Scanner, *, kind: str) -> list[Entry]:
    """Look at the members of an archive.

    Those of an archive that is broken or too large are refused with it: nothing tells whether a
    series among them is whole.

    Args:
        found: The archive.
        entry: What is known of it.
        scanner: Settings of the run.
        kind: One of kind.ARCHIVES.

    Returns:
        The archive's entry and those of its members.

    Raises:
        OSError: It cannot be read.
    """
    path = scanner.source / found.path
    members: list[Entry] = []
    verdict, layout = Verdict("non-image", "archive"), ""
    try:
        layout = find_layout(path, kind=kind, limit=scanner.limit)
        for member in read_archive(path, kind=kind, limit=scanner.limit):
            members.append(_scan_member(member, found, entry, scanner))
    except RefusalError as refusal:
        verdict = refuse_with(refusal)
        members = [_refuse_member(item, verdict) for item in members]
    with path.open("rb", buffering=0) as stream:
        digest, _ = hash_stream(stream.read)
    return [hold_verdict(entry._replace(layout=layout), verdict, digest=digest), *members]


def _refuse_member(item: Entry, verdict: Verdict) -> Entry:
    """Return the entry of a member that is refused with its archive."""
    bare = Entry(item.file, item.parent, item.path, item.n_bytes, item.mtime_ns)
    return hold_verdict(bare, verdict, digest=item.digest)


def _scan_member(member: Member, archive: Found, parent: Entry, scanner: Scanner) -> Entry:
    """Look at one member of an archive."""
    path = f"{archive.path}{MARK}{member.name}"
    found = Found(path, member.n_bytes or 0, archive.mtime_ns, is_file=True)
    entry = scanner.begin_entry(found)._replace(parent=parent.file)
    if member.verdict is not None:
        return hold_verdict(entry, member.verdict)
    try:
        return _scan_content(member, found, entry, scanner)
    except RefusalError as refusal:
        if not member.is_apart:
            raise
        return hold_verdict(entry, refuse_with(refusal))


def _scan_content(member: Member, found: Found, entry: Entry, scanner: Scanner) -> Entry:
    """Look at a member by its content."""
    head = _read_up_to(member.read, HEAD_BYTES)
    kind = classify_head(head)
    verdict = judge_kind(kind, scanner, is_member=True) or _judge_member(kind, member)
    if verdict is None and kind != NIFTI:
        return _scan_dicom(head, member.read, found=found, entry=entry, scanner=scanner)
    digest, n_bytes = hash_stream(member.read, head=head)
    if verdict is None and n_bytes > MOST_IN_MEMORY:
        verdict = _refuse_size(n_bytes)
    if verdict is None:
        job = NiftiFile(entry.file, found.path)
        return hold_nifti(entry._replace(n_bytes=n_bytes), job, scanner.names)
    return hold_verdict(entry._replace(n_bytes=n_bytes), verdict, digest=digest)


def _scan_dicom(
    head: bytes,
    read: Callable[[int], bytes],
    *,
    found: Found,
    entry: Entry,
    scanner: Scanner,
) -> Entry:
    """Look at a member that is DICOM: it is read whole."""
    content = head + _read_up_to(read, MOST_IN_MEMORY)
    if len(content) > MOST_IN_MEMORY:
        return hold_verdict(entry, _refuse_size(len(content)))
    entry = entry._replace(n_bytes=len(content))
    path = scanner.source / found.path
    held = read_dicom(path, found.path, scanner=scanner, content=content)
    if isinstance(held, Instance):
        return hold_dicom(entry, held)
    return hold_verdict(entry, held, digest=hash_fast(content))


def _judge_member(kind: str, member: Member) -> Verdict | None:
    """Return the verdict on an image that cannot be read from within an archive."""
    if kind == NIFTI_PAIR:
        return Verdict("refused", "pair-incomplete", "pair must lie outside archives, got a member")
    if (member.n_bytes or 0) > MOST_IN_MEMORY:
        return _refuse_size(member.n_bytes or 0)
    return None


def _refuse_size(n_bytes: int) -> Verdict:
    """Return the verdict on a member that cannot be read whole."""
    detail = f"member must have {MOST_IN_MEMORY} bytes at most, got {n_bytes} or more"
    return Verdict("refused", "archive-too-large", detail)


def _read_up_to(read: Callable[[int], bytes], most: int) -> bytes:
    """Return the next bytes up to a number."""
    return b"".join(_cut(read, most))


def _cut(read: Callable[[int], bytes], most: int) -> Iterator[bytes]:
    """Yield the next bytes up to a number in pieces."""
    while most and (piece := read(min(most, _CHUNK))):
        most -= len(piece)
        yield piece
