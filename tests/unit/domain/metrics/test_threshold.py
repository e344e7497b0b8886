"""The operating point: by rule on validation, ties by rule, no silent fallback."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from medvision.domain.metrics.threshold import OperatingRule, fit_threshold


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


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.4
    return (1 / (1 + np.exp(-rng.normal(size=60) - positive))).round(2), positive


def rates(probabilities: np.ndarray, positive: np.ndarray, limit: float) -> tuple[float, float]:
    told = probabilities >= limit
    return float(told[positive].mean()), float((~told)[~positive].mean())


LIMITS = (0.0, *np.linspace(0, 1, 2001), 1.1)


@pytest.mark.parametrize("target", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("kind", ["sensitivity", "specificity"])
def test_a_target_is_reached_at_the_least_price_of_all_limits(kind: str, target: float) -> None:
    for seed in range(10):
        probabilities, positive = draw(seed)
        rule = OperatingRule(kind, target=target, miss_cost=1.0, prevalence=None)
        fitted = fit_threshold(probabilities, positive, rule=rule)
        assert fitted.rule == f"{kind} of at least {target:g}"
        side = ("sensitivity", "specificity").index(kind)
        every = [rates(probabilities, positive, limit) for limit in LIMITS]
        best = max(pair[1 - side] for pair in every if pair[side] >= target)
        found = rates(probabilities, positive, fitted.value)
        assert found[side] >= target
        assert found[1 - side] == best


@pytest.mark.parametrize("prevalence", [None, 0.05])
@pytest.mark.parametrize("miss_cost", [0.2, 1.0, 5.0, 1000.0])
def test_no_limit_costs_less_than_the_cheapest(miss_cost: float, prevalence: float | None) -> None:
    for seed in range(10):
        probabilities, positive = draw(seed)
        share = positive.mean() if prevalence is None else prevalence

        def cost(limit: float, share=share, held=(probabilities, positive)) -> float:
            sensitivity, specificity = rates(*held, limit)
            return miss_cost * share * (1 - sensitivity) + (1 - share) * (1 - specificity)

        rule = OperatingRule("cost", target=0.5, miss_cost=miss_cost, prevalence=prevalence)
        fitted = fit_threshold(probabilities, positive, rule=rule)
        assert cost(fitted.value) == pytest.approx(min(cost(limit) for limit in LIMITS))
        assert f"a miss costs {miss_cost:g} false alarms" in fitted.rule


def test_where_only_certainty_reaches_a_specificity_none_is_predicted_positive() -> None:
    rule = OperatingRule("specificity", target=0.99, miss_cost=1.0, prevalence=None)
    fitted = fit_threshold(np.array([0.2, 0.4, 1.0]), flags("+--"), rule=rule)
    assert 1.0 < fitted.value < 1.0001
    assert float(f"{fitted.value:.9g}") > 1.0
