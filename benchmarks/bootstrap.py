"""The clustered bootstrap of the AUC against a plain loop over scikit-learn, in one run.

Then a whole evaluation of the same predictions: every figure, by percentiles and by BCa.
"""

import time

import numpy as np
from sklearn.metrics import roc_auc_score

from medvision.domain.evaluation.estimate import build_estimates, resample
from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.metrics.weighted import Flags, Scalars, compute_auc
from medvision.domain.prediction import Indices, Predictions
from medvision.domain.resampling.bootstrap import compute_interval, draw_weights
from medvision.domain.resampling.settings import Interval, Settings

N_IMAGES, N_SUBJECTS, N_RESAMPLES, N_PLAIN = 10_000, 4_000, 2_000, 50


def main() -> None:
    """Time both on the same predictions; the plain loop is timed on a part and scaled up."""
    rng = np.random.default_rng(0)
    subjects = rng.integers(0, N_SUBJECTS, N_IMAGES)
    positive = rng.random(N_SUBJECTS)[subjects] < 0.3
    scores = rng.normal(positive.astype(float), 1.0)
    folds = np.zeros(N_IMAGES, dtype=np.intp)

    start = time.process_time()
    replicates = [
        compute_auc(scores, positive, folds=folds, weights=weights)
        for weights in draw_weights(
            [str(subject) for subject in subjects],
            folds,
            labels=positive.astype(np.intp),
            n_resamples=N_RESAMPLES,
            seed=1,
        )
    ]
    ours = time.process_time() - start

    images_of = [np.flatnonzero(subjects == subject) for subject in range(N_SUBJECTS)]
    start = time.process_time()
    for _ in range(N_PLAIN):
        drawn = rng.integers(0, N_SUBJECTS, N_SUBJECTS)
        rows = np.concatenate([images_of[subject] for subject in drawn])
        roc_auc_score(positive[rows], scores[rows])
    plain = (time.process_time() - start) * N_RESAMPLES / N_PLAIN

    low, high = compute_interval(np.concatenate(replicates), 0.95)
    print(f"{N_RESAMPLES} resamples of {N_IMAGES} images, {N_SUBJECTS} subjects, CPU seconds:")
    print(f"  medvision {ours:.1f} (interval {low:.3f} to {high:.3f})")
    print(f"  loop over scikit-learn {plain:.1f} ({N_PLAIN} timed), ratio {plain / ours:.1f}")
    arm = make_arm(scores, positive, subjects=subjects.astype(np.intp))
    kinds: tuple[Interval, ...] = ("percentile", "bca")
    for kind in kinds:
        n_figures, seconds = time_evaluation(arm, kind)
        print(f"  all {n_figures} figures, {kind} {seconds:.1f}")


def make_arm(scores: Scalars, positive: Flags, *, subjects: Indices) -> ArmTest:
    """Return the scores as the test predictions of one arm."""
    n = len(scores)
    nothing, labels = np.zeros(n, dtype=np.intp), positive.astype(np.intp)
    shares = 1 / (1 + np.exp(-scores))
    predictions = Predictions(
        image_ids=tuple(str(number) for number in range(n)),
        subjects=tuple(str(subject) for subject in subjects),
        trainings=nothing,
        folds=nothing,
        labels=labels,
        probabilities=np.stack([1 - shares, shares], axis=1),
        scores=np.stack([-scores, scores], axis=1),
    )
    return ArmTest(
        rounds=(predictions,),
        predicted=((shares > 0.5).astype(np.intp),),
        classes=("no", "yes"),
        positive=1,
        clusters=subjects,
        operating="at 0.5",
        counted="",
        seeds=(0,),
    )


def time_evaluation(arm: ArmTest, kind: Interval) -> tuple[int, float]:
    """Return the number of figures and the CPU seconds of all of them with their intervals."""
    settings = Settings(
        n_resamples=N_RESAMPLES,
        interval=kind,
        confidence=0.95,
        seed=1,
        calibration_bins=5,
        operating_point="youden",
        operating_target=0.9,
        miss_cost=1.0,
        prevalence=None,
        subgroups=(),
        smallest_subgroup=20,
    )
    start = time.process_time()
    estimates = build_estimates(resample({"arm": arm}, settings))
    return len(estimates), time.process_time() - start


if __name__ == "__main__":
    main()
