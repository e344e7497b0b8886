"""The operating point: Youden's index on validation, ties by rule, no silent fallback."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from medvision.domain.threshold import fit_threshold


def flags(text: str) -> np.ndarray:
    return np.array([letter == "+" for letter in text])


def youden(probabilities: np.ndarray, positive: np.ndarray, threshold: float) -> float:
    predicted = probabilities >= threshold
    return float(predicted[positive].mean() - predicted[~positive].mean())


def test_the_threshold_reaches_scikit_learns_best_index() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        positive = rng.random(60) < 0.4
        probabilities = (1 / (1 + np.exp(-rng.normal(size=60) - positive))).round(2)
        false, true, _ = roc_curve(positive, probabilities)
        fitted = fit_threshold(probabilities, positive)
        assert fitted.rule == "Youden"
        assert youden(probabilities, positive, fitted.value) == pytest.approx(max(true - false))


def test_perfect_separation_is_cut_in_the_middle() -> None:
    assert fit_threshold(np.array([0.1, 0.2, 0.8, 0.9]), flags("--++")).value == 0.5


def test_of_equal_indices_the_nearest_to_one_half_is_taken() -> None:
    """0.15, between the first two, and 0.75, between the last two, are equally good."""
    fitted = fit_threshold(np.array([0.1, 0.2, 0.7, 0.8]), flags("-+-+"))
    assert fitted.value == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("probabilities", "positive", "rule"),
    [
        ([0.2, 0.3], "++", "one class"),
        ([0.3, 0.3, 0.3], "+-+", "constant"),
        ([0.9, 0.1], "-+", "no validation threshold is better than chance"),
    ],
)
def test_where_nothing_can_be_fitted_it_is_one_half_and_says_why(
    probabilities: list[float], positive: str, rule: str
) -> None:
    fitted = fit_threshold(np.array(probabilities), flags(positive))
    assert fitted.value == 0.5
    assert rule in fitted.rule


def test_nine_digits_reproduce_the_decision_even_in_a_narrow_gap() -> None:
    low, high = 0.123456789, 0.12345679
    fitted = fit_threshold(np.array([low, high]), flags("-+"))
    written = float(f"{fitted.value:.9g}")
    assert low < written <= high
