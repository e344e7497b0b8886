"""How often the intervals of abstention hold the truth, and how often a blind order is called good.

Images and subjects are those of coverage.py. Once they are ordered by the distance from the
threshold, and once by a number that has nothing to do with errors but is alike within a subject.
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from coverage import CONFIDENCE, SETTINGS, Sample, draw_sample

from medvision.domain.evaluation.abstention_ends import judge_order
from medvision.domain.metrics.selective import COVERAGES, compute_risk_curve, sort_images
from medvision.domain.metrics.weighted import Replicates, Scalars
from medvision.domain.resampling.bootstrap import Weights
from medvision.domain.resampling.draws import draw_statistics, find_ends

GAIN, PAIRS, HALF = "gain", "right above wrong", COVERAGES.index(0.5)
BETTER, WORSE = (0.6, 0.7), (0.3, 0.4)
"""Pairs that leave the verdict to the gain."""

ORDERS = ("by the distance from the threshold", "by nothing")


def order_images(sample: Sample, order: str, rng: np.random.Generator) -> Scalars:
    """Return the certainty of each image."""
    if order == ORDERS[0]:
        return np.abs(sample.odds)
    drawn = rng.normal(size=int(sample.subjects.max()) + 1)[sample.subjects]
    blind: Scalars = drawn + rng.normal(size=len(sample.odds))
    return blind


def make_statistics(
    sample: Sample, certainty: Scalars
) -> Callable[[Weights], dict[str, Replicates]]:
    """Return what computes the figures of one order."""
    wrong = (sample.odds >= 0) != sample.positive
    orders = sort_images(certainty, wrong, folds=np.zeros(len(wrong), dtype=np.intp))

    def compute(weights: Weights) -> dict[str, Replicates]:
        curve = compute_risk_curve(orders, weights)
        return {
            "error rate": curve.error_rate,
            "of the half kept": curve.risks[HALF],
            "area": curve.aurc,
            GAIN: curve.error_rate - curve.aurc,
            "generalised area": curve.augrc,
            PAIRS: curve.error_auc,
        }

    return compute


def count_covered(
    n_subjects: int, n_runs: int, *, order: str, truth: dict[str, float]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Count the runs whose interval holds the truth by figure, the verdicts, and the gain's own."""
    rng = np.random.default_rng(n_subjects)
    covered, verdicts, alone = Counter[str](), Counter[str](), Counter[str]()
    for run in range(n_runs):
        sample = draw_sample(rng, n_subjects)
        nothing = np.zeros(len(sample.odds), dtype=np.intp)
        drawn = draw_statistics(
            {"arm": make_statistics(sample, order_images(sample, order, rng))},
            sample.subjects,
            folds=nothing,
            labels=nothing,
            settings=replace(SETTINGS, seed=run),
        )
        ends: dict[str, tuple[float, float]] = {}
        for name, draws in drawn.arms["arm"].items():
            low, high, _ = find_ends(draws, drawn)
            covered[name] += low <= truth[name] <= high
            ends[name] = low, high
        verdicts[judge_order(ends[GAIN], ends[PAIRS])] += 1
        alone[judge_order(ends[GAIN], BETTER if ends[GAIN][0] > 0 else WORSE)] += 1
    return covered, verdicts, alone


def main() -> None:
    """Print the shares that are covered, and those of the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--subjects", type=int, nargs="+", default=[100, 1000])
    options = parser.parse_args()
    n_runs = options.runs
    rng = np.random.default_rng(0)
    large = draw_sample(rng, 500_000)
    error = math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / n_runs)
    print(f"share of {n_runs} runs whose 95 % interval holds the truth (± {error:.3f}):")
    for order in ORDERS:
        compute = make_statistics(large, order_images(large, order, rng))
        whole = compute(np.ones((1, len(large.odds))))
        truth = {name: float(value[0]) for name, value in whole.items()}
        for n_subjects in options.subjects:
            start = time.process_time()
            covered, *judged = count_covered(n_subjects, n_runs, order=order, truth=truth)
            seconds = time.process_time() - start
            print(f"{order}, {n_subjects} subjects, {seconds:.0f} CPU s")
            print("  " + ", ".join(f"{name} {covered[name] / n_runs:.3f}" for name in truth))
            for by, held in zip(("both", "the gain alone"), judged, strict=True):
                told = "; ".join(f"{text}: {n / n_runs:.3f}" for text, n in held.items())
                print(f"  by {by}: {told}")


if __name__ == "__main__":
    main()
