"""A scorecard as `compare` writes it, computed from drawn predictions without any training."""

import json

import numpy as np

from medvision.cli.compare import _describe
from medvision.domain.labels.rows import Classes
from medvision.domain.prediction import Predictions, Round
from medvision.domain.scorecard.cells import Cell
from medvision.domain.scorecard.compare import compute_scorecard

CLASSES = Classes(("healthy", "nodule"), "nodule")
FRACTIONS, SIZES = (0.1, 0.25, 0.5, 1.0), (5.0, 12.0, 24.0, 48.3)
STRENGTHS = {
    "scratch": (0.1, 0.4, 0.9, 1.6),
    "pretrain-linear": (0.9, 1.1, 1.2, 1.2),
    "pretrain-full": (0.8, 1.5, 1.9, 2.2),
    "path-0123456789ab-full": (0.1, 0.5, 0.8, 1.7),
}
BLOCKS = ("features.norm0", "features.transition1", "features.norm5")


def compute_card(*, n_seeds: int = 5, n_subjects: int = 72, arms=tuple(STRENGTHS), n_resamples=300):
    """Return the statistics of drawn predictions."""
    cells = [
        Cell(arm, fraction, size, draw(strength, place, n_seeds=n_seeds, n=n_subjects))
        for place, arm in enumerate(arms)
        for fraction, size, strength in zip(FRACTIONS, SIZES, STRENGTHS[arm], strict=True)
    ]
    how = {"n_resamples": n_resamples, "confidence": 0.95, "seed": 3}
    return compute_scorecard(cells, {}, classes=CLASSES, **how)


def make_scorecard(*, n_seeds: int = 5, arms=tuple(STRENGTHS)):
    """Return the content of `compare/scorecard.json`."""
    card = compute_card(n_seeds=n_seeds, arms=arms)
    trainings = [
        {"fold": str(fold), "fraction": f"{fraction:g}", "is_exceeded": "false"}
        for fold in range(3)
        for _ in range(n_seeds * len(arms))
        for fraction in FRACTIONS
    ]
    summaries = [
        {"arm": arm, "policy": arm.rpartition("-")[2] if "-" in arm else "full"}
        | {"network_form": None}
        for arm in arms
    ]
    tables = {"trainings": trainings, "cka": _draw_similarity(arms, n_seeds)}
    facts = _describe(card, tables, classes=CLASSES, summaries=summaries)
    return json.loads(json.dumps(facts))


def draw(strength: float, place: int, *, n_seeds: int = 5, n: int = 72, noise: float = 0.6):
    """Return what networks of one kind said of the same subjects.

    Args:
        strength: How much of the label they saw.
        place: Number of their kind: others draw otherwise.
        n_seeds: Networks.
        n: Subjects.
        noise: How much each differs from the others.
    """
    labels = np.arange(n) % 2
    common = np.random.default_rng(9).normal(size=n)
    rounds = {}
    for seed in range(n_seeds):
        own = np.random.default_rng([place, seed, int(100 * strength)]).normal(size=n)
        score = strength * labels + 0.8 * common + noise * own
        rounds[Round(0, 0, seed)] = Predictions(
            image_ids=tuple(f"img-{k:03d}" for k in range(n)),
            subjects=tuple(f"sub-{k:03d}" for k in range(n)),
            trainings=(np.arange(n) // 2 % 3).astype(np.intp),
            folds=(np.arange(n) // 2 % 3).astype(np.intp),
            labels=labels.astype(np.intp),
            probabilities=np.full((n, 2), 0.5),
            scores=np.column_stack([-score, score]),
        )
    return rounds


def _draw_similarity(arms, n_seeds: int):
    moved = {"linear": (1, 1, 1), "full": (0.97, 0.85, 0.5)}
    return [
        {
            "arm": arm,
            "block": str(block),
            "layer": layer,
            "cka": str(values[block - 1] - 0.02 * seed * (values[block - 1] < 1)),
            "cka_debiased": str(values[block - 1] - 0.1 * (values[block - 1] < 1)),
            "n_images": str(14 + seed % 2),
        }
        for arm in arms
        for values in [moved.get(arm.rpartition("-")[2], (0.8, 0.5, 0.3))]
        for seed in range(n_seeds)
        for block, layer in enumerate(BLOCKS, 1)
    ]
