"""One row of the index: what is known of a file before any pixel is read."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from medvision.domain.study import Instance
from medvision.io.deidentify import Pseudonymiser
from medvision.io.ingest.codec import encode_content
from medvision.io.ingest.convert_nifti import NiftiFile, guess_subject
from medvision.io.ingest.verdict import Verdict

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_SEAL = b"medvision index path\0"


class Entry(NamedTuple):
    """A file, or the member of an archive, as the index holds it.

    Args:
        file: Pseudonymous id.
        parent: Id of the archive that holds it, "" for a file of its own.
        path: Path below the source folder, sealed.
        n_bytes: Its size.
        mtime_ns: When it (or its archive) was changed; -1 where it must be looked at again.
        series: Key of the job that converts it, "" where there is none.
        partner: Id of the other file of a pair.
        subject: Pseudonym of the subject, "" for what is no image.
        image_key: Pseudonym of the user's name of the image.
        runs_codec: Its pixels must be decompressed, which runs native code.
        digest: BLAKE3 of its bytes, "" where they are hashed on conversion.
        layout: How it is laid out, where it is an archive.
        content: As codec.encode_content returns it.
    """

    file: str
    parent: str
    path: bytes
    n_bytes: int
    mtime_ns: int
    series: str = ""
    partner: str = ""
    subject: str = ""
    image_key: str = ""
    runs_codec: bool = False
    digest: str = ""
    layout: str = ""
    content: str = ""


@dataclass(frozen=True)
class Sealer:
    """Hides paths from all who have not the key of the pseudonyms; equal paths look equal.

    Args:
        key: The secret of the pseudonyms.

    Source:
        RFC 5297 (AES-SIV), under a key derived by HMAC-SHA-512 for this purpose alone.
    """

    key: bytes

    def seal(self, path: str) -> bytes:
        """Return a path encrypted and authenticated."""
        return _make_cipher(self.key).encrypt(path.encode(errors="surrogateescape"), None)

    def unseal(self, sealed: bytes) -> str:
        """Return the path.

        Raises:
            cryptography.exceptions.InvalidTag: It was sealed with another key, or was changed.
        """
        return _make_cipher(self.key).decrypt(sealed, None).decode(errors="surrogateescape")


@lru_cache(maxsize=8)
def _make_cipher(key: bytes) -> "AESSIV":
    """Return the cipher under the derived key."""
    import hmac

    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return AESSIV(hmac.digest(key, _SEAL, hashlib.sha512))


def hold_dicom(entry: Entry, instance: Instance) -> Entry:
    """Return the entry of a file that holds a DICOM image."""
    name = f"{instance.subject}/{instance.study_uid}/{instance.series_uid}"
    return entry._replace(
        series=_name_job(name),
        subject=instance.subject,
        image_key=instance.image_key,
        runs_codec=instance.is_encapsulated,
        content=encode_content(instance),
    )


def hold_nifti(entry: Entry, job: NiftiFile, names: Pseudonymiser) -> Entry:
    """Return the entry of a file that holds a NIfTI image, or the header of one."""
    return entry._replace(
        series=_name_job(job.file),
        partner=job.partner,
        subject=names.subject(guess_subject(job.path)),
        image_key=names.image_key(job.path),
    )


def hold_verdict(entry: Entry, verdict: Verdict, *, digest: str = "") -> Entry:
    """Return the entry of a file that is no usable image."""
    return entry._replace(digest=digest, content=encode_content(verdict))


def _name_job(name: str) -> str:
    """Return the key of a job; what it is made of are pseudonyms already."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]
