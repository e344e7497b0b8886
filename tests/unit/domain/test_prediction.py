"""Predictions: what is read, and what is refused with its reason."""

import numpy as np
import pytest
from predicted import make_rows

from medvision.domain.prediction import Round, build_predictions, check_same_images, compute_scores
from medvision.errors import DataError

CLASSES = ("no", "yes")


def test_rows_are_gathered_by_arm_seed_and_split_in_order_of_images() -> None:
    rows = make_rows([0.5, -1.0, 2.0], ["yes", "no", "yes"], folds=[1, 0, 0])
    held = build_predictions(rows[::-1], CLASSES)
    each = held["transfer", Round(0, 0, 0), "test"]
    assert each.image_ids == ("test-0000", "test-0001", "test-0002")
    assert each.folds.tolist() == [1, 0, 0]
    assert each.labels.tolist() == [1, 0, 1]
    np.testing.assert_allclose(each.scores[:, 1], [0.5, -1.0, 2.0])


def test_log_odds_order_what_saturated_probabilities_cannot() -> None:
    rows = make_rows([60.0, 50.0], ["yes", "no"])
    each = build_predictions(rows, CLASSES)["transfer", Round(0, 0, 0), "test"]
    assert each.probabilities[0, 1] == each.probabilities[1, 1] == 1.0
    assert each.scores[0, 1] > each.scores[1, 1]


def test_log_odds_are_those_of_the_softmax() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 4)) * 3
    powers = np.exp(logits)
    p = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(compute_scores(logits), np.log(p / (1 - p)), atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probability_yes": "nan"}, "must be finite"),
        ({"logit_yes": "inf"}, "must be finite"),
        ({"probability_yes": "high"}, "must be a number"),
        ({"probability_yes": "0.9"}, "must be 0 to 1 and sum to 1"),
        ({"label": "maybe"}, r"must be a class of the cohort \(no, yes\), got maybe"),
        ({"image_id": "test-0001"}, "must be predicted once"),
    ],
)
def test_a_wrong_row_is_refused(change: dict[str, str], message: str) -> None:
    rows = make_rows([0.1, 0.2], ["yes", "no"])
    with pytest.raises(DataError, match=message):
        build_predictions([rows[0] | change, rows[1]], CLASSES)


def test_a_missing_column_is_named() -> None:
    rows = [{k: v for k, v in row.items() if k != "logit_no"} for row in make_rows([1.0], ["no"])]
    with pytest.raises(DataError, match="column logit_no must be present"):
        build_predictions(rows, CLASSES)


def test_arms_on_different_images_cannot_be_compared() -> None:
    first = build_predictions(make_rows([1.0, 0.0], ["yes", "no"]), CLASSES)
    second = build_predictions(make_rows([1.0], ["yes"]), CLASSES)
    with pytest.raises(DataError, match="must predict the same test images"):
        check_same_images([*first.values(), *second.values()])
