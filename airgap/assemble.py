"""The archive: a folder that says what it holds and whom it is for, as one tar file."""

import json
import platform
import shutil
import sys
import sysconfig
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.wheels import (
    CollectError,
    Glibc,
    Wheel,
    find_needed_glibc,
    find_wheel,
    measure_installed,
)
from medvision.runtime.files import hash_file

HERE = Path(__file__).parent
PROJECT = "medvision"
_SUMS = "SHA256SUMS"
_EPOCH = 1_577_836_800  # 2020: the same wheels make the same archive, byte for byte


@dataclass(frozen=True)
class Weights:
    """One file of starting weights that goes along.

    Args:
        name: Name of the source, as `model.weights` says it.
        file: The file on the shelf.
        description: A description of the user's own, `NAME.yaml`; None for the package's.
    """

    name: str
    file: Path
    description: Path | None = None


def find_glibc() -> Glibc | None:
    """Return this machine's GNU C library, None where it has another."""
    name, version = platform.libc_ver()
    if name != "glibc":
        return None
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def describe_target(wheels: Sequence[Wheel], weights: Sequence[Weights]) -> dict[str, object]:
    """Return what a machine must be and have to install these wheels.

    Args:
        wheels: All wheels, the project's and pip's among them.
        weights: Files of starting weights.

    Raises:
        CollectError: The project, torch or pip is not among the wheels.
    """
    needed = find_needed_glibc(wheels, here=find_glibc())
    return {
        "version": find_wheel(wheels, PROJECT).version,
        "torch": find_wheel(wheels, "torch").version,
        "pip": find_wheel(wheels, "pip").path.name,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "abi": name_abi(),
        "system": platform.system(),
        "machine": platform.machine(),
        "glibc": list(needed) if needed else None,
        "installed_bytes": measure_installed(wheels),
        "weights": {one.name: hash_file(one.file) for one in weights},
    }


def name_abi() -> str:
    """Return the running Python's binary interface, such as cpython-311."""
    # Free-threaded builds have another one under the same version.
    suffix = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    return f"{sys.implementation.cache_tag}{suffix}"


def name_archive(target: dict[str, object]) -> str:
    """Return the archive's name, which says whom it is for."""
    build = str(target["torch"]).partition("+")[2] or "torch"
    python = str(target["abi"]).replace("cpython-", "cp")
    return f"{PROJECT}-{target['version']}-{python}-{target['machine']}-{build}"


def lay_folder(
    folder: Path, *, wheels: Sequence[Wheel], weights: Sequence[Weights], texts: dict[str, Path]
) -> dict[str, object]:
    """Lay out all that is installed, with the installer and the digest of each file.

    Args:
        folder: An empty folder, which becomes the archive's content.
        wheels: All wheels.
        weights: Files of starting weights.
        texts: Path below `folder` to a file or folder that is copied there.

    Returns:
        What the target must be, as in `target.json`.

    Raises:
        CollectError: A text or weights file is missing, or the project, torch or pip.
    """
    missing = [str(path) for path in texts.values() if not path.exists()]
    missing += [f"{one.name} ({one.file})" for one in weights if not one.file.is_file()]
    if missing:
        raise CollectError(f"archive: every part must exist, got no {', '.join(missing)}.")
    target = describe_target(wheels, weights)
    for wheel in wheels:
        _copy(wheel.path, folder / "wheels" / wheel.path.name)
    for one in weights:
        _copy(one.file, folder / "weights" / one.name / one.file.name)
        if one.description:
            _copy(one.description, folder / "weights" / one.description.name)
    for name, path in texts.items():
        _copy(path, folder / name)
    for name in ("install.sh", "install.py"):
        _copy(HERE / name, folder / name)
    lines = "".join(f"{wheel.requirement}\n" for wheel in wheels)
    (folder / "requirements.txt").write_text(lines)
    (folder / "target.json").write_text(json.dumps(target, indent=2) + "\n")
    (folder / _SUMS).write_text(list_sums(folder))
    return target


def _copy(source: Path, place: Path) -> None:
    """Copy a file or a folder, without what Python leaves beside its modules."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, place)


def list_sums(folder: Path) -> str:
    """Return a line of digest and path for every file but the list itself, as sha256sum reads."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _SUMS)
    return "".join(f"{hash_file(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths)


def pack_folder(folder: Path, archive: Path) -> None:
    """Write a folder as one tar file; the same content gives the same bytes.

    Wheels are compressed already: the archive is not compressed again.

    Args:
        folder: What is packed, under its own name.
        archive: The file, which appears whole or not at all.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_name(f".{archive.name}.partial")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            tar.add(path, arcname=f"{folder.name}/{path.relative_to(folder)}", filter=_forget)
    partial.replace(archive)


def _forget(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Take out of a member whose it was and when."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = _EPOCH
    member.mode = 0o755 if member.name.endswith(".sh") else 0o644
    return member
