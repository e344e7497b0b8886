"""One network's passes over a fold: logits of what is held out, and how far from train it lies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medvision.cli._training.learning import LearningData
from medvision.config.predict import PredictSection
from medvision.domain.labels.rows import EXTERNAL
from medvision.domain.metrics.pooling import LINKS, Logits, pool_logits
from medvision.domain.novelty.distance import (
    Distances,
    Novelty,
    build_reference,
    choose_reference,
    compute_distances,
    judge_distances,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

    from medvision.domain.split import Assignment
    from medvision.learn.predict import View

SPLITS = ("validation", "test", EXTERNAL)
"""What is predicted, each in the same way, so that what is fixed on one holds on the others."""

TRAIN = "train"


@dataclass(frozen=True)
class Seen:
    """What one network makes of one fold.

    Args:
        logits: Split to (N, C); a split without images has none.
        features: Split, train among them, to (N, P) of the images themselves, without their views;
            empty where they were not asked for.
    """

    logits: Mapping[str, Logits]
    features: Mapping[str, NDArray[np.float32]]


def predict_splits(
    model: "nn.Module",
    data: LearningData,
    *,
    fold: int,
    device: "torch.device",
    views: "Sequence[View]",
    head: str | None,
    n_reference: int,
) -> Seen:
    """Predict what is held out of a fold, which may be nothing, the views of an image made one.

    Args:
        model: Network.
        data: Images and folds.
        fold: Training.
        device: Where to compute.
        views: Views of each image, the image itself first.
        head: Dotted name of the module whose input is kept; None keeps nothing, and then no train
            image is looked at.
        n_reference: Train images to look at, at most.
    """
    logits: dict[str, Logits] = {}
    features: dict[str, NDArray[np.float32]] = {}
    for split in SPLITS:
        chosen = data.select(fold, split)
        logits[split] = np.empty((0, len(data.classes)))
        if chosen:
            found, kept = pass_images(model, data, chosen, device=device, views=views, head=head)
            logits[split] = pool_logits(found, LINKS[data.task])
            features |= {} if kept is None else {split: kept}
    train = data.select(fold, TRAIN)
    if head is not None and train:
        chosen = [train[n] for n in choose_reference(len(train), n_most=n_reference)]
        _, kept = pass_images(model, data, chosen, device=device, views=views[:1], head=head)
        features |= {} if kept is None else {TRAIN: kept}
    return Seen(logits, features)


def pass_images(
    model: "nn.Module",
    data: LearningData,
    chosen: "Sequence[Assignment]",
    *,
    device: "torch.device",
    views: "Sequence[View]",
    head: str | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return logits of some images, and their features where they are kept.

    Args:
        model: Network.
        data: Images.
        chosen: Which of them, at least one.
        device: Where to compute.
        views: Views of each image, the image itself first.
        head: Dotted name of the module whose input is kept; None keeps nothing.

    Returns:
        (logits, features): (views, n, C); (n, P) of the images themselves, or None.
    """
    from medvision.learn.features import join_features, keep_features
    from medvision.learn.predict import predict_views

    examples = data.examples(chosen)
    if head is None:
        return predict_views(model, examples, device=device, views=views), None
    with keep_features(model, head, n_views=len(views)) as seen:
        logits = predict_views(model, examples, device=device, views=views)
    return logits, join_features(seen, len(chosen))


def judge_novelty(
    features: Mapping[str, NDArray[np.float32]], section: PredictSection
) -> dict[str, Novelty]:
    """Hold what is held out against train, and against the distances of validation.

    Args:
        features: Split to (N, P), train among them; empty where it was not asked for.
        section: Neighbours and limit.

    Returns:
        Split to its novelty; none without train images, or without validation images to go by.
    """
    if TRAIN not in features or "validation" not in features:
        return {}
    reference = build_reference(features[TRAIN], n_neighbours=section.novelty_neighbours)
    distances = {
        split: _shorten(compute_distances(reference, features[split]))
        for split in SPLITS
        if split in features
    }
    return judge_distances(distances, alarm=section.novelty_alarm)


def _shorten(distances: Distances) -> Distances:
    """Return distances as the table holds them, so that what is judged can be judged again."""
    return np.array([float(f"{distance:.9g}") for distance in distances])
