"""What wheels say of themselves by their names: version, and the oldest machine that takes them."""

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from medvision.runtime.files import hash_file

Glibc = tuple[int, int]
"""Version of the GNU C library, such as (2, 28)."""

_LEGACY: dict[str, Glibc] = {
    "manylinux1": (2, 5),
    "manylinux2010": (2, 12),
    "manylinux2014": (2, 17),
}


class CollectError(Exception):
    """The archive cannot be made, in the words that say why and what to do."""


@dataclass(frozen=True)
class Wheel:
    """One wheel of the archive.

    Args:
        path: The file.
        name: Normalised name of the project, such as `python-gdcm`.
        version: Its version, local part included, such as `2.13.0+cpu`.
        tags: Machines and Pythons that it is for.
        sha256: Digest of the file.
    """

    path: Path
    name: str
    version: str
    tags: frozenset[Tag]
    sha256: str

    @property
    def requirement(self) -> str:
        """The line by which pip takes this file and no other."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


def read_wheel(path: Path) -> Wheel:
    """Read one wheel's name and digest.

    Args:
        path: The file.

    Raises:
        CollectError: Its name is none that a wheel may have.

    Source:
        PyPA, binary distribution format (PEP 427); platform tags of PEP 600.
    """
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise CollectError(f"{path.name}: name must be a wheel's, got one that is not.") from error
    return Wheel(path, str(name), str(version), tags, hash_file(path))


def read_wheels(folder: Path) -> list[Wheel]:
    """Read all wheels of a folder, sorted by file name.

    Raises:
        CollectError: A name is no wheel's, or one project is there twice.
    """
    wheels = [read_wheel(path) for path in sorted(folder.glob("*.whl"))]
    names = [wheel.name for wheel in wheels]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CollectError(
            f"{folder}: each project must have one wheel, got several of {', '.join(twice)}. "
            "Hint: empty the folder and collect again."
        )
    return wheels


def find_wheel(wheels: Sequence[Wheel], name: str) -> Wheel:
    """Return the wheel of one project.

    Raises:
        CollectError: There is none.
    """
    for wheel in wheels:
        if wheel.name == name:
            return wheel
    raise CollectError(f"wheels: {name} must be among them, got {len(wheels)} others.")


def find_oldest_glibc(wheel: Wheel, *, here: Glibc | None) -> Glibc | None:
    """Return the oldest GNU C library on which a wheel can be installed.

    Args:
        wheel: The wheel.
        here: This machine's, which a wheel that was built here (`linux_x86_64`) needs.

    Returns:
        The version, or None where the wheel needs none (pure Python, another system).
    """
    needs = [_read_glibc(tag.platform, here) for tag in wheel.tags]
    known = [need for need in needs if need is not None]
    return min(known) if known and len(known) == len(needs) else None


def _read_glibc(platform: str, here: Glibc | None) -> Glibc | None:
    """Return the C library that one platform tag names."""
    if platform.startswith("linux_"):
        return here
    if match := re.match(r"manylinux_(\d+)_(\d+)_", platform):
        return int(match[1]), int(match[2])
    return _LEGACY.get(platform.partition("_")[0])


def find_needed_glibc(wheels: Sequence[Wheel], *, here: Glibc | None) -> Glibc | None:
    """Return the oldest GNU C library on which all wheels can be installed, None for any."""
    needs = [find_oldest_glibc(wheel, here=here) for wheel in wheels]
    return max((need for need in needs if need is not None), default=None)


def measure_installed(wheels: Sequence[Wheel]) -> int:
    """Return the bytes of all files in the wheels, unpacked."""
    total = 0
    for wheel in wheels:
        with zipfile.ZipFile(wheel.path) as held:
            total += sum(member.file_size for member in held.infolist())
    return total
