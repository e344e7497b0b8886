"""What really lies in a bundle's folder: regular files only, links never followed."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from medvision.audit.findings import Finding
from medvision.audit.manifest import Entry, is_safe_path
from medvision.errors import AuditError, StaleOutputError
from medvision.runtime.files import hash_file
from medvision.runtime.packs import count_bytes


@dataclass
class Inventory:
    """The regular files below a folder, and whatever else was found there.

    Args:
        root: The folder.
        sizes: Path below the folder to size in bytes.
        faults: Links, devices, and names that no bundle has.
    """

    root: Path
    sizes: dict[str, int] = field(default_factory=dict)
    faults: list[Finding] = field(default_factory=list)

    def read(self, path: str) -> bytes:
        """Return the bytes of a file that was found.

        Raises:
            AuditError: There is no such file, or it cannot be read.
        """
        if path not in self.sizes:
            raise AuditError(f"{path}: file must be in the bundle, got none.")
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise AuditError(f"{path}: file must be readable, got {error.strerror}.") from error


def take_inventory(root: Path) -> Inventory:
    """Walk a folder without following links.

    Raises:
        AuditError: There is no such folder, or a part of it cannot be read.
    """
    if not root.is_dir():
        raise AuditError(
            f"{root.name}: bundle must be a folder, got none.",
            "`medvision audit seal` writes it to audit/bundle in the output folder.",
        )
    inventory = Inventory(root)
    _walk(inventory, "")
    return inventory


def find_entry_faults(root: Path, entry: Entry) -> list[Finding]:
    """Hold one regular file, or one in a pack, against its entry: size first, then sha256."""
    file = root / entry.path
    try:
        if file.exists() and not file.is_file():
            return [Finding(entry.path, "file", "a regular file", "something else")]
        n_bytes, digest = count_bytes(file), hash_file(file)
    except FileNotFoundError:
        return [Finding(entry.path, "file", "present", "no file")]
    except (OSError, StaleOutputError) as error:
        found = error.message if isinstance(error, StaleOutputError) else str(error.strerror)
        return [Finding(entry.path, "file", "readable", found)]
    if n_bytes != entry.n_bytes:
        return [Finding(entry.path, "size", f"{entry.n_bytes} bytes", f"{n_bytes}")]
    if digest != entry.sha256:
        return [Finding(entry.path, "sha256", entry.sha256, digest)]
    return []


def _walk(inventory: Inventory, folder: str) -> None:
    """Add one folder and those below it."""
    try:
        items = sorted(os.scandir(inventory.root / folder), key=lambda item: item.name)
    except OSError as error:
        raise AuditError(f"{folder or '.'}: folder must be readable.") from error
    for item in items:
        path = f"{folder}{item.name}"
        fault = _find_kind_fault(item, path)
        if fault is not None:
            inventory.faults.append(fault)
        elif item.is_dir(follow_symlinks=False):
            _walk(inventory, f"{path}/")
        else:
            inventory.sizes[path] = item.stat(follow_symlinks=False).st_size


def _find_kind_fault(item: os.DirEntry[str], path: str) -> Finding | None:
    """Refuse what is neither a regular file nor a folder, and names that mislead."""
    if not is_safe_path(path):
        return Finding(path, "name", "printable, without \\ and :", "this one")
    if item.is_symlink():
        return Finding(path, "file", "a regular file", "a symbolic link")
    if not item.is_dir(follow_symlinks=False) and not item.is_file(follow_symlinks=False):
        return Finding(path, "file", "a regular file", "a special file")
    return None
