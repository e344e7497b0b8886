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
from medvision.domain.likeness.room import OwnRoom, Room
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
    """Find the pairs of thumbnails that show one image, altered or not, in this process alone.

    Args:
        thumbnails: (N, 64, 64) or (N, 32, 32, 32) uint8 of `build_thumbnail`.
        similarity: Least agreement of detail, 0 to 1.

    Returns:
        As `search_room`.
    """
    room = OwnRoom(thumbnails=np.ascontiguousarray(thumbnails))
    return search_room(room, np.arange(len(thumbnails)), similarity=similarity)


def search_room(room: Room, rows: NDArray[np.int64], *, similarity: float) -> list[LookAlike]:
    """Find the pairs of thumbnails that show one image, altered or not.

    Finds copies that were rotated, flipped, cropped, resized, made brighter or compressed
    again. Thumbnails without contrast look like nothing. Of thumbnails that are equal, each is
    paired with the first, and only the first is held against others.

    Args:
        room: Has thumbnails; how many work in it changes nothing that is found.
        rows: Which thumbnails are compared, rising.
        similarity: Least agreement of detail, 0 to 1.

    Returns:
        Each pair once, by positions in `rows` and in order of them; the same whatever the order
        of the thumbnails, but for which of several equal ones is the first.

    Source:
        none: own method; its parts name theirs.
    """
    kept, equal = _part(room.arrays.thumbnails, rows)
    pairs = [LookAlike(a, b, 1.0, "same place") for a, b in equal]
    if len(kept) > 1:
        room.make("rows", kept.shape)
        room.arrays.rows[:] = rows[kept]
        pairs += _search(room, kept, similarity=similarity)
    return sorted(pairs, key=lambda pair: (pair.first, pair.second))


def _part(
    thumbnails: NDArray[np.uint8], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
    """Return one of each different thumbnail, in an order of their contents; and equal pairs.

    Of thumbnails in a file no more is read than tells them apart.
    """
    if not rows.size:
        return np.array([], dtype=np.int64), []
    position = np.full(len(thumbnails), -1)
    position[rows] = np.arange(len(rows))
    contents = thumbnails.reshape(len(thumbnails), -1)
    order = np.argsort(contents.view(f"S{contents.shape[1]}")[:, 0], kind="stable")
    kept: list[int] = []
    equal = []
    for row in order[position[order] >= 0]:
        if not _has_contrast(thumbnails[row]):
            continue
        if kept and np.array_equal(contents[rows[kept[-1]]], contents[row]):
            equal.append((kept[-1], int(position[row])))
        else:
            kept.append(int(position[row]))
    return np.array(kept, dtype=np.int64), equal


def _has_contrast(thumbnail: NDArray[np.uint8]) -> bool:
    """Tell whether there is anything to see, in a volume without the 0 around its field of view."""
    seen = thumbnail if thumbnail.ndim == 2 else thumbnail[thumbnail > 0]
    return bool(seen.size) and bool(seen.min() < seen.max())


def _search(room: Room, positions: NDArray[np.int64], *, similarity: float) -> list[LookAlike]:
    """Find the look-alikes among different thumbnails, which stand at some positions."""
    n_axes = room.arrays.thumbnails.ndim - 1
    windows = list_windows(n_axes)
    build_catalogue(room, windows)
    candidates = find_candidates(room, n_nearest=_N_NEAREST, reach=_REACH[n_axes])
    likely = choose_likely(room, candidates, windows, n_kept=_N_KEPT)
    best: dict[tuple[int, int], LookAlike] = {}
    for seen in look_again(room, likely, windows, similarity=similarity):
        for found in _name(seen, positions):
            pair = (found.first, found.second)
            if pair not in best or found.similarity > best[pair].similarity:
                best[pair] = found
    _warn_of_crowds(best)
    return list(best.values())


def _name(seen: Seen, positions: NDArray[np.int64]) -> Iterator[LookAlike]:
    """Yield those alike, in order of position, and in words what leads from one to the other."""
    for n in range(len(seen.agreement)):
        query, image = int(positions[seen.pairs.query[n]]), int(positions[seen.pairs.image[n]])
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
