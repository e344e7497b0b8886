"""Which file `model.weights` means, told without torch, so that light commands can ask."""

from pathlib import Path

from medvision.errors import WeightsError

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
            f"correct model.weights; paths are relative to the working directory, {Path.cwd()}.",
        )
    for pattern in _STUDY_PATTERNS:
        found = sorted(source.glob(pattern), key=_order_by_seed)
        if found:
            return found[0]
    raise WeightsError(
        f"model.weights: folder must be a study's output with a trained model, got {source}.",
        "name the folder that holds the other study's train/, or a weights file itself.",
    )


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
