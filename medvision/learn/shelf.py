"""The shelf of weights files: placed whole and checked, found by name, checked again."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from medvision.domain.record import JsonValue
from medvision.errors import DataError, WeightsError
from medvision.learn.registry import Source
from medvision.runtime.download import Patience, fetch_file
from medvision.runtime.files import PARTIAL_PREFIX, hash_file, read_json, write_json, writing

DEFAULT_PATIENCE = Patience()

Trust = Literal["published", "prefix", "pinned", "noted"]
"""What a file's digest was held to: the published one, its published first digits, one that the
user gave, or nothing: it was noted for later."""


@dataclass(frozen=True)
class Receipt:
    """What is known of a file on the shelf.

    Args:
        sha256: Digest of the file when it was placed.
        trust: What that digest was held to.
    """

    sha256: str
    trust: Trust


def find_place(source: Source, shelf: Path) -> Path:
    """Return where a source's file lies, or is to lie."""
    return shelf / source.name / source.file


def find_placed(source: Source, shelf: Path) -> Path:
    """Return a source's file on the shelf.

    Raises:
        WeightsError: It is not there.
    """
    place = find_place(source, shelf)
    if place.is_file():
        return place
    raise WeightsError(
        f"model.weights: weights {source.name} must be on the shelf, got no {place}.",
        f"`medvision weights add {source.name}` fetches them; without internet, `medvision weights "
        f"show {source.name}` says how to place them by hand.",
    )


def judge_digest(source: Source, digest: str, *, pin: str | None) -> Trust:
    """Hold a file's digest to what is published, or to what the user says.

    Args:
        source: Where the file is from.
        digest: sha256 of the file.
        pin: Whole digest that the user gave, or None; a published one must hold besides.

    Raises:
        WeightsError: The digest is another one.
    """
    for wanted in (pin, source.sha256, source.sha256_prefix):
        if wanted is not None and not digest.startswith(wanted.lower()):
            raise WeightsError(
                f"{source.file}: sha256 must be {wanted}, got {digest}.",
                "fetch the file again; if it comes out the same, it is not the file described.",
            )
    if source.sha256:
        return "published"
    if pin:
        return "pinned"
    return "prefix" if source.sha256_prefix else "noted"


def place_file(source: Source, file: Path, shelf: Path, *, pin: str | None) -> Receipt:
    """Check a file and copy it onto the shelf, where it appears whole or not at all.

    Args:
        source: Which it is said to be.
        file: The file, which stays where it is.
        shelf: Folder of the weights.
        pin: Digest that the user gave, or None.

    Returns:
        Its digest, and what that was held to.

    Raises:
        WeightsError: There is no such file, or it is another one.
        StorageError: The shelf cannot be written, or its disk is full.
    """
    if not file.is_file():
        raise WeightsError(
            f"weights: file must exist, got {file}.",
            f"paths are relative to the working directory, {Path.cwd()}.",
        )
    digest = hash_file(file)
    trust = judge_digest(source, digest, pin=pin)
    with writing(find_place(source, shelf)) as temporary:
        shutil.copyfile(file, temporary)
        # The copy is what will be used: a disk may lie.
        judge_digest(source, hash_file(temporary), pin=digest)
    return note_receipt(source, shelf, digest=digest, trust=trust)


def fetch_source(
    source: Source, shelf: Path, *, pin: str | None, patience: Patience = DEFAULT_PATIENCE
) -> Receipt:
    """Fetch a file from its published address, check it, and place it on the shelf.

    Args:
        source: Which file.
        shelf: Folder of the weights.
        pin: Digest that the user gave, or None.
        patience: When to give up.

    Returns:
        Its digest, and what that was held to.

    Raises:
        WeightsError: It has no address or no digest to hold it to, cannot be fetched, or is
            another file than described, which is then removed.
        StorageError: The shelf cannot be written, or its disk is full.
    """
    if source.url is None:
        raise WeightsError(
            f"{source.name}: source must have an address to fetch from, got none.",
            f"place the file by hand: `medvision weights add {source.name} FILE`.",
        )
    if not (pin or source.sha256 or source.sha256_prefix):
        raise WeightsError(
            f"{source.name}: download must be held to a sha256, got none published.",
            f"`medvision weights add {source.name} --sha256 DIGEST` with the digest of a copy that "
            f"you trust.",
        )
    place = find_place(source, shelf)
    partial = place.with_name(PARTIAL_PREFIX + source.file)
    fetch_file(source.url, partial, patience=patience)
    digest = hash_file(partial)
    try:
        trust = judge_digest(source, digest, pin=pin)
    except WeightsError:
        partial.unlink()
        raise
    partial.replace(place)
    return note_receipt(source, shelf, digest=digest, trust=trust)


def note_receipt(source: Source, shelf: Path, *, digest: str, trust: Trust) -> Receipt:
    """Write beside a file what it was held to."""
    write_json(_find_receipt(source, shelf), {"sha256": digest, "trust": trust})
    return Receipt(digest, trust)


def read_receipt(source: Source, shelf: Path) -> Receipt | None:
    """Return what was noted of a file, or None."""
    try:
        held = cast(dict[str, JsonValue], read_json(_find_receipt(source, shelf)))
        return Receipt(str(held["sha256"]), cast(Trust, held["trust"]))
    except (DataError, KeyError, TypeError):
        return None


def verify_placed(source: Source, shelf: Path) -> Receipt:
    """Compute a file's digest again and hold it to the receipt and to what is published.

    Raises:
        WeightsError: The file is not there, or is another one.
    """
    path, receipt = find_placed(source, shelf), read_receipt(source, shelf)
    digest = hash_file(path)
    trust = judge_digest(source, digest, pin=None)
    if receipt is None:
        return Receipt(digest, trust)
    judge_digest(source, digest, pin=receipt.sha256)
    return Receipt(digest, receipt.trust)


def _find_receipt(source: Source, shelf: Path) -> Path:
    """Return where the receipt of a file lies."""
    return shelf / source.name / "receipt.json"
