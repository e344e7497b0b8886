"""Random streams, UIDs and meaningless names, each derived from the words that describe it."""

import hashlib

import numpy as np

Generator = np.random.Generator


def build_generator(*parts: int | str) -> Generator:
    """Return a generator that depends on all parts and on nothing else.

    One stream per purpose, so that drawing more of one thing changes no other.

    Args:
        parts: What the numbers are for, such as (seed, "subject", 12, "noise").

    Source:
        none: own definition (sha256 of the parts seeds PCG64).
    """
    return np.random.default_rng(int.from_bytes(_hash(parts)[:16], "big"))


def build_uid(*parts: int | str) -> str:
    """Return a DICOM UID below 2.25 that depends on all parts and on nothing else.

    Source:
        PS3.5 B.2, UUID derived UID.
    """
    return f"2.25.{int.from_bytes(_hash(('uid', *parts))[:16], 'big')}"


def build_name(*parts: int | str, length: int) -> str:
    """Return `length` hexadecimal digits that depend on all parts and on nothing else."""
    return _hash(("name", *parts)).hex()[:length]


def _hash(parts: tuple[int | str, ...]) -> bytes:
    """Return 32 bytes that depend on every part and on where one ends."""
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
