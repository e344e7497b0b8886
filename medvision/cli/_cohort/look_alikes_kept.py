"""Look-alikes kept between runs: other labels or folds need no new search."""

from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision import __version__
from medvision.domain.likeness.search import LookAlike
from medvision.errors import DataError
from medvision.runtime.files import read_json, write_json

_VERSION = "2"
"""Changes when a search of the same thumbnails would find something else."""


def name_search(
    thumbnails: NDArray[np.uint8], rows: NDArray[np.int64], *, similarity: float
) -> str:
    """Return what a search depends on as one digest, hexadecimal.

    Args:
        thumbnails: (N, 64, 64) or (N, 32, 32, 32) uint8; read row by row.
        rows: Which of them are searched.
        similarity: Least agreement of detail that was asked for.
    """
    digest = sha256(f"{_VERSION} {__version__} {np.__version__} {similarity}".encode())
    digest.update(f" {(len(rows), *thumbnails.shape[1:])} ".encode())
    for row in rows:
        digest.update(thumbnails[row].tobytes())
    return digest.hexdigest()


def recall(path: Path, key: str) -> list[LookAlike] | None:
    """Return what is kept of a search, or None where nothing is or the file is damaged.

    Args:
        path: The file; may be deleted at any time.
        key: Of `name_search`.
    """
    try:
        kept = read_json(path)
        if not isinstance(kept, dict) or kept.get("search") != key:
            return None
        return [LookAlike(**pair) for pair in kept["pairs"]]  # type: ignore[union-attr, arg-type]
    except (DataError, KeyError, TypeError):
        return None


def keep(path: Path, key: str, found: list[LookAlike]) -> None:
    """Keep what a search found.

    Args:
        path: The file.
        key: Of `name_search`.
        found: Its result.
    """
    write_json(path, {"search": key, "pairs": [asdict(item) for item in found]})
