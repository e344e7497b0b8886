"""Checks of planted networks: equal to the others, or worse by a share of what there is to lose."""

import numpy as np

from medvision.domain.synthesis.gauges import MIXED, PLAIN, SIGNS, Gauge
from medvision.domain.synthesis.sample import Rules

RULES = Rules(n_repeats=100, level=0.99, confidence=0.99, n_neighbours=3, similarity=0.9, seed=5)
METHODS = ("integrated_gradients", "layer_gradcam")
BLIND = {
    "deletion": 0.5,
    "insertion": 0.5,
    "weight_randomisation": 0.6,
    "class_sensitivity": 1.0,
    "relevance_mass": 0.1,
    "rank_accuracy": 0.1,
}
GAIN, NOISE, SUBJECTS = 0.4, 0.2, 0.1
"""Above chance; standard deviation of one network before one subject; of subjects."""


def draw_gauges(seed, *, n=24, n_plain=3, spread=0.0, loss=0.0, methods=METHODS, checks=(*SIGNS,)):
    """Draw networks that differ by `spread` (in shares of the gain), the mixed one worse by `loss`.

    Half of what moves a network is common to all checks, and half of what moves it before a
    subject; how far networks differ is another number for each check. Masks are of one class.
    """
    rng = np.random.default_rng(seed)
    pairs = [(method, check) for method in methods for check in checks]
    width = GAIN * spread * np.exp(rng.normal(0, 0.5, len(pairs)))
    whose = rng.normal(0, SUBJECTS, (n, len(pairs)))
    gauges = []
    for network, number in [(MIXED, 0), *((PLAIN, k) for k in range(n_plain))]:
        moved = width * (rng.normal() + rng.normal(size=len(pairs))) / np.sqrt(2)
        noise = NOISE * (rng.normal(size=(n, 1)) + rng.normal(size=whose.shape)) / np.sqrt(2)
        good = GAIN * (1 - loss * (network == MIXED)) + moved + noise + whose
        for subject in range(n):
            for place, (method, check) in enumerate(pairs):
                if check in ("relevance_mass", "rank_accuracy") and subject % 2:
                    continue
                value = BLIND[check] + SIGNS[check] * float(good[subject, place])
                gauges.append(
                    Gauge(
                        *(f"img-{subject:03d}", f"sub-{subject:03d}", "ab"[subject % 2]),
                        *(network, number, method, check, value, BLIND[check]),
                    )
                )
    return gauges
