"""Subgroups: each as if it were alone, gaps to all others, few subjects, and refusals."""

from dataclasses import replace

import numpy as np
import pytest
from predicted import SETTINGS, draw_binary, make_multiclass_rows, make_rows

from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.labels.rows import Classes
from medvision.domain.resampling.settings import check_settings
from medvision.errors import ConfigError

BINARY = Classes(("no", "yes"), "yes")


def make_study(n=120, subjects=None):
    rows = []
    for split, seed in (("test", 1), ("validation", 2)):
        scores, labels, folds = draw_binary(n, seed=seed)
        rows += make_rows(scores, labels, folds=folds, split=split, subjects=subjects)
    return rows


def find_site(row):
    """Two in three images of a fold are of the first site."""
    return "ab"[int(row["image_id"][-4:]) // 3 % 3 == 0]


def evaluate(rows, *, variables=None, classes=BINARY, **changes):
    held = variables or {row["image_id"]: {"site": find_site(row)} for row in rows}
    settings = replace(SETTINGS, **{"subgroups": ("site",), **changes})
    return evaluate_predictions(rows, {}, classes=classes, settings=settings, variables=held)


def pick(result, subgroup, metric):
    (found,) = [s for s in result.subgroups if (s.subgroup, s.metric) == (subgroup, metric)]
    return found


def keep(rows, site):
    """Return a study whose test images are of one site."""
    return [row for row in rows if row["split"] != "test" or find_site(row) == site]


@pytest.mark.parametrize("metric", ["auc", "sensitivity", "specificity", "brier"])
def test_a_subgroup_has_the_figure_that_it_has_alone_and_the_gap_to_all_others(metric):
    rows = make_study()
    result = evaluate(rows)
    alone = {
        site: next(e for e in evaluate(keep(rows, site)).estimates if e.metric == metric)
        for site in "ab"
    }
    for site, other in ("ab", "ba"):
        found = pick(result, site, metric)
        assert found.value == pytest.approx(alone[site].value)
        assert found.gap == pytest.approx(alone[site].value - alone[other].value)
        assert found.n_images == alone[site].n_images
        assert found.n_subjects == alone[site].n_subjects
        assert found.n_positive == alone[site].n_positive
        assert found.low < found.value < found.high
        assert found.gap_low < found.gap < found.gap_high
        width = (found.high - found.low) / (alone[site].high - alone[site].low)
        assert 0.7 < width < 1.4
    assert pick(result, "a", metric).gap == pytest.approx(-pick(result, "b", metric).gap)


def test_the_brier_score_of_a_subgroup_of_all_has_the_interval_of_all():
    """The planted fault: with the shares of the classes held, constant predictions had none."""
    _, labels, folds = draw_binary(120, seed=1)
    rows = make_rows([-1.0] * 120, labels, folds=folds)
    result = evaluate(rows, variables={row["image_id"]: {"site": "a"} for row in rows})
    whole = next(item for item in result.estimates if item.metric == "brier")
    found = pick(result, "a", "brier")
    assert found.low is not None
    assert (found.low, found.high) == pytest.approx((whole.low, whole.high))


def test_a_planted_failure_at_one_site_is_seen():
    """The planted fault: at site b the labels of the test images are turned round."""
    turned = {"no": "yes", "yes": "no"}
    rows = [
        row | {"label": turned[row["label"]]}
        if row["split"] == "test" and find_site(row) == "b"
        else row
        for row in make_study()
    ]
    found = pick(evaluate(rows), "b", "auc")
    assert found.value < 0.3
    assert found.gap_high < 0


def test_copies_of_subjects_narrow_no_interval_of_a_subgroup():
    scores, labels, _ = draw_binary(60, seed=2)
    names = [f"s{n}" for n in range(60)]

    def run(copies):
        rows = make_rows(scores * copies, labels * copies, subjects=names * copies)
        held = {r["image_id"]: {"site": "ab"[int(r["subject"][1:]) % 3 == 0]} for r in rows}
        return pick(evaluate(rows, variables=held), "a", "auc")

    once, many = run(1), run(3)
    assert (many.low, many.high) == pytest.approx((once.low, once.high))
    assert (many.gap_low, many.gap_high) == pytest.approx((once.gap_low, once.gap_high))
    assert (many.n_images, many.n_subjects) == (3 * once.n_images, once.n_subjects)


def test_a_subgroup_of_two_is_shown_with_a_warning_and_without_an_interval():
    rows = make_study()
    few = [row["image_id"] for row in rows if row["split"] == "test" and row["label"] == "yes"][:2]
    held = {row["image_id"]: {"site": "rare" if row["image_id"] in few else "a"} for row in rows}
    result = evaluate(rows, variables=held)
    found = pick(result, "rare", "auc")
    assert (found.value, found.low, found.gap, found.n_subjects) == (None, None, None, 2)
    assert found.warning == "fewer than 20 subjects"
    assert "a class is absent" in found.method
    hits = pick(result, "rare", "sensitivity")
    assert hits.value is not None
    assert (hits.low, hits.high) == (None, None)
    assert "of the 200 resamples" in hits.method
    assert pick(result, "a", "auc").warning == ""


def test_empty_cells_are_a_subgroup_that_comes_last():
    rows = make_study()
    held = {
        row["image_id"]: {"site": ("n/a", "", "b")[int(row["image_id"][-4:]) % 3]} for row in rows
    }
    result = evaluate(rows, variables=held)
    assert list(dict.fromkeys(s.subgroup for s in result.subgroups)) == ["b", "not known"]


def test_one_subgroup_alone_has_no_gap():
    rows = make_study()
    held = {row["image_id"]: {"site": "a"} for row in rows}
    found = pick(evaluate(rows, variables=held), "a", "auc")
    assert found.value is not None
    assert found.gap is None


def test_columns_that_are_no_grouping_are_refused():
    rows = make_study()
    many = {row["image_id"]: {"site": row["image_id"]} for row in rows}
    with pytest.raises(ConfigError, match="at most 12 values, got 120 in site"):
        evaluate(rows, variables=many)
    with pytest.raises(ConfigError, match="must name columns of the labels, got scanner"):
        evaluate(rows, subgroups=("scanner",))
    with pytest.raises(ConfigError, match="must be empty for a value, got site"):
        check_settings(
            replace(SETTINGS, subgroups=("site",)), classes=Classes(("age",), None, "regression")
        )


def test_three_classes_have_their_means_in_each_subgroup():
    truth = np.arange(90) % 3
    logits = np.random.default_rng(7).normal(size=(90, 3)) + 1.5 * np.eye(3)[truth]
    rows = make_multiclass_rows(logits, ["abc"[n] for n in truth], split="test")
    classes = Classes(("a", "b", "c"), None)
    result = evaluate(rows, classes=classes)
    alone = evaluate(keep(rows, "b"), classes=classes)
    for metric in ("auc_macro", "balanced_accuracy", "brier"):
        wanted = next(e.value for e in alone.estimates if e.metric == metric)
        assert pick(result, "b", metric).value == pytest.approx(wanted)
        assert pick(result, "b", metric).n_positive is None


def test_no_column_gives_no_subgroup():
    assert evaluate(make_study(), subgroups=()).subgroups == ()
