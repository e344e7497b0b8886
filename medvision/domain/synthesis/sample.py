"""Images as a gate sees them: rows of features, with their classes and whom they are of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.novelty.distance import build_reference
from medvision.domain.prediction import Indices
from medvision.errors import DataError

Rows = NDArray[np.float64]
"""(N, P) float64: one row of features per image."""

Distances = NDArray[np.float64]
"""(N, M) float64: distance of each of N images from each of M others."""


@dataclass(frozen=True)
class Sample:
    """Images of one kind in one space.

    Args:
        features: (N, P) one row per image.
        labels: (N,) class index of each.
        clusters: (N,) what is independent: the subject, or the group of subjects joined; every
            synthetic image is one of its own.
    """

    features: Rows
    labels: Indices
    clusters: Indices

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Space:
    """Real and synthetic images in the features of one network.

    Args:
        name: What the space is called, such as `backbone` or `fixed`.
        source: What gave the features, in words, with its digest.
        is_trained: Whether that network was trained on the train images, so that it knows them
            better than any other image.
        train: Real images that the generator was trained on.
        validation: Real images that it was not trained on.
        synthetic: Its own.
    """

    name: str
    source: str
    is_trained: bool
    train: Sample
    validation: Sample
    synthetic: Sample


@dataclass(frozen=True)
class Rules:
    """How the gate judges; none of it may be chosen after looking.

    Args:
        n_repeats: How often the real images are parted in halves, and membership is dealt anew.
        level: Share of what real images do by chance that still counts as ordinary, such as 0.99.
        confidence: Level of the intervals that are told.
        n_neighbours: Neighbour whose distance is an image's reach, in precision and recall.
        similarity: Agreement of detail from which two thumbnails show one image.
        seed: Seed of all draws.
    """

    n_repeats: int
    level: float
    confidence: float
    n_neighbours: int
    similarity: float
    seed: int


def check_space(space: Space) -> None:
    """Refuse features that nothing can be computed of.

    Args:
        space: A space.

    Raises:
        DataError: There are no train or no synthetic images, a feature is not finite, or samples
            are of other widths.
    """
    where = f"synthetic images, space {space.name}"
    for name, held in (("train", space.train), ("synthetic", space.synthetic)):
        if not len(held):
            raise DataError(f"{where}: {name} images must be at least 1, got 0.")
    for name in ("train", "validation", "synthetic"):
        held = getattr(space, name)
        if held.features.shape[1] != space.train.features.shape[1]:
            raise DataError(
                f"{where}: features of {name} must be as many as of train, "
                f"{space.train.features.shape[1]}, got {held.features.shape[1]}."
            )
        if not np.isfinite(held.features).all():
            raise DataError(f"{where}: features of {name} must be finite, got NaN or infinity.")


def standardise_space(space: Space) -> Space:
    """Return the space with each feature in standard deviations of all real images.

    So no feature counts for its unit alone, and the kernel's constant 1 means the same in every
    network's features. Train and validation images give the scale together: in a scale of its own
    a sample lies nearer to everything than one that had no part in it, and membership would be
    told by that alone.

    Args:
        space: A space.

    Source:
        none: own choice; the scale is that of `novelty.build_reference`.
    """
    real = np.concatenate([space.train.features, space.validation.features])
    reference = build_reference(real, n_neighbours=1)

    def move(held: Sample) -> Sample:
        features = (held.features.astype(np.float64) - reference.mean) / reference.scale
        return Sample(features, held.labels, held.clusters)

    return Space(
        space.name,
        space.source,
        space.is_trained,
        move(space.train),
        move(space.validation),
        move(space.synthetic),
    )


def compute_distances(first: Rows, second: Rows) -> Distances:
    """Compute Euclidean distances, divided by the root of the number of features.

    Args:
        first: (N, P).
        second: (M, P).

    Returns:
        (N, M): root mean square difference over the features.
    """
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None]
    gaps = squares - 2 * first @ second.T
    result: Distances = np.sqrt(np.maximum(gaps, 0.0) / first.shape[1])
    return result


def count_classes(labels: Indices, n_classes: int) -> Sequence[int]:
    """Return how many images each class has."""
    counts: list[int] = np.bincount(labels, minlength=n_classes).tolist()
    return counts
