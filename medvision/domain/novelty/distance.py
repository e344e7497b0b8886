"""How far an image lies from the train images in a network's features, held against validation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError

Features = NDArray[np.floating]
"""(N, P) floats: what a network's last layer is given, one row per image."""

Distances = NDArray[np.float64]
"""(N,) float64: distance of each image from the train images, in standard deviations."""

_LEAST_SPREAD = 1e-3

_ROUNDING = 1e-7
"""Tables hold nine digits."""


@dataclass(frozen=True)
class Reference:
    """Train images as a network sees them.

    Args:
        features: (M, P), each feature in standard deviations from its mean over these images.
        mean: (P,) of the features.
        scale: (P,) their standard deviation; of one that hardly moves a thousandth of the largest.
        n_neighbours: Which neighbour's distance counts, 1 for the nearest.
    """

    features: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    n_neighbours: int


def build_reference(features: Features, *, n_neighbours: int) -> Reference:
    """Keep train images as what others are held against.

    Args:
        features: (M, P) of train images, M at least 1.
        n_neighbours: Which neighbour's distance counts; of fewer images the last one's.
    """
    held = features.astype(np.float64)
    mean, spread = held.mean(axis=0), held.std(axis=0)
    scale = np.maximum(spread, _LEAST_SPREAD * spread.max())
    # Where no feature moves there is no scale to go by, and all images are one.
    scale = np.where(scale > 0, scale, 1.0)
    return Reference((held - mean) / scale, mean, scale, min(n_neighbours, len(held)))


def choose_reference(n_images: int, *, n_most: int) -> NDArray[np.intp]:
    """Return which of the train images to keep: all, or so many evenly among them.

    Args:
        n_images: Train images, in the order of their names: names are pseudonyms, so that their
            order has nothing to do with what they show.
        n_most: Images to keep at most.
    """
    n_kept = min(n_images, n_most)
    return (np.arange(n_kept) * n_images) // max(1, n_kept)


def compute_distances(reference: Reference, features: Features) -> Distances:
    """Compute each image's distance from its k-th nearest train image.

    The distance is the root mean square over the features, each in standard deviations of the train
    images, so that a feature that lies still in train counts much where it moves. Each image is
    computed by itself, in the same operations whichever others are asked for.

    Args:
        reference: Train images.
        features: (N, P) of the images.

    Source:
        Nearest neighbours as in Sun et al. 2022, "Out-of-distribution detection with deep nearest
        neighbors", ICML, arXiv:2204.06507; features in standard deviations instead of at length 1:
        own choice, ADR 30.
    """
    found = np.empty(len(features))
    for n, gaps in enumerate(compute_gaps(reference, features)):
        found[n] = np.partition(gaps, reference.n_neighbours - 1)[reference.n_neighbours - 1]
    return found


def compute_gaps(reference: Reference, features: Features) -> Iterator[Distances]:
    """Compute each image's distances from all train images, image by image.

    Args:
        reference: M train images.
        features: (N, P) of the images.

    Yields:
        (M,) for each image, as `compute_distances` counts them.
    """
    squares = (reference.features**2).sum(axis=1)
    for row in features.astype(np.float64):
        own = (row - reference.mean) / reference.scale
        gaps = squares + (own**2).sum() - 2 * (reference.features @ own)
        yield np.sqrt(np.maximum(gaps, 0.0) / len(own))


def compute_likeness(distances: Distances, validation: Distances) -> Distances | None:
    """Compute the share of validation images that are at least as far, the image itself counted.

    Of images like those of validation a share of at most p is expected to have p or less: it is
    the p-value of a conformal test, of which validation is the calibration.

    Args:
        distances: (N,) of images that are not of validation.
        validation: (V,) of the validation images of the same network.

    Returns:
        (N,) 1 / (V + 1) to 1; None without validation images.

    Source:
        Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a Random World, chapter 2; for
        novelty Bates et al. 2023, doi:10.1214/22-AOS2244.
    """
    if not len(validation):
        return None
    ordered = np.sort(validation)
    n_farther = len(ordered) - np.searchsorted(ordered, distances, side="left")
    return np.asarray((1 + n_farther) / (1 + len(ordered)), dtype=np.float64)


def compute_own_likeness(validation: Distances) -> Distances | None:
    """Compute what `compute_likeness` gives each validation image among the others.

    Args:
        validation: (V,) distances.

    Returns:
        (V,); None where there are no others.
    """
    if len(validation) < 2:
        return None
    ordered = np.sort(validation)
    n_as_far = len(ordered) - np.searchsorted(ordered, validation, side="left")
    return np.asarray(n_as_far / len(ordered), dtype=np.float64)


def find_limit(n_validation: int, alarm: float) -> float:
    """Return the likeness at and below which an image counts as unlike the train images.

    No more than this share of images like those of validation is expected to count so. With few
    validation images nothing can be as rare as was asked for: then it is being farther than all.

    Args:
        n_validation: Validation images.
        alarm: Share of ordinary images that may count as unlike.
    """
    return max(alarm, 1 / (n_validation + 1))


@dataclass(frozen=True)
class Novelty:
    """How far N images lie from the train images of the networks that predicted them.

    Args:
        distances: (N,) from the train images.
        likeness: (N,) share of validation images at least as far.
        limits: (N,) likeness at and below which an image counts as unlike.
    """

    distances: Distances
    likeness: Distances
    limits: Distances

    @property
    def is_unlike(self) -> NDArray[np.bool_]:
        """(N,) whether each image counts as unlike the train images."""
        flags: NDArray[np.bool_] = self.likeness <= self.limits * (1 + _ROUNDING)
        return flags


def judge_distances(distances: Mapping[str, Distances], *, alarm: float) -> dict[str, Novelty]:
    """Hold the distances of each split against those of validation.

    Args:
        distances: Split to the distances of one network; validation images are held against each
            other.
        alarm: Share of ordinary images that may count as unlike.

    Returns:
        Split to its novelty; none without validation images to go by.
    """
    validation = distances.get("validation", np.empty(0))
    found = {}
    for split, own in distances.items():
        is_own = split == "validation"
        likeness = compute_own_likeness(own) if is_own else compute_likeness(own, validation)
        if likeness is not None:
            limit = find_limit(len(validation) - is_own, alarm)
            found[split] = Novelty(own, likeness, np.full(len(own), limit))
    return found


COLUMNS = ("distance", "likeness", "alarm")
"""Columns of predictions that hold it: distances, likeness and limits."""


def parse_novelty(rows: Sequence[Mapping[str, str]]) -> Novelty | None:
    """Read the distances of predictions.

    Args:
        rows: Rows of `predict/predictions.tsv`.

    Returns:
        Of all rows; None where one has none, as ensembles and older tables.

    Raises:
        DataError: A cell is no number.
    """
    cells = [[row.get(name, "") for name in COLUMNS] for row in rows]
    if not cells or not all(text for own in cells for text in own):
        return None
    try:
        held = np.array([[float(text) for text in own] for own in cells])
    except ValueError as error:
        raise DataError("predictions: distance must be a number, got another text.") from error
    return Novelty(*held.T)
