"""Pseudonyms: keyed, one-way names for subjects, UIDs, images, files and days."""

import hashlib
import logging
import os
import re
import secrets
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from medvision.errors import DataError
from medvision.runtime.files import PARTIAL_PREFIX, is_exposed, storage_faults

if TYPE_CHECKING:
    # typeshed's own name of what hashlib.sha256() returns; it does not exist at run time.
    from hashlib import _Hash

_log = logging.getLogger(__name__)

_KEY_BYTES = 32
_MIN_KEY_BYTES = 16
_BLOCK_BYTES = 64
_INNER_PAD, _OUTER_PAD = bytes([0x36]), bytes([0x5C])

ISSUER_MARK = "|"
"""Stands between issuer and identifier in a subject's full name, in labels too."""

MAX_SHIFT_DAYS = 3650
"""Dates go back by 1 to so many days."""

MAX_CLOCK_S = 3600
"""Times of the day go back by one to so many seconds."""

MAX_AGE_YEARS = 89.0
CAPPED_AGE_YEARS = 90.0
"""What stands for every age above MAX_AGE_YEARS (45 CFR 164.514(b)(2)(i)(C))."""

_DATE = re.compile(r"\s*([0-9]{4})([-.:/]?)([0-9]{2})\2([0-9]{2})")
_AGE = re.compile(r"\s*([0-9]{1,3})([DWMY])\s*\Z")
_DAYS_PER_UNIT = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}


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

    def subject(self, identifier: str, *, issuer: str = "") -> str:
        """Return `sub-<10 hex>`; a leading `sub-` and outer blanks of the identifier are ignored.

        So a label table that writes `sub-01` finds the subject that a BIDS folder calls `01`.
        One number given out by two issuers names two subjects. `issuer|identifier` in one text is
        the same name as the two given apart, so that a label table can write it.

        Args:
            identifier: PatientID, or `issuer|PatientID`.
            issuer: IssuerOfPatientID; empty where the header has none.

        Source:
            PS3.3 C.7.1.1: PatientID is unique within its issuer alone.
        """
        full = f"{issuer}{ISSUER_MARK}{identifier}" if issuer.strip() else identifier
        before, mark, number = full.rpartition(ISSUER_MARK)
        name = f"{before.strip()}{mark}{number.strip().removeprefix('sub-')}"
        return f"sub-{self._hash('subject', name)[:10]}"

    def days(self, subject: str) -> int:
        """Return by how many days the dates of a subject go back: 1 to MAX_SHIFT_DAYS.

        Args:
            subject: The subject's pseudonym, of the identifier without its issuer: so files of
                one person keep their intervals although some of them lack the issuer.
        """
        return _count_days(self.key, subject)

    def clock_us(self, subject: str) -> int:
        """Return by how many microseconds times of the day go back: one second to one hour.

        So that a time of the day, exact to the microsecond, is no key to a hospital's own records.

        Args:
            subject: As `days` takes it.
        """
        span_us = (MAX_CLOCK_S - 1) * 1_000_000
        return 1_000_000 + int(self._hash("clock", subject)[:16], 16) % (span_us + 1)

    def shift_date(self, text: str, *, subject: str) -> str:
        """Shift a date by the subject's own number of days; intervals within a subject are kept.

        Args:
            text: `YYYYMMDD`, with or without a time behind it, or `YYYY-MM-DD`.
            subject: As `days` takes it.

        Returns:
            `YYYY-MM-DD`; "" where the text is no date.

        Source:
            PS3.15 E.3.6, Retain Longitudinal Temporal Information with Modified Dates.
        """
        day = _parse_date(text)
        try:
            return "" if day is None else (day - timedelta(days=self.days(subject))).isoformat()
        except OverflowError:
            return ""

    def uid(self, uid: str) -> str:
        """Return a valid UID of the 2.25 root, unique up to 122 bits."""
        number = int.from_bytes(self._digest("uid", uid.strip())[:16])
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

    def person_key(self, name: str, *, birth_date: str, sex: str) -> str:
        """Return `person-<24 hex>` (96 bits) of what names one person whatever the identifier.

        Args:
            name: Family and given name, normalised.
            birth_date: YYYYMMDD.
            sex: M, F, O or empty.
        """
        return f"person-{self._hash('person', f'{name}|{birth_date}|{sex}')[:24]}"

    def term(self, text: str) -> str:
        """Return `term-<8 hex>` of a word of the header that no standard defines."""
        return f"term-{self._hash('term', text)[:8]}"

    def file_id(self, relative_path: str) -> str:
        """Return `file-<12 hex>` of a path below the source folder."""
        return f"file-{self._hash('file', relative_path)[:12]}"

    def _hash(self, domain: str, name: str) -> str:
        """Return the keyed hash of a name within its domain, in hexadecimal."""
        return self._digest(domain, name).hex()

    def _digest(self, domain: str, name: str) -> bytes:
        """Return the keyed hash of a name within its domain."""
        inner, outer = _prepare(self.key)
        inner = inner.copy()
        inner.update(f"{domain}\0{name}".encode(errors="surrogateescape"))
        outer = outer.copy()
        outer.update(inner.digest())
        return outer.digest()


@lru_cache(maxsize=8)
def _prepare(key: bytes) -> tuple["_Hash", "_Hash"]:
    """Return the inner and outer hash of an HMAC, its key already absorbed: copy, never update.

    A run makes millions of names under one key; absorbing the key is half of the work.
    """
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    padded = int.from_bytes(key.ljust(_BLOCK_BYTES, b"\0"))
    inner, outer = (
        hashlib.sha256((padded ^ int.from_bytes(pad * _BLOCK_BYTES)).to_bytes(_BLOCK_BYTES))
        for pad in (_INNER_PAD, _OUTER_PAD)
    )
    return inner, outer


@lru_cache(maxsize=4096)
def _count_days(key: bytes, subject: str) -> int:
    """Return a subject's number of days; a few subjects at a time are asked for, many times."""
    # 2^64 values for 3650 days: the bias is below 1e-15.
    number = int(Pseudonymiser(key)._hash("days", subject)[:16], 16)
    return 1 + number % MAX_SHIFT_DAYS


def _parse_date(text: str) -> date | None:
    """Return the day that a text begins with."""
    match = _DATE.match(text)
    return None if match is None else build_date(match)


def build_date(match: "re.Match[str]") -> date | None:
    """Return the day of a match with year, separator, month and day; None where there is none."""
    try:
        return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None


def parse_age(text: str) -> float | None:
    """Return an age in years.

    Args:
        text: `nnnD`, `nnnW`, `nnnM` or `nnnY`, such as `045Y`.

    Returns:
        Years; None where the text is no age.

    Source:
        PS3.5 6.2, value representation AS.
    """
    match = _AGE.match(text)
    return int(match[1]) * _DAYS_PER_UNIT[match[2]] / _DAYS_PER_UNIT["Y"] if match else None


def cap_age(age_years: float) -> float:
    """Return an age, or CAPPED_AGE_YEARS for all those above MAX_AGE_YEARS."""
    return CAPPED_AGE_YEARS if age_years > MAX_AGE_YEARS else age_years


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
