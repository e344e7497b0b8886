"""Every figure that an evaluation gives is held against scikit-learn or a plain computation.

A figure without an oracle fails here: the oracles must name exactly what is given.
"""

from dataclasses import replace

import numpy as np
import pytest
from predicted import SETTINGS, make_multiclass_rows, make_rows
from scipy.optimize import minimize
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)

from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.evaluation.macro import MACRO
from medvision.domain.evaluation.multilabel import evaluate_findings
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.delong import compute_placements, compute_variance

N_IMAGES = 90


def share(odds):
    return 1 / (1 + np.exp(-odds))


def bin_error(shares, happened, n_bins):
    """Equal counts, one image after another."""
    edges = [np.quantile(shares, n / n_bins) for n in range(1, n_bins)]
    places = [sum(edge <= value for edge in edges) for value in shares]
    total = 0.0
    for place in set(places):
        own = [n for n, held in enumerate(places) if held == place]
        total += abs(sum(shares[n] - happened[n] for n in own))
    return total / len(shares)


def fit_logistic(odds, truth, *, free):
    """Maximise the likelihood of (intercept, slope), the slope held at 1 where it is not free."""

    def loss(at):
        moved = at[0] + (at[1] if free else 1.0) * odds
        return np.logaddexp(0, np.where(truth, -moved, moved)).sum()

    return minimize(loss, [0.0, 1.0], method="Nelder-Mead", options={"fatol": 1e-12}).x


def oracle_of_class(inside, scores, told):
    return {
        "auc": roc_auc_score(inside, scores),
        "average_precision": average_precision_score(inside, scores),
        "sensitivity": recall_score(inside, told),
        "specificity": recall_score(~inside, ~told),
        "ppv": precision_score(inside, told),
        "npv": precision_score(~inside, ~told),
        "f1": f1_score(inside, told),
    }


def oracle_of_two(odds, truth, limit):
    shares = share(odds)
    told = shares >= limit
    return oracle_of_class(truth, odds, told) | {
        "balanced_accuracy": balanced_accuracy_score(truth, told),
        "mcc": matthews_corrcoef(truth, told),
        "brier": brier_score_loss(truth, shares),
        "log_loss": log_loss(truth, shares),
        "ece": bin_error(shares, truth, SETTINGS.calibration_bins),
        "calibration_slope": fit_logistic(odds, truth, free=True)[1],
        "calibration_intercept": fit_logistic(odds, truth, free=False)[0],
    }


def draw_two(seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random(N_IMAGES) < 0.4
    return (rng.normal(size=N_IMAGES) + 1.5 * truth - 0.9).round(6), truth


def to_rows(odds, truth, split):
    return make_rows(odds.tolist(), ["yes" if held else "no" for held in truth], split=split)


def compare(estimates, wanted):
    found = {item.metric: item.value for item in estimates}
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        rel = 1e-4 if name.startswith("calibration_") else 1e-6
        assert found[name] == pytest.approx(value, rel=rel, abs=1e-7), name


def test_every_figure_of_two_classes_is_its_oracles():
    odds, truth = draw_two()
    rows = [*to_rows(odds, truth, "test"), *to_rows(*draw_two(1), "validation")]
    result = evaluate_predictions(
        rows, {}, classes=Classes(("no", "yes"), "yes"), settings=SETTINGS, variables={}
    )
    limit = result.thresholds[0].threshold.value
    compare(result.estimates, oracle_of_two(odds, truth, limit))


def test_every_figure_of_three_classes_is_its_oracles():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, N_IMAGES)
    logits = (rng.normal(size=(N_IMAGES, 3)) + 1.4 * np.eye(3)[labels]).round(6)
    rows = make_multiclass_rows(logits, ["abc"[n] for n in labels], split="test")
    result = evaluate_predictions(
        rows, {}, classes=Classes(("a", "b", "c"), None), settings=SETTINGS, variables={}
    )
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    told, hot = shares.argmax(axis=1), np.eye(3)[labels]
    each = [oracle_of_class(labels == n, shares[:, n], told == n) for n in range(3)]
    wanted = {f"{kind}_{'abc'[n]}": v for n, held in enumerate(each) for kind, v in held.items()}
    wanted |= {
        f"{kind}_macro": np.mean([held[kind] for held in each])
        for kind in ("auc", "average_precision", "specificity", "f1")
    }
    wanted |= {
        "auc_micro": roc_auc_score(hot, shares, average="micro"),
        "balanced_accuracy": balanced_accuracy_score(labels, told),
        "mcc": matthews_corrcoef(labels, told),
        "brier": ((shares - hot) ** 2).sum(axis=1).mean(),
        "log_loss": log_loss(labels, shares),
        "ece": bin_error(shares.max(axis=1), told == labels, SETTINGS.calibration_bins),
    }
    compare(result.estimates, wanted)
    right = sum(cell.n for cell in result.confusion if cell.label == cell.predicted)
    assert right / N_IMAGES == pytest.approx(accuracy_score(labels, told))


def test_every_figure_of_findings_is_its_oracles():
    names, drawn = ("Mass", "Nodule"), {}
    for split, seeds in (("test", (0, 2)), ("validation", (1, 3))):
        drawn[split] = [draw_two(seed) for seed in seeds]
    rows = []
    for split, held in drawn.items():
        for n in range(N_IMAGES):
            there = [name for name, (_, truth) in zip(names, held, strict=True) if truth[n]]
            row = {"arm": "transfer", "fold": "0", "repeat": "0", "part": "0", "inner": "0"}
            row |= {"seed": "0", "split": split, "image_id": f"{split}-{n:03d}", "predicted": ""}
            row |= {"subject": f"{split}-s{n:03d}", "label": "|".join(there)}
            for name, (odds, _) in zip(names, held, strict=True):
                row |= {
                    f"logit_{name}": f"{odds[n]:.17g}",
                    f"probability_{name}": f"{share(odds[n]):.17g}",
                }
            rows.append({key: str(value) for key, value in row.items()})
    result = evaluate_findings(
        rows,
        {},
        classes=Classes(names, None, "multilabel"),
        settings=replace(SETTINGS, n_resamples=100),
        variables={},
    )
    each = {}
    for name, (odds, truth) in zip(names, drawn["test"], strict=True):
        limit = result.findings[name].thresholds[0].threshold.value
        each[name] = oracle_of_two(odds, truth, limit)
    wanted = {macro: np.mean([held[of] for held in each.values()]) for macro, of in MACRO.items()}
    wanted |= {f"{kind}_{name}": v for name, held in each.items() for kind, v in held.items()}
    compare(result.estimates, wanted)


PATIENTS = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
1.6 5.6 5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
3.6 6.6 5 1
"""
"""Albumin, total protein, K-G score, and who did well after surgery: DeLong et al. 1988,
doi:10.2307/2531595, the 43 of 49 patients with all three tests."""


def test_delong_reproduces_his_own_patients():
    """Areas, errors and chi-squares as the SAS/STAT User's Guide prints them, PROC LOGISTIC."""
    albumin, protein, score, well = np.array(PATIENTS.split(), float).reshape(-1, 4).T
    truth, alone = well == 1, np.arange(len(well))
    places = {
        "albumin": compute_placements(albumin, truth),
        "K-G": compute_placements(10 - score, truth),
        "protein": compute_placements(protein, truth),
    }
    for name, area, error in (
        ("albumin", 0.7366, 0.0927),
        ("K-G", 0.7258, 0.1028),
        ("protein", 0.6478, 0.1000),
    ):
        value, variance = compute_variance(places[name], truth, clusters=alone)
        assert (round(value, 4), round(np.sqrt(variance), 4)) == (area, error)
    for name, gap, error, square in (
        ("albumin", 0.0108, 0.0953, 0.0127),
        ("protein", -0.0780, 0.1046, 0.5554),
    ):
        found = compute_variance(places[name] - places["K-G"], truth, clusters=alone)
        assert (round(found[0], 4), round(np.sqrt(found[1]), 4)) == (gap, error)
        assert found[0] ** 2 / found[1] == pytest.approx(square, abs=6e-5)
