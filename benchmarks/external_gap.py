"""How often the interval of internal minus external holds the truth, of two cohorts drawn alike."""

import argparse
import math
import time
from collections import Counter
from dataclasses import replace

import numpy as np
from coverage import CONFIDENCE, SETTINGS, draw, draw_sample

from medvision.domain.evaluation.estimate import Estimate
from medvision.domain.evaluation.external import Figures, build_gaps
from medvision.domain.resampling.draws import Drawn


def describe(drawn: Drawn) -> Figures:
    """Return the figures of one cohort as the evaluation would; their own ends are not asked."""
    estimates = [
        Estimate("arm", name, held.value, None, None, 0, 0, None, "", None)
        for name, held in drawn.arms["arm"].items()
    ]
    return Figures("", estimates, drawn)


def main() -> None:
    """Print the shares that are covered, with their standard error."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--subjects", type=int, nargs=2, default=[100, 60])
    options = parser.parse_args()
    rng, n_runs = np.random.default_rng(0), options.runs
    covered = Counter[str]()
    start = time.process_time()
    for run in range(n_runs):
        internal, external = (
            describe(
                draw(
                    draw_sample(rng, n),
                    replace(SETTINGS, seed=seed),
                    by_image=False,
                    holds_shares=False,
                )
            )
            for n, seed in zip(options.subjects, (2 * run, 2 * run + 1), strict=True)
        )
        for gap in build_gaps([internal], [external]):
            if gap.low is not None and gap.high is not None:
                covered[gap.metric] += gap.low <= 0 <= gap.high
    sizes = " and ".join(map(str, options.subjects))
    error = math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / n_runs)
    print(
        f"share of {n_runs} runs whose 95 % interval of the difference holds 0 (± {error:.3f}), "
        f"{sizes} subjects, {time.process_time() - start:.0f} CPU s:"
    )
    print("  " + ", ".join(f"{name} {n / n_runs:.3f}" for name, n in covered.items()))


if __name__ == "__main__":
    main()
