"""Rows of predictions.tsv made from scores, for tests of statistics."""

from collections.abc import Sequence

import numpy as np

from medvision.domain.resampling.settings import Settings

Row = dict[str, str]


SETTINGS = Settings(
    n_resamples=200,
    interval="bca",
    confidence=0.95,
    seed=3,
    calibration_bins=5,
    operating_point="youden",
    operating_target=0.9,
    miss_cost=1.0,
    prevalence=None,
    subgroups=(),
    smallest_subgroup=20,
)


def make_rows(
    log_odds: Sequence[float],
    labels: Sequence[str],
    *,
    folds: Sequence[int] | None = None,
    subjects: Sequence[str] | None = None,
    split: str = "test",
    arm: str = "transfer",
    seed: int = 0,
) -> list[Row]:
    """Return one row per image of two classes, no (negative) and yes (positive)."""
    rows = []
    for n, (odds, label) in enumerate(zip(log_odds, labels, strict=True)):
        probability = 1 / (1 + np.exp(-odds))
        rows.append(
            {
                "arm": arm,
                "fold": str(folds[n] if folds else 0),
                "repeat": "0",
                "part": str(folds[n] if folds else 0),
                "inner": "0",
                "seed": str(seed),
                "split": split,
                "image_id": f"{split}-{n:04d}",
                "subject": subjects[n] if subjects else f"{split}-subject-{n:04d}",
                "label": label,
                "predicted": "",
                "logit_no": "0",
                "logit_yes": f"{odds:.9g}",
                "probability_no": f"{1 - probability:.9g}",
                "probability_yes": f"{probability:.9g}",
            }
        )
    return rows


def make_multiclass_rows(logits: np.ndarray, labels: Sequence[str], *, split: str) -> list[Row]:
    """Return one row per image of three classes a, b and c; logits (N, 3)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    rows = []
    for n, label in enumerate(labels):
        row = {
            "arm": "transfer",
            "fold": "0",
            "repeat": "0",
            "part": "0",
            "inner": "0",
            "seed": "0",
            "split": split,
            "image_id": f"{split}-{n:04d}",
            "subject": f"{split}-subject-{n:04d}",
            "label": label,
            "predicted": "",
        }
        for index, name in enumerate("abc"):
            row[f"logit_{name}"] = f"{logits[n, index]:.9g}"
            row[f"probability_{name}"] = f"{probabilities[n, index]:.9g}"
        rows.append(row)
    return rows


def draw_binary(
    n_images: int, *, seed: int, effect: float = 1.0, n_folds: int = 3
) -> tuple[list[float], list[str], list[int]]:
    """Draw log-odds, labels and folds; positives score higher by twice `effect`."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n_images) < 0.4
    scores = rng.normal(size=n_images) + effect * (2 * positive - 1)
    return (
        scores.round(6).tolist(),
        ["yes" if flag else "no" for flag in positive],
        (np.arange(n_images) % n_folds).tolist(),
    )
