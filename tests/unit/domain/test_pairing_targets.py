"""Studies of findings and of values are compared as those of classes are: paired, by subject."""

from dataclasses import replace

import numpy as np
import pytest
from paired_studies import NAMES, N, copy_images, make_findings, make_values
from predicted import SETTINGS
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score, root_mean_squared_error

from medvision.domain.evaluation.pairing import compare_studies
from medvision.domain.labels.rows import Classes
from medvision.errors import DataError


def pair(a, b):
    (found,) = compare_studies(a, b, settings=SETTINGS).pairings
    return found


def find(pairing, metric):
    (found,) = [item for item in pairing.differences if item.metric == metric]
    return found


def test_differences_of_values_are_scikit_learns():
    a, b = make_values("A", noise=4, seed=0), make_values("B", noise=7, seed=1)
    true = [float(row["label"]) for row in a.rows]
    said = [[float(row["predicted"]) for row in study.rows] for study in (a, b)]
    held = pair(a, b)
    for metric, compute in {
        "mae": mean_absolute_error,
        "rmse": root_mean_squared_error,
        "r2": r2_score,
    }.items():
        found = find(held, metric)
        assert found.difference == pytest.approx(compute(true, said[0]) - compute(true, said[1]))
        assert found.low < found.difference < found.high
        assert "paired on the same subjects" in found.method
    (test,) = held.tests
    assert (test.test.kind, test.test.n_subjects) == ("errors", N)
    assert test.test.p_holm == test.test.p < 0.05


def test_images_of_one_label_written_otherwise_are_equal():
    a, b = make_values("A", noise=4, seed=0), make_values("B", noise=7, seed=1)
    rows = [{**row, "label": f"{float(row['label']):.3f}0"} for row in b.rows]
    assert find(pair(a, replace(b, rows=rows)), "mae").difference is not None
    rows[0]["label"] = "17"
    with pytest.raises(DataError, match="got 1 of 60 labelled differently"):
        pair(a, replace(b, rows=rows))


def test_differences_of_findings_are_means_and_each_on_the_images_that_know_it():
    unknown = range(0, N, 6)
    a, b = (
        make_findings(name, noise=noise, seed=seed, unknown=unknown)
        for name, noise, seed in (("A", 0.8, 0), ("B", 2.0, 1))
    )
    held = pair(a, b)
    gaps = []
    for k, name in enumerate(NAMES):
        sides = []
        for study in (a, b):
            rows = [row for row in study.rows if row["split"] == "test"]
            own = [row for n, row in enumerate(rows) if k == 0 or n not in unknown]
            total = weights = 0.0
            for fold in "012":
                here = [row for row in own if row["fold"] == fold]
                there = [name in row["label"].split("|") for row in here]
                area = roc_auc_score(there, [float(row[f"logit_{name}"]) for row in here])
                weight = sum(there) * (len(here) - sum(there))
                total, weights = total + weight * area, weights + weight
            sides.append(total / weights)
        gaps.append(sides[0] - sides[1])
        assert find(held, f"auc_{name}").difference == pytest.approx(gaps[-1])
    macro = find(held, "auc_macro")
    assert macro.difference == pytest.approx(np.mean(gaps))
    assert macro.low < macro.difference < macro.high


def test_all_findings_tests_are_corrected_together():
    a, b = make_findings("A", noise=0.8, seed=0), make_findings("B", noise=2.0, seed=1)
    tests = pair(a, b).tests
    assert [(held.test.kind, held.finding) for held in tests] == [
        (kind, name) for name in NAMES for kind in ("areas", "decisions")
    ]
    areas = sorted((held.test for held in tests if held.test.kind == "areas"), key=lambda t: t.p)
    assert areas[0].p_holm == pytest.approx(min(1.0, 2 * areas[0].p))


@pytest.mark.parametrize(
    ("make", "metric"), [(make_values, "mae"), (make_findings, "brier")], ids=["values", "findings"]
)
def test_doubling_each_subjects_images_narrows_nothing(make, metric):
    """The planted fault: a comparison by image would take copies for evidence."""
    a, b = make("A", noise=1.0, seed=0), make("B", noise=1.6, seed=1)
    once, twice = pair(a, b), pair(copy_images(a), copy_images(b))
    width = [find(held, metric).high - find(held, metric).low for held in (once, twice)]
    assert width[1] == pytest.approx(width[0], rel=0.02)
    for single, double in zip(once.tests, twice.tests, strict=True):
        assert double.test.p == pytest.approx(single.test.p, abs=1e-6)
        assert double.test.n_subjects == N


def test_findings_of_other_names_or_order_are_refused():
    a, b = make_findings("A", noise=1, seed=0), make_findings("B", noise=1, seed=1)
    other = replace(b, classes=Classes(NAMES[::-1], None, "multilabel"))
    with pytest.raises(DataError, match="findings and their order must be equal"):
        pair(a, other)
