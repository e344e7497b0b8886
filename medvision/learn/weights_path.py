"""Which file `model.weights` means, told without torch, so that light commands can ask."""

from pathlib import Path

from medvision.errors import WeightsError
from medvision.learn.registry import Source, read_sources
from medvision.learn.shelf import find_placed, verify_placed
from medvision.runtime.files import hash_file

SAFE_SUFFIX = ".safetensors"
_PICKLED = (".pt", ".pth", ".tar")
_STUDY_PATTERNS = (
    "train/transfer/fold-0/seed-*/model.safetensors",
    "train/scratch/fold-0/seed-*/model.safetensors",
    "pretrain/model.safetensors",
)


def find_weights(source: Path) -> Path:
    """Return the file that a `model.weights` path means.

    Args:
        source: A file, or another study's output folder: of that, the first seed of fold 0 of the
            transfer arm, else of the scratch arm, else its source task's weights. `~` is the
            home folder.

    Raises:
        WeightsError: There is no such file, or the folder holds no model.
    """
    source = source.expanduser()
    if source.is_file():
        return source
    if not source.exists():
        raise WeightsError(
            f"model.weights: path must exist, got {source}.",
            f"correct model.weights; paths are relative to the working directory, {Path.cwd()}; "
            "`medvision weights list` shows the names that need no path.",
        )
    for pattern in _STUDY_PATTERNS:
        found = sorted(source.glob(pattern), key=_order_by_seed)
        if found:
            return found[0]
    raise WeightsError(
        f"model.weights: folder must be a study's output with a trained model, got {source}.",
        "name the folder that holds the other study's train/, or a weights file itself.",
    )


def resolve_weights(weights: str, shelf: Path) -> tuple[Path, Source | None]:
    """Return the file that `model.weights` means, and the source that describes it.

    Args:
        weights: Name of a source, a file, or another study's output folder.
        shelf: Folder of the weights.

    Returns:
        (file, source): source is the one of that name, or the one whose published digest the file
        has, or None.

    Raises:
        WeightsError: There is no such file, or the named source is not on the shelf, or its file
            there is another one.
    """
    sources = read_sources(shelf)
    if weights in sources:
        source = sources[weights]
        verify_placed(source, shelf)
        return find_placed(source, shelf), source
    path = find_weights(Path(weights))
    digest = hash_file(path)
    known = (source for source in sources.values() if source.sha256 == digest)
    return path, next(known, None)


def _order_by_seed(path: Path) -> tuple[int, str]:
    """Order seed-2 before seed-10."""
    return len(path.parent.name), path.parent.name


def check_kind(path: Path) -> str:
    """Return the suffix of a weights file, in lower case.

    Raises:
        WeightsError: It is none of those that are read.
    """
    suffix = path.suffix.lower()
    if suffix != SAFE_SUFFIX and suffix not in _PICKLED:
        raise WeightsError(
            f"{path.name}: weights must be {SAFE_SUFFIX}, {', '.join(_PICKLED[:-1])} or "
            f"{_PICKLED[-1]}, got {suffix or 'no suffix'}.",
            "convert the file to safetensors with the program that wrote it.",
        )
    return suffix
