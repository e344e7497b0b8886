"""How well each image fits its group's mean image, as it stands, turned and mirrored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Thumbnails = NDArray[np.uint8]
"""(N, S, S) or (N, S, S, S) uint8: the whole field of view of images, resized."""

Read = Callable[[NDArray[np.int64]], Thumbnails]
"""Numbers of images to their thumbnails."""

_Vectors = NDArray[np.float32]

_MOST_IN_MEAN = 500
_KEPT_SHARE = 0.75
_CHUNK = 512


@dataclass(frozen=True)
class Fit:
    """How one image fits.

    Args:
        best: Largest correlation with the mean image over all orientations.
        gain: That minus the correlation as it stands: 0 where it stands right.
        turn: The orientation of the largest correlation in words, empty as it stands.
        as_it_stands: Correlation without any turn.
    """

    best: float
    gain: float
    turn: str
    as_it_stands: float

    @property
    def is_inverted(self) -> bool:
        """Bright is dark: the image fits better with its grey levels inverted than in any turn."""
        return -self.as_it_stands > self.best


def compute_fits(read: Read, n_images: int) -> list[Fit]:
    """Correlate each image with the mean of its group in 8 orientations of a plane, 16 of a volume.

    Args:
        read: Returns images of one group by their numbers; the first two axes are the plane.
        n_images: How many the group has, at least one.

    Returns:
        One per image. The mean is of at most 500 evenly spaced images and, in a second pass, of
        the three quarters of them that fit it best, so that a minority does not shape it.

    Source:
        none: own definition; the correlation is Pearson's over all pixels at half resolution.
    """
    sample = read(np.unique(np.linspace(0, n_images - 1, _MOST_IN_MEAN).round().astype(np.int64)))
    mean = _compute_mean(_normalise(sample))
    turns = _list_turns(mean.reshape([side // 2 for side in sample.shape[1:]]))
    matrix = np.stack([turned.ravel() for turned, _ in turns], axis=1)
    fits: list[Fit] = []
    for start in range(0, n_images, _CHUNK):
        vectors = _normalise(read(np.arange(start, min(start + _CHUNK, n_images))))
        fits += [_judge(row, [words for _, words in turns]) for row in vectors @ matrix]
    return fits


def _judge(correlations: NDArray[np.float32], words: Sequence[str]) -> Fit:
    """Choose the best orientation; the first, as it stands, wins a draw."""
    best = int(np.argmax(correlations))
    first, largest = float(correlations[0]), float(correlations[best])
    return Fit(largest, largest - first, words[best], first)


def _compute_mean(vectors: _Vectors) -> _Vectors:
    """Return the normalised mean of the vectors that agree with each other."""
    mean = _unit(vectors.mean(axis=0))
    n_kept = max(1, round(_KEPT_SHARE * len(vectors)))
    order = np.argsort(-(vectors @ mean), kind="stable")
    return _unit(vectors[np.sort(order[:n_kept])].mean(axis=0))


def _normalise(thumbnails: Thumbnails) -> _Vectors:
    """Halve the resolution, and give every image mean 0 and length 1."""
    held = thumbnails.astype(np.float32)
    for axis in range(1, held.ndim):
        even = held.take(np.arange(0, held.shape[axis] - 1, 2), axis=axis)
        odd = held.take(np.arange(1, held.shape[axis], 2), axis=axis)
        held = (even + odd) / np.float32(2)
    vectors = held.reshape(len(held), -1)
    vectors = vectors - vectors.mean(axis=1, keepdims=True)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    normalised: _Vectors = vectors / np.maximum(length, np.float32(1e-6))
    return normalised


def _unit(vector: _Vectors) -> _Vectors:
    """Give a vector length 1."""
    centred = vector - vector.mean()
    unit: _Vectors = centred / max(float(np.linalg.norm(centred)), 1e-6)
    return unit


def _list_turns(mean: _Vectors) -> list[tuple[_Vectors, str]]:
    """Return the mean image in every orientation, with words; as it stands first."""
    turns = []
    for upside in (False, True) if mean.ndim == 3 else (False,):
        for mirrored in (False, True):
            for quarter in range(4):
                held = mean[:, :, ::-1] if upside else mean
                held = held[::-1] if mirrored else held
                words = [
                    *(["mirrored along k"] if upside else []),
                    *(["mirrored along i"] if mirrored else []),
                    *([f"turned by {90 * quarter}°"] if quarter else []),
                ]
                turned: _Vectors = np.rot90(held, quarter, axes=(0, 1))
                turns.append((turned, ", ".join(words)))
    return turns
