"""Which of many thumbnails show the same image: candidates from an index, then a second look."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.describe import Window, describe, list_windows
from medvision.domain.likeness.index import Candidates, find_candidates
from medvision.domain.likeness.register import refine, settle
from medvision.domain.likeness.sampling import Stack
from medvision.domain.likeness.start import Motion, guess_motion
from medvision.domain.likeness.words import describe_motion

SIMILARITY = 0.93
"""Correlation of detail from which two thumbnails count as one image; see the page on leakage."""

_N_NEAREST = {2: 12, 3: 4}
_WITHIN = {2: 0.32, 3: 0.5}
_MIN_GUESS = 0.4
_MIN_SETTLED = {2: 0.85, 3: 0.9}
_BATCH = 128


@dataclass(frozen=True)
class LookAlike:
    """Two thumbnails that show the same image.

    Args:
        first: Position of one in the stack.
        second: Position of the other, after it.
        similarity: Correlation of detail where they overlap, up to 1.
        alteration: How the second differs from the first, in words.
    """

    first: int
    second: int
    similarity: float
    alteration: str


def find_look_alikes(thumbnails: NDArray[np.uint8], *, similarity: float) -> list[LookAlike]:
    """Find the pairs of thumbnails that show one image, altered or not.

    Finds copies that were rotated, flipped, cropped, resized, made brighter or compressed
    again. Thumbnails without contrast look like nothing.

    Args:
        thumbnails: (N, 64, 64) or (N, 32, 32, 32) uint8 of `build_thumbnail`.
        similarity: Least correlation of detail, 0 to 1.

    Returns:
        Each pair once, in order of its positions.

    Source:
        none: own method; its parts name theirs.
    """
    if len(thumbnails) < 2:
        return []
    has_contrast = thumbnails.reshape(len(thumbnails), -1).max(axis=1, initial=0) > 0
    kept = np.flatnonzero(has_contrast)
    if len(kept) < 2:
        return []
    stack: Stack = thumbnails[kept].astype(np.float32) / np.float32(255)
    windows = list_windows(stack.ndim - 1)
    n_axes = stack.ndim - 1
    candidates = find_candidates(
        [describe(stack, window) for window in windows],
        n_nearest=_N_NEAREST[n_axes],
        within=_WITHIN[n_axes],
    )
    best: dict[tuple[int, int], LookAlike] = {}
    for number, window in enumerate(windows):
        for found in _look_again(stack, candidates, number, window, similarity=similarity):
            first, second = int(kept[found.first]), int(kept[found.second])
            pair = (min(first, second), max(first, second))
            held = best.get(pair)
            if held is None or found.similarity > held.similarity:
                best[pair] = LookAlike(*pair, found.similarity, found.alteration)
    return [best[pair] for pair in sorted(best)]


def _look_again(
    stack: Stack, candidates: Candidates, number: int, window: Window, *, similarity: float
) -> list[LookAlike]:
    """Register the candidates of one view, and keep those that are alike in detail."""
    chosen = np.flatnonzero(candidates.view == number)
    result = []
    for start in range(0, len(chosen), _BATCH):
        rows = chosen[start : start + _BATCH]
        query, image = candidates.query[rows], candidates.image[rows]
        motion, guess = guess_motion(stack[query], stack[image], window)
        query, image, motion = _narrow(query, image, motion, guess >= _MIN_GUESS)
        if not len(query):
            continue
        settled = settle(stack[query], stack[image], motion)
        is_near = settled.similarity >= _MIN_SETTLED[stack.ndim - 1]
        query, image, motion = _narrow(query, image, settled.motion, is_near)
        if not len(query):
            continue
        fit = refine(stack[query], stack[image], motion)
        for row in np.flatnonzero(fit.similarity >= similarity).tolist():
            alteration = describe_motion(fit.motion.matrix[row], fit.motion.shift[row])
            value = min(float(fit.similarity[row]), 1.0)
            result.append(LookAlike(int(query[row]), int(image[row]), value, alteration))
    return result


def _narrow(
    query: NDArray[np.int64], image: NDArray[np.int64], motion: Motion, kept: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Motion]:
    """Keep some of the pairs."""
    return query[kept], image[kept], Motion(motion.matrix[kept], motion.shift[kept])
