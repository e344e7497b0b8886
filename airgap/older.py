"""Builds for machines older than the one that collects: the same versions, an older C library."""

import platform
import subprocess
import sys
from pathlib import Path

from airgap.wheels import CollectError, Glibc, Wheel, find_oldest_glibc, read_wheels

_FIRST_MINOR = 5  # manylinux1


def replace_newer(folder: Path, *, limit: Glibc, here: Glibc | None) -> None:
    """Replace wheels that need a newer GNU C library by builds that do not.

    Args:
        folder: Where the wheels lie.
        limit: Version that the target has.
        here: This machine's, which wheels built here need.

    Raises:
        CollectError: Of some project no such build is published at the version pinned.
    """
    newer = [
        wheel
        for wheel in read_wheels(folder)
        if (find_oldest_glibc(wheel, here=here) or limit) > limit
    ]
    failed = [wheel for wheel in newer if not _replace(wheel, limit)]
    if failed:
        names = ", ".join(f"{wheel.name} {wheel.version}" for wheel in failed)
        raise CollectError(
            f"wheels: builds for glibc {limit[0]}.{limit[1]} must be published, "
            f"got none of {names}. Hint: pin other versions, or collect on such a machine."
        )


def _replace(wheel: Wheel, limit: Glibc) -> bool:
    """Fetch another build of the same version; the newer one goes when it is there."""
    kept = wheel.path.with_suffix(".newer")
    wheel.path.rename(kept)
    done = subprocess.run(list_command(wheel, limit), check=False)
    if done.returncode:
        kept.rename(wheel.path)
        return False
    kept.unlink()
    return True


def list_command(wheel: Wheel, limit: Glibc) -> list[str]:
    """Return pip's command for another build of one wheel.

    Args:
        wheel: Which version of which project.
        limit: The newest C library that the build may need.
    """
    machine = platform.machine()
    minors = range(limit[1], _FIRST_MINOR - 1, -1)
    names = [f"manylinux_{limit[0]}_{minor}_{machine}" for minor in minors]
    legacy = [f"{name}_{machine}" for name in ("manylinux2014", "manylinux2010", "manylinux1")]
    platforms = [text for name in [*names, *legacy] for text in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:"]
    command += ["--dest", str(wheel.path.parent), *platforms]
    return [*command, f"{wheel.name}=={wheel.version}"]
