"""Which of many thumbnails show the same image: candidates from an index, then a second look."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.catalogue import build_catalogue
from medvision.domain.likeness.describe import list_windows
from medvision.domain.likeness.index import find_candidates
from medvision.domain.likeness.second_look import Seen, choose_likely, look_again
from medvision.domain.likeness.words import describe_motion

_log = logging.getLogger(__name__)

SIMILARITY = 0.9
"""Agreement of detail from which two thumbnails count as one image; see the page on leakage."""

_N_NEAREST, _N_KEPT = 32, 8
"""Candidates of one image by their description; and of those by the first guess how they lie."""

_REACH = {2: 8, 3: 32}
"""Neighbours in each table; volumes have more windows, which crowd around each other."""


@dataclass(frozen=True)
class LookAlike:
    """Two thumbnails that show the same image.

    Args:
        first: Position of one in the stack.
        second: Position of the other, after it.
        similarity: Agreement of detail where they overlap, up to 1.
        alteration: How the second differs from the first, in words.
    """

    first: int
    second: int
    similarity: float
    alteration: str


def find_look_alikes(thumbnails: NDArray[np.uint8], *, similarity: float) -> list[LookAlike]:
    """Find the pairs of thumbnails that show one image, altered or not.

    Finds copies that were rotated, flipped, cropped, resized, made brighter or compressed
    again. Thumbnails without contrast look like nothing. Of thumbnails that are equal, each is
    paired with the first, and only the first is held against others.

    Args:
        thumbnails: (N, 64, 64) or (N, 32, 32, 32) uint8 of `build_thumbnail`.
        similarity: Least agreement of detail, 0 to 1.

    Returns:
        Each pair once, in order of its positions; the same whatever the order of the thumbnails,
        but for which of several equal ones is the first.

    Source:
        none: own method; its parts name theirs.
    """
    kept, equal = _part(thumbnails)
    pairs = [LookAlike(a, b, 1.0, "same place") for a, b in equal]
    if len(kept) > 1:
        pairs += _search(thumbnails[kept], kept, similarity=similarity)
    return sorted(pairs, key=lambda pair: (pair.first, pair.second))


def _part(thumbnails: NDArray[np.uint8]) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
    """Return one of each different thumbnail, in an order of their contents; and equal pairs."""
    first: dict[bytes, int] = {}
    equal = []
    for row, thumbnail in enumerate(thumbnails):
        if _has_contrast(thumbnail):
            held = first.setdefault(thumbnail.tobytes(), row)
            if held != row:
                equal.append((held, row))
    return np.array([first[key] for key in sorted(first)], dtype=np.int64), equal


def _has_contrast(thumbnail: NDArray[np.uint8]) -> bool:
    """Tell whether there is anything to see, in a volume without the 0 around its field of view."""
    seen = thumbnail if thumbnail.ndim == 2 else thumbnail[thumbnail > 0]
    return bool(seen.size) and bool(seen.min() < seen.max())


def _search(
    thumbnails: NDArray[np.uint8], rows: NDArray[np.int64], *, similarity: float
) -> list[LookAlike]:
    """Find the look-alikes among different thumbnails that stand at some rows of the stack."""
    windows = list_windows(thumbnails.ndim - 1)
    catalogue = build_catalogue(thumbnails, windows)
    candidates = find_candidates(
        catalogue.points,
        n_images=len(thumbnails),
        n_nearest=_N_NEAREST,
        reach=_REACH[thumbnails.ndim - 1],
    )
    coarse = catalogue.coarse
    likely = choose_likely(coarse, candidates, windows, n_kept=_N_KEPT)
    best: dict[tuple[int, int], LookAlike] = {}
    for seen in look_again(thumbnails, coarse, likely, windows):
        for found in _name(seen, rows, similarity=similarity):
            pair = (found.first, found.second)
            if pair not in best or found.similarity > best[pair].similarity:
                best[pair] = found
    _warn_of_crowds(best)
    return list(best.values())


def _name(seen: Seen, rows: NDArray[np.int64], *, similarity: float) -> Iterator[LookAlike]:
    """Yield those alike, in order of position, and in words what leads from one to the other."""
    for n in np.flatnonzero(seen.agreement >= similarity).tolist():
        query, image = int(rows[seen.pairs.query[n]]), int(rows[seen.pairs.image[n]])
        matrix, shift = seen.motion.matrix[n], seen.motion.shift[n]
        if query > image:
            query, image = image, query
            matrix = np.linalg.inv(matrix)
            shift = -matrix @ shift
        value = min(float(seen.agreement[n]), 1.0)
        yield LookAlike(query, image, value, describe_motion(matrix, shift))


def _warn_of_crowds(found: dict[tuple[int, int], LookAlike]) -> None:
    """Say where images have as many look-alikes as are looked at, so that some may be missed."""
    counts = Counter(place for pair in found for place in pair)
    n_crowded = sum(count >= _N_KEPT for count in counts.values())
    if n_crowded:
        _log.warning(
            "look-alikes: %d images have %d or more; not every pair among them is listed",
            n_crowded,
            _N_KEPT,
        )
