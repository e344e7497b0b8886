"""Which distance finds planted strange images: three of them on the networks of a finished study.

python benchmarks/novelty.py results: for each arm the share of test images that count as unlike the
train images as they are (false alarms), and with a fault planted in each (found).
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medvision.domain.novelty.distance import (
    Novelty,
    build_reference,
    compute_distances,
    compute_likeness,
    find_limit,
)
from medvision.io.tables import read_table
from medvision.learn.backbones import build_backbone, head_names
from medvision.learn.dataset import Examples
from medvision.learn.features import join_features, keep_features
from medvision.learn.predict import predict_views
from medvision.runtime.arrays import read_array_store
from medvision.runtime.checkpoint import load_model

Arrays = NDArray[np.float32]
N_NEIGHBOURS, ALARM, SHRINKAGE = 5, 0.05, 0.1


def main() -> None:
    """Read a study's folder, and print one line per arm and distance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    root = parser.parse_args().results
    store = read_array_store(
        sorted((root / "preprocess").glob("arrays-*.npy")),
        root / "preprocess" / "index.tsv",
        root / "preprocess" / "meta.json",
    )
    rows, folds = store.rows(), read_table(root / "cohort" / "folds.tsv")
    print("arm", "distance", "as they are", *FAULTS, sep="\t")
    for arm in sorted(path.name for path in (root / "train").iterdir()):
        found: dict[tuple[str, str], list[float]] = {}
        for path in sorted((root / "train" / arm).glob("fold-*/seed-*/model.safetensors")):
            fold = path.parent.parent.name.removeprefix("fold-")
            parts = {
                split: np.stack(
                    [
                        store.array[rows[row["image_id"]]].astype(np.float32)
                        for row in folds
                        if (row["fold"], row["split"]) == (fold, split)
                    ]
                )
                for split in ("train", "validation", "test")
            }
            for key, share in judge(path, parts).items():
                found.setdefault(key, []).append(share)
        for name in DISTANCES:
            shares = [np.mean(found[name, kind]) for kind in ("as they are", *FAULTS)]
            print(arm, name, *(f"{share:.2f}" for share in shares), sep="\t")


def judge(path: Path, parts: dict[str, Arrays]) -> dict[tuple[str, str], float]:
    """Return the share of test images that each distance calls unlike, as they are and planted."""
    model, meta = load_model(path, build=build_backbone)
    rng = np.random.default_rng(0)
    test = {"as they are": parts["test"]}
    test |= {name: plant(parts["test"], rng) for name, plant in FAULTS.items()}

    def look(arrays: Arrays) -> NDArray[np.float32]:
        n = len(arrays)
        examples = Examples(arrays, np.arange(n), np.zeros(n, np.int64), ("",) * n)
        with keep_features(model, head_names(meta.backbone)[0], n_views=1) as seen:
            predict_views(model, examples, device=torch.device("cpu"), views=[lambda x: x])
        return join_features(seen, n)

    train, validation = look(parts["train"]), look(parts["validation"])
    seen = {kind: look(arrays) for kind, arrays in test.items()}
    limit = find_limit(len(validation), ALARM)
    found = {}
    for name, make in DISTANCES.items():
        measure = make(train.astype(float))
        held = measure(validation.astype(float))
        for kind, features in seen.items():
            own = measure(features.astype(float))
            likeness = compute_likeness(own, held)
            if likeness is not None:
                flags = Novelty(own, likeness, np.full(len(own), limit)).is_unlike
                found[name, kind] = float(flags.mean())
    return found


Features = NDArray[np.float64]
Measure = Callable[[Features], Features]


def _by_deviations(train: Features) -> Measure:
    """Return the distance that the package takes."""
    reference = build_reference(train, n_neighbours=N_NEIGHBOURS)
    return lambda features: compute_distances(reference, features)


def _by_angle(train: Features) -> Measure:
    """Return the k-th neighbour's distance of features at length 1, as published."""

    def scale(features: Features) -> Features:
        return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)

    held = scale(train)

    def measure(features: Features) -> Features:
        gaps = np.linalg.norm(scale(features)[:, None] - held[None], axis=2)
        nearest: Features = np.sort(gaps, axis=1)[:, N_NEIGHBOURS - 1]
        return nearest

    return measure


def _by_covariance(train: Features) -> Measure:
    """Return Mahalanobis' distance from the mean, the covariance shrunk to a multiple of one."""
    mean, covariance = train.mean(axis=0), np.cov(train.T)
    size = len(mean)
    target = np.trace(covariance) / size * np.eye(size)
    inverse = np.linalg.inv((1 - SHRINKAGE) * covariance + SHRINKAGE * target)
    return lambda x: np.sqrt(np.einsum("np,pq,nq->n", x - mean, inverse, x - mean))


DISTANCES: dict[str, Callable[[Features], Measure]] = {
    "nearest, in deviations": _by_deviations,
    "nearest, at length 1": _by_angle,
    "Mahalanobis": _by_covariance,
}
FAULTS: dict[str, Callable[[Arrays, np.random.Generator], Arrays]] = {
    "noise alone": lambda x, rng: rng.random(x.shape, np.float32),
    "noise added": lambda x, rng: x + rng.normal(0, x.std(), x.shape).astype(np.float32),
    "grey values turned round": lambda x, _: x.max() + x.min() - x,
    "blank": lambda x, _: np.zeros_like(x),
    "1.6 times as bright": lambda x, _: 1.6 * x,
    "turned on its side": lambda x, _: np.flip(np.swapaxes(x, 2, 3), axis=2).copy(),
}


if __name__ == "__main__":
    main()
