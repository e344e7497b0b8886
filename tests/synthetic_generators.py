"""Small chests, and generators planted on them: honest, copying, collapsed and mislabelled."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.thumbnail import build_thumbnail
from medvision.domain.synthesis.fidelity import Agreement
from medvision.domain.synthesis.gate import Pictures
from medvision.domain.synthesis.sample import Rules, Sample, Space
from medvision.phantom.anatomy import compute_coverage, draw_anatomy, render_anatomy
from medvision.phantom.contents import draw_contents
from medvision.phantom.streams import build_generator
from medvision.phantom.structures import Nodule, compute_distance

CLASSES = ("normal", "nodule")
RULES = Rules(n_repeats=100, level=0.99, confidence=0.95, n_neighbours=3, similarity=0.9, seed=5)
SIDES = {2: 48, 3: 20}


@dataclass(frozen=True)
class Cohort:
    """Images (N, 1, *spatial), classes (N,) and subjects (N,)."""

    images: NDArray[np.float32]
    labels: NDArray[np.intp]
    clusters: NDArray[np.intp]


def draw_chest(seed: int, number: int, *, label: int, n_axes: int, view: int = 0):
    """Draw one chest; a class shows a large bright nodule or none. Views are of one subject."""
    body = build_generator(seed, "chest", number)
    anatomy = draw_anatomy(body)
    contents = draw_contents(body, anatomy)
    side = SIDES[n_axes]
    x = np.linspace(-95, 95, side, dtype=np.float32)
    lines = (x, x * 0.75, x * 0.9) if n_axes == 3 else (x, x * 0.75, np.zeros(1, np.float32))
    points = tuple(np.meshgrid(*lines, indexing="ij"))
    width = 190 / side
    hu = render_anatomy(anatomy, points, width_mm=width)
    shown = list(contents.vessels)
    if label:
        where = float(body.choice((-1, 1)) * body.uniform(32, 46))
        shown.append(Nodule((where, float(body.uniform(-12, 12)), 0.0), (13.0, 13.0, 13.0), 60.0))
    for structure in shown:
        distance = compute_distance(structure, points)
        hu = hu + compute_coverage(distance, width) * (np.float32(structure.hu) - hu)
    noise = build_generator(seed, "noise", number, view).normal(0, 25, hu.shape)
    held = ((hu + noise) / 500).astype(np.float32)
    return held[..., 0] if n_axes == 2 else held


def draw_cohort(seed: int, *, n_subjects: int, n_axes: int = 2, n_views: int = 1) -> Cohort:
    """Draw subjects of alternating classes, each with several images."""
    images, labels, clusters = [], [], []
    for number in range(n_subjects):
        for view in range(n_views):
            label = number % 2
            images.append(draw_chest(seed, number, label=label, n_axes=n_axes, view=view))
            labels.append(label)
            clusters.append(number)
    return Cohort(np.stack(images)[:, None], np.array(labels), np.array(clusters))


def copy_train(train: Cohort, *, n: int, alteration: str, seed: int = 3) -> Cohort:
    """Plant a generator that copies its train images: as they are, or altered."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(train.images), n)
    images = train.images[chosen].copy()
    if alteration == "flip":
        images = images[:, :, ::-1].copy()
    elif alteration == "shift":
        images = np.roll(images, 1, axis=3)
    elif alteration == "noise":
        images = images + rng.normal(0, 0.03, images.shape).astype(np.float32)
    return Cohort(images, train.labels[chosen], np.arange(n))


def collapse(honest: Cohort, *, seed: int = 4) -> Cohort:
    """Plant a generator that shows one new image of each class with a little noise."""
    rng = np.random.default_rng(seed)
    first = [int(np.flatnonzero(honest.labels == label)[0]) for label in (0, 1)]
    images = honest.images[[first[label] for label in honest.labels]]
    noise = rng.normal(0, 0.02, images.shape).astype(np.float32)
    return Cohort(images + noise, honest.labels, honest.clusters)


def swap_labels(honest: Cohort) -> Cohort:
    """Plant a generator trained on the wrong class."""
    return Cohort(honest.images, 1 - honest.labels, honest.clusters)


def read_features(cohort: Cohort, *, seed: int = 0, n_features: int = 48) -> NDArray[np.float64]:
    """Read features of a random network: patches through random filters, rectified and averaged."""
    rng = np.random.default_rng(seed)
    images = cohort.images[:, 0].astype(np.float64)
    n_axes = images.ndim - 1
    # Three random filters of three voxels a side at two scales, averaged over a coarse grid.
    side = 3
    filters = rng.normal(size=(n_features, side**n_axes)) / side
    windows = np.lib.stride_tricks.sliding_window_view(
        images, (side,) * n_axes, axis=tuple(range(1, n_axes + 1))
    )
    thin = windows[(slice(None), *(slice(None, None, 2),) * n_axes)]
    flat = thin.reshape(*thin.shape[: n_axes + 1], -1)
    maps = np.maximum(flat @ filters.T, 0)
    parts = [maps]
    for axis in range(1, n_axes + 1):
        parts = [half for part in parts for half in np.array_split(part, 2, axis=axis)]
    pooled = [part.mean(axis=tuple(range(1, n_axes + 1))) for part in parts]
    mixed = rng.normal(size=(n_features * len(pooled), n_features))
    return np.concatenate(pooled, axis=1) @ mixed


def find_nodules(cohort: Cohort) -> NDArray[np.intp]:
    """Classify by the brightest blob within the lungs: a classifier that is nearly right."""
    features = cohort.images[:, 0]
    n_axes = features.ndim - 1
    side = 5 if n_axes == 2 else 3
    windows = np.lib.stride_tricks.sliding_window_view(
        features, (side,) * n_axes, axis=tuple(range(1, n_axes + 1))
    )
    means = windows.mean(axis=tuple(range(-n_axes, 0)))
    edge = SIDES[n_axes]
    lungs = means[:, edge * 25 // 100 : edge * 36 // 100]
    others = means[:, edge * 60 // 100 : edge * 72 // 100]
    best = np.maximum(*(own.reshape(len(own), -1).max(axis=1) for own in (lungs, others)))
    return (best > np.median(best)).astype(np.intp)


def take_thumbnails(cohort: Cohort) -> NDArray[np.uint8]:
    """Return the thumbnails of all images."""
    made = []
    for image in cohort.images[:, 0]:
        array = image[..., None] if image.ndim == 2 else image
        made.append(build_thumbnail(array, spacing_mm=(1.0, 1.0, 1.0)))
    return np.stack(made)


def build_space(train: Cohort, validation: Cohort, made: Cohort, *, name: str = "fixed") -> Space:
    """Return the space of a random network."""
    samples = [
        Sample(read_features(held), held.labels, held.clusters)
        for held in (train, validation, made)
    ]
    return Space(name, "a random network", False, *samples)


def build_pictures(train: Cohort, validation: Cohort, made: Cohort) -> Pictures:
    """Return the images themselves."""
    return Pictures(
        train.images,
        validation.images,
        made.images,
        take_thumbnails(train),
        take_thumbnails(made),
    )


def build_agreement(validation: Cohort, made: Cohort, *, predict) -> Agreement:
    """Return what a classifier predicts."""
    return Agreement(
        "a classifier of the tests",
        predict(validation),
        validation.labels,
        validation.clusters,
        predict(made),
        made.labels,
    )
