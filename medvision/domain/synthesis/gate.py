"""The gate: every criterion asked of a generator's images, and one verdict of all of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.prediction import Indices
from medvision.domain.synthesis.alterations import Images, measure_altered, pool_images
from medvision.domain.synthesis.copies import (
    Nearness,
    judge_copies,
    judge_look_alikes,
)
from medvision.domain.synthesis.criterion import Criterion, Refusal, Verdict, close_gate
from medvision.domain.synthesis.fidelity import Agreement, judge_fidelity
from medvision.domain.synthesis.membership import Members, judge_membership
from medvision.domain.synthesis.quality import judge_quality
from medvision.domain.synthesis.sample import (
    Distances,
    Rules,
    Sample,
    Space,
    check_space,
    compute_distances,
    standardise_space,
)

PIXELS = "pixels"


@dataclass(frozen=True)
class Pictures:
    """The images themselves, each as the networks are given it.

    Args:
        train: (N, C, *spatial).
        validation: (V, C, *spatial).
        synthetic: (M, C, *spatial).
        train_thumbnails: (N, 64, 64) or (N, 32, 32, 32) of `build_thumbnail`.
        synthetic_thumbnails: (M, ...) of the synthetic images.
    """

    train: Images
    validation: Images
    synthetic: Images
    train_thumbnails: NDArray[np.uint8]
    synthetic_thumbnails: NDArray[np.uint8]


def judge_generator(
    spaces: tuple[Space, ...],
    pictures: Pictures,
    *,
    agreement: Agreement,
    classes: tuple[str, ...],
    rules: Rules,
) -> Verdict:
    """Ask every criterion, and open the gate where all of them pass.

    All images are judged, those refused one by one too: they say what the generator does.

    Args:
        spaces: Features of each network, all of the same images in the same order.
        pictures: The images.
        agreement: Predictions of a classifier that was trained on real images alone.
        classes: Class names in order.
        rules: How to judge.

    Returns:
        Criteria, images refused one by one, and the verdict.

    Raises:
        DataError: Features are not finite, or there are no images.
    """
    criteria: list[Criterion] = []
    refused: list[list[Refusal]] = []
    first = spaces[0]
    for space in spaces:
        check_space(space)
        held = standardise_space(space)
        criteria += judge_quality(held, classes=classes, rules=rules)
        near = _judge_nearness(held, _measure_features(held), name=space.name, rules=rules)
        criteria += near[0]
        refused.append(near[1])
    near = _judge_nearness(first, _measure_pixels(pictures), name=PIXELS, rules=rules)
    criteria += near[0]
    refused.append(near[1])
    found, alike = judge_look_alikes(
        pictures.train_thumbnails,
        pictures.synthetic_thumbnails,
        clusters=first.train.clusters,
        rules=rules,
    )
    criteria += found
    refused.append(alike)
    criteria += judge_fidelity(agreement, classes=classes, rules=rules)
    return close_gate(criteria, [own for part in refused for own in part])


@dataclass(frozen=True)
class _Measured:
    """Distances of synthetic from train and from validation images, and between train images."""

    train: Distances
    validation: Distances
    own: Distances


def _measure_features(space: Space) -> _Measured:
    """Measure distances in features."""
    made = space.synthetic.features
    return _Measured(
        compute_distances(made, space.train.features),
        compute_distances(made, space.validation.features),
        compute_distances(space.train.features, space.train.features),
    )


def _measure_pixels(pictures: Pictures) -> _Measured:
    """Measure distances in pixels, whichever way an image is flipped or moved by a voxel."""
    train, validation, made = (
        pool_images(held) for held in (pictures.train, pictures.validation, pictures.synthetic)
    )
    own = measure_altered(train, train)
    return _Measured(
        measure_altered(made, train),
        measure_altered(made, validation),
        np.minimum(own, own.T),
    )


def _judge_nearness(
    space: Space, measured: _Measured, *, name: str, rules: Rules
) -> tuple[list[Criterion], list[Refusal]]:
    """Judge copies and membership by distances; return criteria and images refused."""
    criteria, refused = judge_copies(
        Nearness(name, measured.train, measured.own, space.train.clusters), rules
    )
    members = Members(
        name,
        np.concatenate([measured.train.min(axis=0), measured.validation.min(axis=0)]),
        np.arange(len(space.train) + len(space.validation)) < len(space.train),
        np.concatenate([space.train.labels, space.validation.labels]),
        _join_clusters(space.train, space.validation),
    )
    membership = judge_membership(members, n_synthetic=len(space.synthetic), rules=rules)
    return [*criteria, membership], refused


def _join_clusters(train: Sample, validation: Sample) -> Indices:
    """Return whom each image is of, with no subject in both."""
    start = 1 + int(train.clusters.max(initial=0))
    return np.concatenate([train.clusters, validation.clusters + start])
