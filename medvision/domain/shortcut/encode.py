"""What a probe is shown of each image: facts as texts and a picture's description, as numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.metrics.weighted import Flags

Features = NDArray[np.float64]
"""(N, P) float64: one row per image, one column per feature."""

MOST_NAMES = 12
"""Different values up to which a number counts as a name too, such as a matrix of 512."""

_MOST_WORDS = 30
_MISSING = frozenset({"", "n/a"})


@dataclass(frozen=True)
class Probe:
    """What of the images is shown alone.

    Args:
        name: Such as `scanner` or `border`.
        facts: Name of a fact to the text of each of N images, empty where it is not known.
        picture: (N, P) numbers that describe a part of the picture, NaN where there is none.
    """

    name: str
    facts: Mapping[str, Sequence[str]]
    picture: Features

    @property
    def n_values(self) -> int:
        """How many unlike images there are in its view; 1 where there is nothing to learn."""
        words = [tuple(cells) for cells in zip(*self.facts.values(), strict=True)]
        numbers = np.nan_to_num(self.picture, nan=np.inf).tolist()
        rows = zip(words, numbers, strict=True) if words else numbers
        return len({repr(row) for row in rows})


def encode_probe(probe: Probe, train: Flags) -> Features:
    """Turn what a probe is shown into standard numbers, by the train images alone.

    A fact all of whose values are numbers is a number; where it has few different ones, or holds
    words, each value that the train images have twice is a feature of its own, 1 or 0. What is not
    known is the train images' mean, and a feature of its own.

    Args:
        probe: What is shown.
        train: (N,) whether an image is of the train split, of which there is one at least.

    Returns:
        (N, P) features with mean 0 and standard deviation 1 over the train images; without those
        that do not vary there.

    Source:
        none: own definition.
    """
    parts = [_encode_fact(cells, train) for cells in probe.facts.values()]
    parts.append(_fill(probe.picture, train))
    return _standardise(np.concatenate(parts, axis=1), train)


def _encode_fact(cells: Sequence[str], train: Flags) -> Features:
    """Return one fact as numbers, as names, or as both."""
    known = np.array([cell not in _MISSING for cell in cells])
    numbers = _read_numbers(cells)
    parts = [(~known).astype(np.float64)[:, np.newaxis]]
    held = Counter(cell for cell, own in zip(cells, known & train, strict=True) if own)
    if numbers is not None:
        parts.append(_fill(numbers[:, np.newaxis], train))
    if numbers is None or len(held) <= MOST_NAMES:
        text = np.array(cells, dtype=object)
        names = sorted(held, key=lambda name: (-held[name], name))[:_MOST_WORDS]
        parts += [
            (text == name).astype(np.float64)[:, np.newaxis] for name in names if held[name] > 1
        ]
    return np.concatenate(parts, axis=1)


def _read_numbers(cells: Sequence[str]) -> Features | None:
    """Return (N,) numbers, NaN where a cell is empty; None where one holds a word."""
    try:
        numbers = np.array([np.nan if cell in _MISSING else float(cell) for cell in cells])
    except ValueError:
        return None
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _fill(values: Features, train: Flags) -> Features:
    """Put the train images' mean where there is no value; 0 where they have none either."""
    known = ~np.isnan(values)
    own = known & train[:, np.newaxis]
    total = np.where(own, values, 0.0).sum(axis=0)
    return np.where(known, values, total / np.maximum(own.sum(axis=0), 1))


def _standardise(features: Features, train: Flags) -> Features:
    """Give each feature mean 0 and standard deviation 1 over the train images."""
    mean, deviation = features[train].mean(axis=0), features[train].std(axis=0)
    varies = deviation > 1e-9 * (1.0 + np.abs(mean))
    result: Features = (features[:, varies] - mean[varies]) / deviation[varies]
    return result
