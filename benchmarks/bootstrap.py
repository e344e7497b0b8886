"""The clustered bootstrap of the AUC against a plain loop over scikit-learn, in one run."""

import time

import numpy as np
from sklearn.metrics import roc_auc_score

from medvision.domain.bootstrap import compute_interval, draw_weights
from medvision.domain.metrics import compute_auc

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


if __name__ == "__main__":
    main()
