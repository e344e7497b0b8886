"""Findings evaluated: each as a study of its own, the means against scikit-learn."""

import numpy as np
import pytest
from predicted import SETTINGS
from sklearn.metrics import brier_score_loss, roc_auc_score

from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.evaluation.multilabel import evaluate_findings
from medvision.domain.labels.findings import name_findings
from medvision.domain.labels.rows import Classes

NAMES = ("a", "b")


def make_rows(truth, scores, *, split="test", arm="transfer", subjects=None, seed=0):
    """Rows of two findings; truth and scores (N, 2), NaN where it is not known."""
    rows = []
    for n, (known, odds) in enumerate(zip(truth, scores, strict=True)):
        there = [name for name, v in zip(NAMES, known, strict=True) if v == 1]
        unknown = [name for name, v in zip(NAMES, known, strict=True) if np.isnan(v)]
        row = {
            "arm": arm,
            "fold": "0",
            "repeat": "0",
            "part": "0",
            "inner": "0",
            "seed": str(seed),
            "split": split,
            "image_id": f"{split}-{n:04d}",
            "subject": subjects[n] if subjects else f"{split}-s-{n:04d}",
            "label": name_findings(there, unknown),
            "predicted": "",
        }
        for name, value in zip(NAMES, odds, strict=True):
            row[f"logit_{name}"] = f"{value:.9g}"
            row[f"probability_{name}"] = f"{1 / (1 + np.exp(-value)):.9g}"
        rows.append(row)
    return rows


def draw(n=80, seed=0, strength=1.2):
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, 2)) < (0.5, 0.3)).astype(float)
    return truth, rng.normal(0, 1, (n, 2)) + strength * (truth - 0.4)


def make_study(seed=0, **changes):
    test, validation = draw(seed=seed), draw(seed=seed + 50)
    return [*make_rows(*test, **changes), *make_rows(*validation, split="validation", **changes)]


def evaluate(rows, groups=None):
    classes = Classes(NAMES, None, "multilabel")
    return evaluate_findings(rows, groups or {}, classes=classes, settings=SETTINGS, variables={})


def find(result, metric, arm="transfer"):
    (found,) = [e for e in result.estimates if (e.arm, e.metric) == (arm, metric)]
    return found


def as_binary(rows, name):
    """The same predictions as a study of this finding alone."""
    renamed = []
    for row in rows:
        there = name in row["label"].split("|")
        probability = float(row[f"probability_{name}"])
        renamed.append(
            {
                **row,
                "label": name if there else f"no {name}",
                f"probability_no {name}": repr(1 - probability),
                f"logit_no {name}": "0",
            }
        )
    return renamed


@pytest.mark.parametrize("name", NAMES)
def test_a_finding_has_the_figures_of_a_study_of_this_finding_alone(name):
    rows = make_study()
    classes = Classes((f"no {name}", name), name)
    alone = evaluate_predictions(
        as_binary(rows, name), {}, classes=classes, settings=SETTINGS, variables={}
    )
    together = evaluate(rows)
    for item in alone.estimates:
        same = find(together, f"{item.metric}_{name}")
        assert (same.value, same.low, same.high) == (item.value, item.low, item.high)
    assert together.findings[name].thresholds == alone.thresholds


def test_means_over_findings_are_scikit_learns():
    truth, scores = draw()
    result = evaluate(make_study())
    assert find(result, "auc_macro").value == pytest.approx(
        roc_auc_score(truth, scores, average="macro")
    )
    shares = 1 / (1 + np.exp(-scores))
    brier = np.mean([brier_score_loss(truth[:, n], shares[:, n]) for n in range(2)])
    assert find(result, "brier").value == pytest.approx(brier)
    each = [find(result, f"sensitivity_{name}").value for name in NAMES]
    assert find(result, "sensitivity_macro").value == pytest.approx(np.mean(each))


def test_images_of_which_a_finding_is_not_known_do_not_count_for_it():
    truth, scores = draw()
    hidden = truth.copy()
    hidden[:25, 0] = np.nan
    rows = [*make_rows(hidden, scores), *make_rows(*draw(seed=50), split="validation")]
    result = evaluate(rows)
    assert result.n_unknown == {"a": 25, "b": 0}
    assert find(result, "auc_a").n_images == 55
    assert find(result, "auc_a").value == pytest.approx(
        roc_auc_score(truth[25:, 0], scores[25:, 0])
    )
    assert find(result, "auc_b").value == pytest.approx(roc_auc_score(truth[:, 1], scores[:, 1]))
    # What a network says of an unknown finding must not matter at all.
    moved = scores.copy()
    moved[:25, 0] *= -9
    other = evaluate([*make_rows(hidden, moved), *make_rows(*draw(seed=50), split="validation")])
    assert find(other, "auc_macro") == find(result, "auc_macro")


def test_copies_of_each_subjects_rows_do_not_narrow_the_interval_of_the_mean():
    truth, scores = draw(n=50)
    names = [f"s{n}" for n in range(50)]
    validation = make_rows(*draw(seed=50), split="validation")
    once = find(evaluate([*make_rows(truth, scores, subjects=names), *validation]), "auc_macro")
    four = np.tile(truth, (4, 1)), np.tile(scores, (4, 1))
    copied = find(evaluate([*make_rows(*four, subjects=names * 4), *validation]), "auc_macro")
    assert copied.value == pytest.approx(once.value)
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=1e-6)


def test_arms_are_compared_on_the_same_resamples():
    truth, scores = draw()
    arms = [
        *make_study(),
        *make_rows(truth, scores, arm="scratch"),
        *make_rows(*draw(seed=50), arm="scratch", split="validation"),
    ]
    same = next(d for d in evaluate(arms).differences if d.metric == "auc_macro")
    assert same.difference == 0
    assert same.low is None
    worse = [
        row if row["arm"] == "transfer" else {**row, "logit_a": str(-float(row["logit_a"]))}
        for row in arms
    ]
    differences = {d.metric: d for d in evaluate(worse).differences}
    assert differences["auc_macro"].low > 0
    assert differences["auc_a"].low > 0
    assert differences["auc_b"].difference == 0


def test_a_finding_that_no_test_image_has_is_undefined_and_so_is_the_mean():
    truth, scores = draw()
    truth[:, 1] = 0
    rows = [*make_rows(truth, scores), *make_rows(*draw(seed=50), split="validation")]
    result = evaluate(rows)
    for metric in ("auc_b", "auc_macro", "sensitivity_macro"):
        estimate = find(result, metric)
        assert estimate.value is None
        assert estimate.reason.startswith("undefined")
    assert find(result, "brier").value is not None
    assert find(result, "auc_a").value is not None


def test_tests_of_all_findings_are_corrected_together():
    worse = [row | {"arm": "scratch"} for row in make_study(seed=9)]
    labels = {(row["split"], row["image_id"]): row["label"] for row in make_study()}
    worse = [row | {"label": labels[row["split"], row["image_id"]]} for row in worse]
    result = evaluate([*make_study(), *worse])
    for kind in ("areas", "decisions"):
        tests = [t for held in result.findings.values() for t in held.tests if t.kind == kind]
        assert len(tests) == len(NAMES)
        low, high = sorted(tests, key=lambda test: test.p)
        assert low.p_holm == pytest.approx(min(1, 2 * low.p))
        assert high.p_holm == pytest.approx(max(high.p, low.p_holm))
