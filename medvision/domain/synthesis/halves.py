"""Two halves of the real images, parted by subject, and as many synthetic ones to hold against."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medvision.domain.prediction import Indices
from medvision.domain.synthesis.sample import Rules, Sample, Space


@dataclass(frozen=True)
class Draw:
    """Three samples of one draw, by position.

    Args:
        half: Train images of one half of the subjects.
        real: Real images of other subjects.
        synthetic: Synthetic images: of each class as many as `real` has.
    """

    half: Indices
    real: Indices
    synthetic: Indices


def draw_halves(space: Space, rules: Rules) -> Iterator[Draw]:
    """Part the train images in halves by subject, again and again.

    Each time the same half is held against the other half and against synthetic images of the same
    numbers in each class, so that neither the size of a sample nor its share of a class tells them
    apart. Where the network was trained on the train images, the other half is taken from the
    validation images instead: the network knows both halves of the train images better than any
    image that is new to it, so that no generator, however good, would come as near.

    Args:
        space: Real and synthetic images.
        rules: How often, and the seed.

    Yields:
        One draw per repeat; `real` are positions in validation where the space is trained, else
        in train.
    """
    rng = np.random.default_rng([rules.seed, 1])
    n_classes = 1 + int(max(space.train.labels.max(), space.synthetic.labels.max()))
    for _ in range(rules.n_repeats):
        half, other = part_subjects(space.train, rng)
        pool = space.train
        if space.is_trained:
            pool = space.validation
            other, _ = part_subjects(pool, rng)
        real, synthetic = [], []
        for index in range(n_classes):
            own = other[pool.labels[other] == index]
            made = np.flatnonzero(space.synthetic.labels == index)
            n = min(len(own), len(made))
            real.append(rng.permutation(own)[:n])
            synthetic.append(rng.permutation(made)[:n])
        yield Draw(half, np.concatenate(real), np.concatenate(synthetic))


def part_subjects(sample: Sample, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Part images in two halves of subjects, of each kind of subject half.

    Args:
        sample: Real images; a kind is the set of classes that a subject has images of.
        rng: Source of the draws.

    Returns:
        (first, second): positions of images, rising; an odd subject goes to either by chance.
    """
    names, index = np.unique(sample.clusters, return_inverse=True)
    flat = index.reshape(-1)
    held = np.zeros((len(names), int(sample.labels.max(initial=0)) + 1), dtype=bool)
    held[flat, sample.labels] = True
    is_first = np.zeros(len(names), dtype=bool)
    _, kinds = np.unique(held, axis=0, return_inverse=True)
    for kind in np.unique(kinds):
        members = rng.permutation(np.flatnonzero(kinds.reshape(-1) == kind))
        n_first = (len(members) + int(rng.integers(2))) // 2
        is_first[members[:n_first]] = True
    return np.flatnonzero(is_first[flat]), np.flatnonzero(~is_first[flat])
