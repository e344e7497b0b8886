"""Pseudonyms: keyed, one-way names for subjects, UIDs, images and files."""

import hashlib
import hmac
import logging
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from medvision.errors import DataError
from medvision.runtime.files import PARTIAL_PREFIX, is_exposed, storage_faults

_log = logging.getLogger(__name__)

_KEY_BYTES = 32
_MIN_KEY_BYTES = 16


@dataclass(frozen=True)
class Pseudonymiser:
    """Names that nobody without the key can compute or undo.

    Each kind of name is hashed in a domain of its own, so that a subject and a file of equal
    names have unrelated pseudonyms.

    Args:
        key: Secret, at least 16 bytes.

    Source:
        RFC 2104 (HMAC), FIPS 180-4 (SHA-256); UIDs of the 2.25 root: PS3.5 B.2.
    """

    key: bytes

    def __repr__(self) -> str:
        return f"Pseudonymiser(key_id={self.key_id})"

    @property
    def key_id(self) -> str:
        """A name of the key itself, safe to publish."""
        return self._hash("key-id", "")[:12]

    def subject(self, identifier: str) -> str:
        """Return `sub-<10 hex>`; a leading `sub-` and outer blanks of the identifier are ignored.

        So a label table that writes `sub-01` finds the subject that a BIDS folder calls `01`.
        """
        return f"sub-{self._hash('subject', identifier.strip().removeprefix('sub-'))[:10]}"

    def uid(self, uid: str) -> str:
        """Return a valid UID of the 2.25 root, unique up to 122 bits."""
        number = int(self._hash("uid", uid.strip())[:32], 16)
        # The version and variant bits of a random UUID, as PS3.5 B.2 asks.
        number = (number & ~(0xF << 76)) | (0x4 << 76)
        number = (number & ~(0x3 << 62)) | (0x2 << 62)
        return f"2.25.{number}"

    def image_key(self, name: str) -> str:
        """Return `img-<12 hex>` of the user's name of an image: SeriesInstanceUID or path."""
        return f"img-{self._hash('image', name.strip())[:12]}"

    def image_id(self, name: str, *, subject: str) -> str:
        """Return `sub-<10 hex>_img-<12 hex>`.

        Args:
            name: Name of the image that is unique among the subject's.
            subject: The subject's pseudonym.
        """
        return f"{subject}_img-{self._hash('image-id', name)[:12]}"

    def file_id(self, relative_path: str) -> str:
        """Return `file-<12 hex>` of a path below the source folder."""
        return f"file-{self._hash('file', relative_path)[:12]}"

    def _hash(self, domain: str, name: str) -> str:
        """Return the keyed hash of a name within its domain."""
        message = f"{domain}\0{name}".encode(errors="surrogateescape")
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()


def read_or_create_key(path: Path) -> bytes:
    """Read the secret of the pseudonyms; make one at random, mode 0600, where there is none.

    Args:
        path: File with at least 32 hexadecimal digits.

    Returns:
        The secret's bytes.

    Raises:
        DataError: The file holds no key.
        StorageError: The file cannot be made.
    """
    if not path.exists():
        _create_key(path)
    return read_key(path)


def read_key(path: Path) -> bytes:
    """Read the secret of the pseudonyms.

    Raises:
        DataError: The file is missing or holds no key.
    """
    hint = "give ingest.key a file made by an earlier run, or leave it out to have one made."
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        # The error's text could quote the secret: name its kind only.
        raise DataError(
            f"{path}: key must be readable hexadecimal, got {type(error).__name__}.", hint
        ) from None
    if len(key) < _MIN_KEY_BYTES:
        raise DataError(f"{path}: key must have 16 bytes or more, got {len(key)}.", hint)
    if is_exposed(path):
        _log.warning("%s: others can read the key of the pseudonyms; set its mode to 0600.", path)
    return key


def _create_key(path: Path) -> None:
    """Write a fresh key that never exists with another mode or half-written."""
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp makes the file with mode 0600.
        handle, name = tempfile.mkstemp(prefix=PARTIAL_PREFIX, dir=path.parent)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(_KEY_BYTES) + "\n")
        try:
            # A link fails where a parallel run was first, whose key then counts.
            os.link(name, path)
        except FileExistsError:
            _log.info("the key of the pseudonyms was made by a parallel run.")
        finally:
            Path(name).unlink(missing_ok=True)
