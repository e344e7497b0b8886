"""The manifest of a bundle: every file it holds or refers to, with size and sha256."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from medvision.audit.canonical import read_canonical, write_canonical
from medvision.domain.record import JsonValue
from medvision.errors import AuditError
from medvision.runtime.files import hash_bytes

FORMAT = "medvision-bundle/1"
MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
CONFIG = "config.json"
GRAPH = "graph.json"
README = "README.txt"
STUDY = "study/"
"""Folder of the bundle that holds files of the study, each at its path below the output folder."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEYS = {"format", "medvision", "files", "referenced", "root_digest"}


@dataclass(frozen=True, order=True)
class Entry:
    """One file: its path (POSIX, relative), sha256 in hexadecimal, and size in bytes."""

    path: str
    sha256: str
    n_bytes: int


@dataclass(frozen=True)
class Manifest:
    """What a bundle is made of.

    Args:
        version: Version of medvision that sealed it.
        files: Files in the bundle, by path below the bundle.
        referenced: Files of the study that are left out, by path below the output folder.
    """

    version: str
    files: tuple[Entry, ...]
    referenced: tuple[Entry, ...]

    @property
    def root_digest(self) -> str:
        """One sha256 that stands for the whole bundle."""
        return hash_bytes(write_canonical(self._content()))

    def as_bytes(self) -> bytes:
        """Return the text of manifest.json."""
        return write_canonical(self._content() | {"root_digest": self.root_digest})

    def _content(self) -> dict[str, JsonValue]:
        """Return all that the root digest covers."""
        return {
            "format": FORMAT,
            "medvision": self.version,
            "files": [_entry_as_dict(entry) for entry in self.files],
            "referenced": [_entry_as_dict(entry) for entry in self.referenced],
        }


def build_manifest(
    version: str, *, files: Iterable[Entry], referenced: Iterable[Entry]
) -> Manifest:
    """Return a manifest with its entries in order."""
    return Manifest(version, tuple(sorted(files)), tuple(sorted(referenced)))


def parse_manifest(content: bytes) -> Manifest:
    """Read manifest.json, trusting nothing in it.

    Raises:
        AuditError: It is not canonical JSON, not of the known format, names an unsafe or
            repeated path, or its root digest is not that of its content.
    """
    value = read_canonical(content, where=MANIFEST)
    if not isinstance(value, dict) or set(value) != _KEYS or value["format"] != FORMAT:
        raise AuditError(f"{MANIFEST}: content must be of format {FORMAT}, got another.")
    version = value["medvision"]
    if not isinstance(version, str):
        raise AuditError(f"{MANIFEST}: medvision must be a version, got {version}.")
    manifest = Manifest(
        version, _parse_entries(value, "files"), _parse_entries(value, "referenced")
    )
    if manifest.root_digest != value["root_digest"]:
        raise AuditError(
            f"{MANIFEST}: root_digest must be {manifest.root_digest}, got {value['root_digest']}."
        )
    return manifest


def is_digest(value: object) -> bool:
    """Tell whether a value is a sha256 in lower-case hexadecimal."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def is_safe_path(value: object) -> bool:
    """Tell whether a value is a plain relative POSIX path that stays where it is put."""
    if not isinstance(value, str) or not value or not value.isprintable():
        return False
    if any(character in value for character in "\\:"):
        return False
    path = PurePosixPath(value)
    return not path.is_absolute() and ".." not in path.parts and path.as_posix() == value != "."


def _entry_as_dict(entry: Entry) -> JsonValue:
    """Return an entry as plain JSON types."""
    return {"path": entry.path, "sha256": entry.sha256, "bytes": entry.n_bytes}


def _parse_entries(value: dict[str, JsonValue], name: str) -> tuple[Entry, ...]:
    """Read one list of entries: sorted, each path once."""
    items = value[name]
    if not isinstance(items, list):
        raise AuditError(f"{MANIFEST}: {name} must be a list, got {type(items).__name__}.")
    entries = tuple(_parse_entry(item, f"{name}[{n}]") for n, item in enumerate(items))
    paths = [entry.path for entry in entries]
    if paths != sorted(set(paths)):
        raise AuditError(f"{MANIFEST}: {name} must be sorted with each path once, got otherwise.")
    return entries


def _parse_entry(item: JsonValue, place: str) -> Entry:
    """Read one entry."""
    if not isinstance(item, dict) or set(item) != {"path", "sha256", "bytes"}:
        raise AuditError(f"{MANIFEST}: {place} must hold path, sha256 and bytes, got otherwise.")
    path, sha256, n_bytes = item["path"], item["sha256"], item["bytes"]
    if not is_safe_path(path):
        raise AuditError(f"{MANIFEST}: {place}.path must stay in its folder, got {path!r}.")
    if not is_digest(sha256):
        raise AuditError(f"{MANIFEST}: {place}.sha256 must be 64 hex digits, got {sha256!r}.")
    if type(n_bytes) is not int or n_bytes < 0:
        raise AuditError(f"{MANIFEST}: {place}.bytes must be a size, got {n_bytes!r}.")
    return Entry(str(path), str(sha256), n_bytes)
