"""The cohort's view of consistency: means over subjects with intervals, method by method."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np

from medvision.domain.record import JsonValue
from medvision.domain.resampling.bootstrap import compute_interval, draw_weights
from medvision.explain.consistency_rows import CascadePoint, Consistency
from medvision.explain.likeness import Likeness
from medvision.explain.names import EDGE
from medvision.explain.visits import NOISE_DRAWS, Bounds
from medvision.runtime.seeds import derive_seed

_Row = TypeVar("_Row", CascadePoint, Likeness)

CONFIDENCE = 0.95
N_RESAMPLES = 2000

NOTES = (
    "No threshold for these figures is grounded in the literature, so they are described and not "
    "judged: no verdict depends on them.",
    "SSIM compares the size of two maps without their sign; the rank correlation is Spearman's "
    "over all voxels, with the sign. 1 is the same map; unrelated maps have a rank correlation "
    "about 0, and the SSIM of other images' maps is the mark to hold an SSIM against.",
    "Networks of other folds had the image's subject among their training subjects, or among the "
    "validation subjects, unless the table says test: they are other networks, and not blind ones.",
    "The edge map and the random map know nothing of the network. Steadiness under noise that the "
    "edge map has too proves little; a map alike to the edge map may show the image.",
    "Intervals are percentiles of a bootstrap over subjects; of three subjects or four they are "
    "little more than the range.",
    "Maps are compared at reduced settings, the same for all; those of the agreement between "
    "methods and of another draw at full settings.",
)


@dataclass(frozen=True)
class Mean:
    """A mean over subjects, with its percentile interval; None where there is nothing."""

    mean: float | None
    low: float | None
    high: float | None
    n_subjects: int


def summarise_consistency(
    held: Consistency, *, bounds: Bounds, methods: Sequence[str], seed: int
) -> dict[str, JsonValue]:
    """Return the summary of cascade and stability.

    Args:
        held: Rows of both tables.
        bounds: How much was looked at again.
        methods: Methods in the order of the configuration.
        seed: Seed of the resamples.

    Returns:
        Plain JSON types: parameters, cascade, stability, agreement, notes.
    """
    steady = [name for name in (*methods, EDGE) if any(r.method == name for r in held.likenesses)]
    shown = [name for name in methods if any(row.method == name for row in held.cascade)]
    return {
        "parameters": {
            **asdict(bounds),
            "noise_draws": NOISE_DRAWS,
            "resamples": N_RESAMPLES,
            "confidence": CONFIDENCE,
        },
        "cascade": {name: _summarise_cascade(held.cascade, name, seed=seed) for name in shown},
        "stability": {name: _summarise_stability(held, name, seed=seed) for name in steady},
        "agreement": _summarise_agreement(held.likenesses, seed=seed),
        "notes": list(NOTES),
    }


def compute_mean(values: Sequence[tuple[str, float]], *, seed: int) -> Mean:
    """Return the mean of subjects' means, and its interval over subjects.

    Args:
        values: Subject and value; several of a subject count as one, their mean.
        seed: Seed of the resamples.

    Returns:
        No interval of fewer than two subjects.

    Source:
        Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x, as `draw_weights` has it.
    """
    subjects = list(dict.fromkeys(subject for subject, _ in values))
    if not subjects:
        return Mean(None, None, None, 0)
    means = np.array([np.mean([v for s, v in values if s == subject]) for subject in subjects])
    if len(subjects) < 2:
        return Mean(float(means[0]), None, None, 1)
    one = np.zeros(len(subjects), dtype=np.intp)
    parts = draw_weights(subjects, one, labels=one, n_resamples=N_RESAMPLES, seed=seed)
    replicates = np.concatenate([weights @ means / weights.sum(axis=1) for weights in parts])
    low, high = compute_interval(replicates, CONFIDENCE)
    return Mean(float(means.mean()), low, high, len(subjects))


def _summarise_cascade(points: Sequence[CascadePoint], method: str, *, seed: int) -> JsonValue:
    """Return the curve of one method, and in how many images its entropy rose."""
    own = [point for point in points if point.method == method]
    stages = sorted({point.stage for point in own})
    rises = _list_rises(own, last=stages[-1])
    curve: list[JsonValue] = []
    for stage in stages:
        at = [point for point in own if point.stage == stage]
        figures = {
            name: _mean_of(at, pick, seed=derive_seed(seed, "cascade", method, stage, name))
            for name, pick in _FIGURES.items()
        }
        layers = list(dict.fromkeys(point.layer for point in at))
        curve.append({"stage": stage, "layer": layers[0], "n_layers": at[0].n_layers, **figures})
    return {
        "n_images": len({point.image_id for point in own}),
        "curve": curve,
        "entropy_rises": {"n": len(rises), "n_rises": sum(rises)},
    }


def _list_rises(points: Sequence[CascadePoint], *, last: int) -> list[bool]:
    """Say of each image whether the entropy at the last stage is above that as trained."""
    ends = {
        (point.image_id, point.stage): point.entropy
        for point in points
        if point.stage in (0, last) and point.entropy is not None
    }
    return [
        ends[image, last] > entropy
        for (image, stage), entropy in ends.items()
        if stage == 0 and (image, last) in ends
    ]


_FIGURES: dict[str, Callable[[CascadePoint], float | None]] = {
    "ssim": lambda point: point.ssim,
    "rank_correlation": lambda point: point.rank_correlation,
    "entropy": lambda point: point.entropy,
}
_LIKENESS: dict[str, Callable[[Likeness], float | None]] = {
    "ssim": lambda row: row.ssim,
    "rank_correlation": lambda row: row.rank_correlation,
}


def _mean_of(rows: Sequence[_Row], pick: Callable[[_Row], float | None], *, seed: int) -> JsonValue:
    """Return the mean of one figure over those rows that have it, as JSON."""
    known = [(row.subject, value) for row in rows if (value := pick(row)) is not None]
    return asdict(compute_mean(known, seed=seed))


def _summarise_stability(held: Consistency, method: str, *, seed: int) -> JsonValue:
    """Return each comparison of one method but that with other methods."""
    own = [row for row in held.likenesses if row.method == method and row.comparison != "agreement"]
    return {
        name: _summarise_rows([row for row in own if row.comparison == name], seed=seed)
        for name in dict.fromkeys(row.comparison for row in own)
    }


def _summarise_rows(rows: Sequence[Likeness], *, seed: int) -> JsonValue:
    """Return the figures of some rows, how many there are, and why some have none."""
    first = rows[0]
    reasons = [row.reason for row in rows if row.reason]
    figures: dict[str, JsonValue] = {
        name: _mean_of(rows, pick, seed=derive_seed(seed, first.comparison, first.method, name))
        for name, pick in _LIKENESS.items()
    }
    if first.comparison == "other_image":
        # Neighbouring pairs share an image: a resample of subjects would not be one of pairs.
        figures = {name: _drop_interval(held) for name, held in figures.items()}
    splits = [row.split for row in rows if row.split]
    return {
        "n_maps": len(rows),
        "n_by_split": {split: splits.count(split) for split in sorted(set(splits))},
        "missing": {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)},
        **figures,
    }


def _drop_interval(held: JsonValue) -> JsonValue:
    """Return a mean without its interval."""
    return {**held, "low": None, "high": None} if isinstance(held, dict) else held


def _summarise_agreement(rows: Sequence[Likeness], *, seed: int) -> JsonValue:
    """Return the figures of each pair of methods."""
    own = [row for row in rows if row.comparison == "agreement"]
    pairs = list(dict.fromkeys((row.method, row.against) for row in own))
    found: list[JsonValue] = []
    for a, b in pairs:
        both = [row for row in own if (row.method, row.against) == (a, b)]
        figures = {
            name: _mean_of(both, pick, seed=derive_seed(seed, "agreement", a, b, name))
            for name, pick in _LIKENESS.items()
        }
        found.append({"methods": [a, b], "n_maps": len(both), **figures})
    return found
