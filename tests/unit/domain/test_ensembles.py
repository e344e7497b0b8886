"""Ensembles in the evaluation: with repeats and inner trainings, paired, never the main arm."""

from dataclasses import replace

import numpy as np
import pytest
from predicted import SETTINGS, Row, draw_binary, make_rows

from medvision.domain.arms import ALL_SEEDS
from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.threshold import fit_threshold
from medvision.errors import DataError

N_IMAGES, SEEDS = 60, (0, 1, 2)


def draw(place: tuple[int, int, int], split: str) -> np.ndarray:
    """Log-odds of one network: what is known of an image, and noise of its own."""
    known, _, _ = draw_binary(N_IMAGES, seed=7 + (split == "validation"))
    noise = np.random.default_rng([*place, split == "test"]).normal(size=N_IMAGES)
    return np.array(known) + 2 * noise


def make_place(repeat: int, inner: int, *, arm: str = "transfer") -> list[Row]:
    """Rows of every seed and of their ensemble, of one repeat and one inner training."""
    rows: list[Row] = []
    for split in ("validation", "test"):
        _, labels, parts = draw_binary(N_IMAGES, seed=7 + (split == "validation"))
        parts = [(part + repeat * (n // 30)) % 3 for n, part in enumerate(parts)]
        singles = [draw((repeat, inner, seed), split) for seed in SEEDS]
        shares = np.mean([1 / (1 + np.exp(-odds)) for odds in singles], axis=0)
        pooled = np.log(shares / (1 - shares))
        for name, seed, odds in (
            *((arm, str(n), each) for n, each in zip(SEEDS, singles, strict=True)),
            (f"{arm}-ensemble", "all", pooled),
        ):
            own = make_rows(odds.tolist(), labels, folds=parts, split=split, arm=name)
            for row, part in zip(own, parts, strict=True):
                fold = (3 * repeat + part) * 2 + inner
                row |= {"seed": seed, "repeat": str(repeat), "inner": str(inner)}
                rows.append({**row, "part": str(3 * repeat + part), "fold": str(fold)})
    return rows


ROWS = [row for repeat in (0, 1) for inner in (0, 1) for row in make_place(repeat, inner)]


def evaluate(rows: list[Row]):
    return evaluate_predictions(
        rows,
        {},
        classes=Classes(("no", "yes"), "yes"),
        settings=replace(SETTINGS, n_resamples=300, calibration_bins=3),
        variables={},
    )


def find(result, arm: str, metric: str = "auc"):
    (found,) = [e for e in result.estimates if (e.arm, e.metric) == (arm, metric)]
    return found


RESULT = evaluate(ROWS)


def test_seeds_are_pooled_while_repeats_and_inner_trainings_stay_replicates() -> None:
    assert "mean over 3 seeds x 2 repeats x 2 trainings of each part" in (
        find(RESULT, "transfer").method
    )
    pooled = find(RESULT, "transfer-ensemble").method
    assert "mean over 2 repeats x 2 trainings of each part" in pooled
    assert "seeds" not in pooled
    assert (RESULT.seeds, RESULT.n_repeats, RESULT.n_inner) == (SEEDS, 2, 2)


def test_the_ensembles_figure_is_the_mean_of_those_of_its_places() -> None:
    alone = [
        find(
            evaluate([r for r in ROWS if (r["repeat"], r["inner"]) == (str(repeat), str(inner))]),
            "transfer-ensemble",
        ).value
        for repeat in (0, 1)
        for inner in (0, 1)
    ]
    assert find(RESULT, "transfer-ensemble").value == pytest.approx(np.mean(alone))


def test_an_ensemble_has_one_threshold_per_training_from_its_own_validation() -> None:
    own = [item for item in RESULT.thresholds if item.arm == "transfer-ensemble"]
    assert sorted(item.fold for item in own) == list(range(12))
    assert {item.seed for item in own} == {ALL_SEEDS}
    for item in own:
        rows = [
            row
            for row in ROWS
            if (row["arm"], row["split"], row["fold"])
            == ("transfer-ensemble", "validation", str(item.fold))
        ]
        wanted = fit_threshold(
            np.array([float(row["probability_yes"]) for row in rows]),
            np.array([row["label"] == "yes" for row in rows]),
        )
        assert item.threshold == wanted


def test_the_ensemble_is_compared_with_the_mean_of_its_networks_on_the_same_resamples() -> None:
    (auc,) = [item for item in RESULT.differences if item.metric == "auc"]
    assert (auc.arm_a, auc.arm_b) == ("transfer-ensemble", "transfer")
    pooled, singles = find(RESULT, "transfer-ensemble"), find(RESULT, "transfer")
    assert auc.difference == pytest.approx(pooled.value - singles.value)
    assert auc.difference > 0
    assert auc.high - auc.low < pooled.high - pooled.low


def test_brier_of_the_ensemble_is_never_above_the_mean_of_its_networks() -> None:
    """Jensen's inequality, image by image."""
    pooled, singles = (find(RESULT, arm, "brier") for arm in ("transfer-ensemble", "transfer"))
    assert pooled.value < singles.value


def test_a_better_ensemble_is_not_the_main_arm() -> None:
    assert next(iter(RESULT.curves)) == "transfer"


def test_the_single_networks_figures_do_not_move_when_an_ensemble_is_added() -> None:
    alone = evaluate([row for row in ROWS if row["seed"] != "all"])
    assert [e for e in RESULT.estimates if e.arm == "transfer"] == list(alone.estimates)


def test_ensembles_of_two_arms_must_have_the_same_rounds() -> None:
    other = make_place(0, 0, arm="scratch")
    missing = [row for row in ROWS if (row["repeat"], row["inner"]) == ("0", "0")]
    evaluate([*missing, *other])
    with pytest.raises(DataError, match="same seeds"):
        evaluate([*ROWS, *other])
