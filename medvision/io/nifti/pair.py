"""Pairs of files, header and voxels (.hdr and .img): which two belong together."""

from collections.abc import Callable
from pathlib import Path

_HEADER_SUFFIXES = (".hdr", ".nii")
_VOXEL_SUFFIXES = (".img", ".img.gz")


def list_partners(name: str) -> tuple[str, ...]:
    """Return the names under which a header's voxels may lie, the likeliest first.

    Args:
        name: Name or path of the header, such as `a.hdr` or `a.hdr.gz`; `a.img` stays as it is
            never a header's name.

    Returns:
        Names in the same folder, with the header's own stem; empty where it ends in neither
        .hdr nor .nii.
    """
    plain = name[: -len(".gz")] if name.lower().endswith(".gz") else name
    stem = next(
        (plain[: -len(end)] for end in _HEADER_SUFFIXES if plain.lower().endswith(end)), None
    )
    if stem is None:
        return ()
    lower = tuple(stem + suffix for suffix in _VOXEL_SUFFIXES)
    upper = tuple(stem + suffix.upper() for suffix in _VOXEL_SUFFIXES)
    return upper + lower if plain[len(stem) :].isupper() else lower + upper


def find_partner(path: Path, *, exists: Callable[[Path], bool] = Path.is_file) -> Path | None:
    """Return the file with a header's voxels, None where there is none.

    Args:
        path: The header.
        exists: Tells whether a file is there; another one may know an archive's members.
    """
    for name in list_partners(path.name):
        partner = path.with_name(name)
        if exists(partner):
            return partner
    return None
