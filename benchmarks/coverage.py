"""How often a 95 % interval holds the truth, with several images a subject, in one run."""

import argparse
import math
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medvision.domain.metrics.miscalibration import compute_calibration_intercept
from medvision.domain.metrics.outcomes import compute_predictive_values
from medvision.domain.metrics.weighted import Replicates, compute_auc, compute_mean
from medvision.domain.resampling.bootstrap import Weights
from medvision.domain.resampling.draws import Drawn, draw_statistics, find_ends, join_drawn
from medvision.domain.resampling.settings import Settings

AUC, SHARE, WITHIN, CONFIDENCE = 0.90, 0.3, 0.5, 0.95
DISTANCE = 1.812388
"""Of two normals of deviation 1 whose AUC is 0.90."""

SETTINGS = Settings(
    n_resamples=2000,
    interval="bca",
    confidence=CONFIDENCE,
    seed=0,
    calibration_bins=5,
    operating_point="youden",
    operating_target=0.9,
    miss_cost=1.0,
    prevalence=None,
    subgroups=(),
    smallest_subgroup=20,
)
WAYS = (
    "by subject, BCa",
    "by subject, percentile",
    "by subject, BCa, shares of the classes held",
    "by image, percentile",
)


@dataclass(frozen=True)
class Sample:
    """Images of subjects with one to five images each, alike within a subject."""

    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]
    odds: NDArray[np.float64]
    losses: NDArray[np.float64]
    subjects: NDArray[np.intp]


def draw_sample(rng: np.random.Generator, n_subjects: int) -> Sample:
    """Draw subjects as they come, SHARE of them positive, half a score's variance between them."""
    ill = rng.random(n_subjects) < SHARE
    subjects = np.repeat(np.arange(n_subjects), rng.integers(1, 6, n_subjects))
    noise = math.sqrt(WITHIN) * rng.normal(size=len(subjects))
    scores = (math.sqrt(1 - WITHIN) * rng.normal(size=n_subjects))[subjects] + noise
    positive = ill[subjects]
    scores = scores + DISTANCE * positive
    odds = DISTANCE * (scores - DISTANCE / 2) + math.log(SHARE / (1 - SHARE))
    losses = np.logaddexp(0, np.where(positive, -odds, odds))
    return Sample(scores, positive, odds, losses, subjects)


def compute_area(sample: Sample, weights: Weights) -> dict[str, Replicates]:
    """Compute what owes nothing to the share of positives."""
    folds = np.zeros(len(sample.scores), dtype=np.intp)
    return {"AUC": compute_auc(sample.scores, sample.positive, folds=folds, weights=weights)}


def compute_rest(sample: Sample, weights: Weights) -> dict[str, Replicates]:
    """Compute what does."""
    everyone = np.ones(len(sample.scores), dtype=bool)
    told = sample.odds >= 0
    values = compute_predictive_values(told, sample.positive, weights=weights, prevalence=None)
    return {
        "log loss": compute_mean(sample.losses, everyone, weights=weights),
        "positive predictive value": values[0],
        "calibration intercept": compute_calibration_intercept(
            sample.odds, sample.positive, weights=weights
        ),
    }


def draw(sample: Sample, settings: Settings, *, by_image: bool, holds_shares: bool) -> Drawn:
    """Resample subjects, or images as if each were a subject of its own."""
    n_images, classes = len(sample.scores), sample.positive.astype(np.intp)
    clusters = np.arange(n_images) if by_image else sample.subjects
    folds = np.zeros(n_images, dtype=np.intp)
    computed = {compute_area: classes, compute_rest: classes if holds_shares else folds}
    parts = [
        draw_statistics(
            {"arm": partial(compute, sample)},
            clusters,
            folds=folds,
            labels=labels,
            settings=replace(settings, interval="percentile") if by_image else settings,
        )
        for compute, labels in computed.items()
    ]
    return join_drawn(parts, order=[name for part in parts for name in part.arms["arm"]])


def count_covered(
    n_subjects: int, n_runs: int, *, truth: dict[str, float], ways: tuple[str, ...]
) -> Counter[tuple[str, str]]:
    """Count the runs whose interval holds the truth, by way and figure; the first ways of WAYS."""
    rng, covered = np.random.default_rng(n_subjects), Counter[tuple[str, str]]()
    for run in range(n_runs):
        sample = draw_sample(rng, n_subjects)
        settings = replace(SETTINGS, seed=run)
        by_subject = draw(sample, settings, by_image=False, holds_shares=False)
        drawn = [by_subject, replace(by_subject, interval="percentile")]
        if len(ways) > len(drawn):
            drawn.append(draw(sample, settings, by_image=False, holds_shares=True))
            drawn.append(draw(sample, settings, by_image=True, holds_shares=False))
        for way, held in zip(ways, drawn, strict=True):
            for name, draws in held.arms["arm"].items():
                low, high, _ = find_ends(draws, held)
                covered[way, name] += low <= truth[name] <= high
    return covered


def main() -> None:
    """Print the shares that are covered, with their standard error."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--subjects", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--quick", action="store_true", help="leave out what is not ours")
    options = parser.parse_args()
    n_runs, ways = options.runs, WAYS[:2] if options.quick else WAYS
    large = draw_sample(np.random.default_rng(0), 2_000_000)
    # The loss of all images is that of the subjects: how many images one has says nothing.
    rest = compute_rest(large, np.ones((1, len(large.scores))))
    truth = {"AUC": AUC} | {name: float(value[0]) for name, value in rest.items()}
    error = math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / n_runs)
    print(f"share of {n_runs} runs whose 95 % interval holds the truth (± {error:.3f}):")
    for n_subjects in options.subjects:
        start = time.process_time()
        covered = count_covered(n_subjects, n_runs, truth=truth, ways=ways)
        print(f"{n_subjects} subjects, {time.process_time() - start:.0f} CPU s")
        for way in ways:
            shares = (f"{name} {covered[way, name] / n_runs:.3f}" for name in truth)
            print(f"  {way}: {', '.join(shares)}")


if __name__ == "__main__":
    main()
