"""Calibration: bins of equal count, held against scikit-learn; Wilson against its table."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from medvision.domain.metrics.calibration import compute_calibration, compute_wilson

RNG = np.random.default_rng(4)


def calibrate(
    probabilities: np.ndarray, happened: np.ndarray, clusters: np.ndarray | None = None
) -> list:
    n = np.arange(len(probabilities))
    return compute_calibration(
        probabilities,
        happened,
        images=n,
        clusters=n if clusters is None else clusters,
        n_bins=5,
        confidence=0.95,
    )


def test_bins_are_scikit_learns_quantile_bins() -> None:
    probabilities = RNG.random(200)
    happened = RNG.random(200) < probabilities
    observed, predicted = calibration_curve(happened, probabilities, n_bins=5, strategy="quantile")
    bins = calibrate(probabilities, happened)
    np.testing.assert_allclose([each.observed for each in bins], observed)
    np.testing.assert_allclose([each.predicted for each in bins], predicted)
    assert [each.n for each in bins] == [40] * 5


def test_equal_probabilities_never_part() -> None:
    (only,) = calibrate(np.full(30, 0.3), np.arange(30) < 9)
    assert (only.n, only.observed, only.predicted) == (30, 0.3, pytest.approx(0.3))


def test_images_of_one_subject_do_not_narrow_the_interval() -> None:
    probabilities, happened = np.full(10, 0.5), np.arange(10) % 2 == 0
    (once,) = calibrate(probabilities, happened)
    (thrice,) = calibrate(
        np.repeat(probabilities, 3), np.repeat(happened, 3), clusters=np.repeat(np.arange(10), 3)
    )
    assert (thrice.low, thrice.high) == (once.low, once.high)
    assert (thrice.n, thrice.n_subjects) == (30, 10)


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    [(81 / 263, 263, 0.2553, 0.3662), (0.0, 20, 0.0, 0.1611), (1 / 29, 29, 0.0061, 0.1718)],
)
def test_wilson_reproduces_newcombes_examples(
    share: float, n: int, low: float, high: float
) -> None:
    """Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E."""
    assert compute_wilson(share, n, confidence=0.95) == pytest.approx((low, high), abs=5e-5)
