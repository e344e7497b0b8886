"""Whether folders that all nodes must see lie on a shared disk, and temporary files on none."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from medvision.cli._doctor.findings import Finding, Status
from medvision.config.model import Study
from medvision.config.site import Site

_MOUNTS = Path("/proc/self/mounts")
_SHARED = (
    *("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "glusterfs", "panfs"),
    *("orangefs", "pvfs2", "wekafs", "afs", "9p", "virtiofs", "fuse.sshfs", "fuse.glusterfs"),
    *("fuse.ceph", "fuse.juicefs", "fuse.daos", "fhgfs", "quobyte", "vastnfs"),
)
_MEMORY = ("tmpfs", "ramfs", "devtmpfs")


def check_mounts(study: Study, site: Site | None) -> Iterator[Finding]:
    """Yield where folders lie; what only another node can tell is left to `--probe`.

    Args:
        study: The configuration.
        site: The site file, where there is one.
    """
    scratch = site.scratch if site else None
    places = {"output": study.output.path, "working": Path(), "Python": Path(sys.prefix)}
    held: dict[tuple[Status, str, str], list[str]] = {}
    for name, path in places.items():
        held.setdefault(_judge_shared(path, scratch=scratch), []).append(name)
    for (status, found, hint), names in held.items():
        yield Finding("Shared disk", status, f"{', '.join(names)} folder on {found}", hint)
    if scratch is not None:
        yield _check_scratch(scratch)


def find_type(path: Path, *, mounts: Path = _MOUNTS) -> str | None:
    """Return the type of the file system that a path lies on; none where that is not told.

    Args:
        path: A file or folder, there or not.
        mounts: Table of mounts, as proc(5) describes it.
    """
    resolved = path.absolute()
    place = next(p for p in (resolved, *resolved.parents) if p.exists()).resolve()
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None
    held: dict[Path, str] = {}
    for line in lines:
        fields = line.split()
        if len(fields) > 2:
            # A later mount lies over an earlier one; blanks are written as \\040.
            held[Path(fields[1].replace("\\040", " "))] = fields[2]
    return next((held[p] for p in (place, *place.parents) if p in held), None)


def _judge_shared(path: Path, *, scratch: Path | None) -> tuple[Status, str, str]:
    """Return (status, what it lies on, hint) of one folder that every node must see."""
    kind = find_type(path)
    hint = "all nodes must see it; `medvision doctor --profile slurm --probe` asks a node."
    if scratch is not None and path.absolute().is_relative_to(scratch):
        return "fail", f"{scratch}, each node's own disk", hint
    if kind in _MEMORY:
        return "fail", f"{kind}, this machine's memory", hint
    if kind is None or kind not in _SHARED:
        return "warn", f"{kind or 'an unknown disk'}, which may be this machine's own", hint
    return "ok", kind, ""


def _check_scratch(scratch: Path) -> Finding:
    """Judge the folder of temporary files."""
    if not scratch.is_absolute():
        hint = "name it from the root."
        return Finding("Scratch", "fail", f"{scratch} is no absolute path", hint)
    if not scratch.is_dir():
        hint = "`medvision doctor --profile slurm --probe` asks a node."
        return Finding(
            "Scratch", "warn", f"{scratch} is not on this machine; nodes may have it", hint
        )
    if not os.access(scratch, os.W_OK):
        return Finding("Scratch", "fail", f"{scratch} may not be written", "choose another.")
    kind = find_type(scratch)
    if kind in _SHARED:
        hint = "name a folder of each node's own disk, or leave scratch out."
        return Finding("Scratch", "warn", f"{scratch} on {kind}, a shared disk", hint)
    return Finding("Scratch", "ok", f"{scratch} on {kind or 'an unknown disk'}")
