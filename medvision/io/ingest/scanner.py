"""What looking at a file needs, and the judgements that files and members of archives share."""

from dataclasses import dataclass
from pathlib import Path

from medvision.domain.study import Instance
from medvision.io.deidentify import Pseudonymiser
from medvision.io.headers.translate import read_instance
from medvision.io.ingest.entry import Entry, Sealer, hold_verdict
from medvision.io.ingest.kind import ARCHIVES, DICOM, NIFTI, NIFTI_PAIR
from medvision.io.ingest.verdict import Verdict, refuse_with
from medvision.io.ingest.walk import Found
from medvision.io.reasons import REFUSED, RefusalError

_IMAGES = {DICOM: DICOM, NIFTI: NIFTI, NIFTI_PAIR: NIFTI}


@dataclass(frozen=True)
class Scanner:
    """What looking at a file needs.

    Args:
        source: Folder of the input.
        names: Gives the file its id.
        kinds: DICOM, NIFTI or both; images of another kind are left out.
        masks: Resolved paths of files that are masks, not images.
        opens_archives: Look into archives.
        limit: Bytes to which one archive may unpack.
        is_bids: The source is a BIDS dataset, parts of which hold no images of its own.
    """

    source: Path
    names: Pseudonymiser
    kinds: frozenset[str]
    masks: frozenset[Path]
    opens_archives: bool
    limit: int
    is_bids: bool = False

    def begin_entry(self, found: Found) -> Entry:
        """Return what is known of a file without opening it."""
        return Entry(
            file=self.names.file_id(found.path),
            parent="",
            path=Sealer(self.names.key).seal(found.path),
            n_bytes=found.n_bytes,
            mtime_ns=found.mtime_ns,
        )


def refuse_for_now(entry: Entry, verdict: Verdict) -> Entry:
    """Return the entry of a file that was not looked at, and will be in the next run."""
    return hold_verdict(entry._replace(mtime_ns=-1), verdict)


def judge_kind(kind: str, scanner: Scanner, *, is_member: bool) -> Verdict | None:
    """Return the verdict on what is neither an image to be read nor an archive to be opened.

    Args:
        kind: As kind.classify_head tells it.
        scanner: Settings of the run.
        is_member: The file lies in an archive: another one within is not opened.
    """
    image = _IMAGES.get(kind)
    if image is not None:
        return None if image in scanner.kinds else Verdict("non-image", "other-kind")
    if kind in ARCHIVES and not is_member and scanner.opens_archives:
        return None
    if kind in ARCHIVES:
        kind = "archive-nested" if is_member else "archive-not-opened"
    if kind in REFUSED:
        return Verdict("refused", kind, f"file must be DICOM or NIfTI, got: {REFUSED[kind]}")
    return Verdict("non-image", kind)


def read_dicom(
    path: Path, relative_path: str, *, scanner: Scanner, content: bytes | None = None
) -> Instance | Verdict:
    """Return the instance that a DICOM file holds, or the verdict on it.

    Args:
        path: The file.
        relative_path: Its path below the source folder, or `archive!member`.
        scanner: Settings of the run.
        content: Bytes of a member of an archive.

    Raises:
        OSError: The file cannot be read.
    """
    file = scanner.names.file_id(relative_path)
    try:
        read = read_instance(
            path, file=file, relative_path=relative_path, names=scanner.names, content=content
        )
    except RefusalError as refusal:
        return refuse_with(refusal)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - one file must never stop the others
        # The error's own text may quote the file.
        detail = f"header must be understood, got {type(error).__name__}"
        return Verdict("refused", "unreadable", detail)
    return Verdict("non-image", read) if isinstance(read, str) else read
