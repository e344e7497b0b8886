"""One job of ingestion: a series or a NIfTI file taken from the index, converted, and measured."""

import logging
from dataclasses import dataclass, replace
from typing import NamedTuple

from medvision.domain.study import Series
from medvision.errors import StorageError
from medvision.io.ingest.codec import decode_instance, encode_outcome
from medvision.io.ingest.convert import convert, refuse
from medvision.io.ingest.convert_nifti import NiftiFile
from medvision.io.ingest.verdict import Outcome, Verdict
from medvision.io.ingest.workshop import Workshop
from medvision.io.reasons import RefusalError
from medvision.runtime.files import hash_fast, hash_file, hash_stream
from medvision.runtime.zipped import Entry

_log = logging.getLogger(__name__)

_CRASH = Verdict("refused", "undecodable", "decoder must survive the file, got a crash")


class JobFile(NamedTuple):
    """A file of a job, as the index holds it: id, path, content and id of its other half."""

    file: str
    path: str
    content: str
    partner: str


@dataclass(frozen=True)
class Job:
    """What is converted at once.

    Args:
        key: Name of the job.
        batch: Archive whose members must be at hand, "" for none.
        fingerprint: Digest of all that decides the result.
        files: Its files, sorted by id.
        is_shared: Another study of the subject has a series of the same UID.
    """

    key: str
    batch: str
    fingerprint: str
    files: tuple[JobFile, ...]
    is_shared: bool = False

    @property
    def is_dicom(self) -> bool:
        """It is a series, not a NIfTI file."""
        return bool(self.files[0].content)


class Written(NamedTuple):
    """A file that a job wrote.

    Args:
        name: Of the file.
        n_bytes: Its size.
        mtime_ns: Its time; 0 in a pack.
        digest: Its sha256.
        pack: Name of the pack that holds it, "" for a file by itself.
        offset: Byte of the pack at which its header begins.
        crc: Its CRC-32, where it lies in a pack.
    """

    name: str
    n_bytes: int
    mtime_ns: int
    digest: str
    pack: str = ""
    offset: int = 0
    crc: int = 0

    @property
    def entry(self) -> Entry:
        """Where it lies in its pack."""
        return Entry(self.name, self.offset, self.n_bytes, self.crc)


@dataclass(frozen=True)
class Done:
    """What came of a job.

    Args:
        outcome: As codec.encode_outcome returns it.
        written: The images and their sidecars.
        is_final: Nothing but the input decided it: it need not be tried again.
    """

    outcome: str
    written: tuple[Written, ...]
    is_final: bool


def do_job(job: Job, workshop: Workshop) -> Done:
    """Convert a job; whatever is wrong with it ends in verdicts, never in an exception.

    Args:
        job: What is converted.
        workshop: What every conversion of the run needs.

    Raises:
        StorageError: The images cannot be written.
    """
    work = _build(job, workshop)
    try:
        outcome = convert(work, workshop)
    except StorageError:
        raise
    except Exception as error:  # noqa: BLE001 - one series must never stop the others
        # The error's own text may quote the file.
        _log.warning("a series could not be converted: %s.", type(error).__name__)
        detail = f"image must be convertible, got {type(error).__name__}"
        outcome = refuse(work, Verdict("refused", "undecodable", detail))
    return _finish(job, outcome, work, workshop)


def give_up(job: Job, workshop: Workshop) -> Done:
    """Return what comes of a job that killed its process."""
    work = _build(job, workshop)
    return _finish(job, refuse(work, _CRASH), work, workshop)


def _build(job: Job, workshop: Workshop) -> Series | NiftiFile:
    """Return a job as the conversion takes it."""
    if not job.is_dicom:
        only = job.files[0]
        return NiftiFile(only.file, only.path, only.partner)
    instances = [decode_instance(i.content, file=i.file, path=i.path) for i in job.files]
    instances.sort(key=lambda item: (item.sop_uid, item.file))
    first = instances[0]
    if job.is_shared:
        # The UID alone would give two images one name.
        full = f"{first.image_name}/{first.study_uid}"
        name = workshop.pseudonymiser.image_id(full, subject=first.subject)
        instances = [replace(item, image_name=name) for item in instances]
    return Series(first.subject, first.study_uid, first.series_uid, tuple(instances))


def _finish(job: Job, outcome: Outcome, work: Series | NiftiFile, workshop: Workshop) -> Done:
    """Add what the conversion did not tell: digests of files it never read, sizes of images."""
    missing = {item.file: item.path for item in job.files if item.file not in outcome.digests}
    digests = {file: _hash_source(path, workshop) for file, path in missing.items()}
    whole = Outcome(outcome.rows, outcome.files, outcome.images, {**outcome.digests, **digests})
    written = [item for row in outcome.rows for item in _measure(row, workshop)]
    return Done(encode_outcome(whole), tuple(written), _is_final(outcome, work))


def _is_final(outcome: Outcome, work: Series | NiftiFile) -> bool:
    """Say whether the input alone decided an outcome.

    What could not be read now may be readable, or fit into memory, in the next run; a fault that
    the header showed is there for good.
    """
    known = {item.file for item in work.instances if item.fault} if isinstance(work, Series) else ()
    return not any(
        verdict == _CRASH or verdict.reason == "unreadable"
        for file, verdict in outcome.files.items()
        if file not in known
    )


def _hash_source(path: str, workshop: Workshop) -> str:
    """Return the digest of a file or member, "" where it cannot be read."""
    place = workshop.source / path
    try:
        if not place.is_file():
            return hash_fast(workshop.read_file(path))
        with place.open("rb", buffering=0) as stream:
            return hash_stream(stream.read)[0]
    except (OSError, RefusalError):
        return ""


def _measure(row: dict[str, str], workshop: Workshop) -> list[Written]:
    """Return what was written for one row of the manifest."""
    image = workshop.layout.image(row["image_id"])
    sidecar = workshop.layout.sidecar(row["image_id"])
    measured = []
    for path, digest in ((image, row["image_digest"]), (sidecar, hash_file(sidecar))):
        status = path.stat()
        measured.append(Written(path.name, status.st_size, status.st_mtime_ns, digest))
    return measured
