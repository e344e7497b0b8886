"""What lies in a folder of images that are kept half-way through the pipeline."""

from pathlib import Path

from medvision.preprocess.entries import list_entries


def list_kept(folder: Path) -> set[str]:
    """The keys of all images in a folder's files."""
    keys: set[str] = set()
    for path in folder.glob("*.kept"):
        with path.open("rb", buffering=0) as stream:
            keys |= {key for key, _ in list_entries(path, stream)}
    return keys


def list_files(folder: Path) -> list[str]:
    """The names of a folder's files."""
    return sorted(path.name for path in folder.glob("*"))
