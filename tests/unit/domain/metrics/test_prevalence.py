"""Prevalences of several classes and of findings: by copying images, and by worked refusals."""

from dataclasses import replace

import numpy as np
import pytest
from predicted import SETTINGS, draw_binary, make_multiclass_rows, make_rows

from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.evaluation.multilabel import evaluate_findings
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.prevalence import check_prevalence, choose_shares, reweigh
from medvision.errors import ConfigError

THREE = Classes(("a", "b", "c"), None)
TWO = Classes(("no", "yes"), "yes")
FINDINGS = Classes(("Mass", "Nodule"), None, "multilabel")
VALUE = Classes(("age",), None, "regression")


def evaluate(rows, classes=THREE, **changes):
    settings = replace(SETTINGS, n_resamples=100, **changes)
    return evaluate_predictions(rows, {}, classes=classes, settings=settings, variables={})


def figures(result):
    return {item.metric: item for item in result.estimates}


def draw_three(n=90, seed=2):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    return rng.normal(size=(n, 3)) + 1.3 * np.eye(3)[labels], labels


def test_values_at_given_prevalences_are_those_of_images_copied_until_classes_have_them():
    """The oracle: 1, 4 and 15 copies of each class's images, 30 to a class, are 5, 20 and 75 %."""
    logits, _ = draw_three()
    labels = np.repeat([0, 1, 2], 30)
    logits = logits[np.argsort(np.random.default_rng(1).permutation(90))] + np.eye(3)[labels]
    at = {"a": 0.05, "b": 0.2, "c": 0.75}
    found = figures(evaluate(_rows(logits, labels), prevalence=at))
    copies = np.repeat(np.arange(90), np.array([1, 4, 15])[labels])
    copied = figures(evaluate(_rows(logits[copies], labels[copies])))
    for name in "abc":
        for kind in ("ppv", "npv", "sensitivity"):
            wanted = copied[f"{kind}_{name}"].value
            assert found[f"{kind}_{name}"].value == pytest.approx(wanted), (kind, name)
    assert found["ppv_a"].low < found["ppv_a"].value < found["ppv_a"].high


def _rows(logits, labels):
    return make_multiclass_rows(logits, ["abc"[n] for n in labels], split="test")


def test_given_prevalences_of_classes_change_predictive_values_alone_and_are_said():
    logits, labels = draw_three()
    plain = figures(evaluate(_rows(logits, labels)))
    rare = figures(evaluate(_rows(logits, labels), prevalence={"c": 0.9, "b": 0.09, "a": 0.01}))
    for name, item in plain.items():
        if not name.startswith(("ppv", "npv")):
            assert rare[name] == item
    assert rare["ppv_a"].value < plain["ppv_a"].value
    assert "at the given prevalences of a 0.01, b 0.09, c 0.9" in rare["ppv_a"].method


def test_a_class_without_test_images_leaves_predictive_values_undefined():
    logits, labels = draw_three()
    kept = labels < 2
    rows = _rows(logits[kept], labels[kept])
    found = figures(evaluate(rows, prevalence={"a": 0.5, "b": 0.4, "c": 0.1}))
    assert found["ppv_a"].value is None
    assert "no test image is of class c" in found["ppv_a"].reason


def test_of_two_classes_a_mapping_is_the_number_of_the_positive_one():
    scores, labels, folds = draw_binary(90, seed=1)
    rows = make_rows(scores, labels, folds=folds)
    rows += make_rows(scores, labels, folds=folds, split="validation")
    changes = {"operating_point": "cost", "miss_cost": 3.0}
    number = evaluate(rows, TWO, prevalence=0.02, **changes)
    mapping = evaluate(rows, TWO, prevalence={"yes": 0.02, "no": 0.98}, **changes)
    for part in ("estimates", "thresholds", "decision"):
        assert getattr(number, part) == getattr(mapping, part)
    assert "at prevalence 0.02" in number.thresholds[0].threshold.rule


def make_findings(n=80, seed=3):
    rng, rows = np.random.default_rng(seed), []
    for split in ("test", "validation"):
        for k in range(n):
            there = rng.random(2) < 0.4
            odds = rng.normal(size=2) + 1.5 * (2 * there - 1)
            names = [name for name, held in zip(FINDINGS.names, there, strict=True) if held]
            row = {"arm": "transfer", "fold": "0", "repeat": "0", "part": "0", "inner": "0"}
            row |= {"seed": "0", "split": split, "image_id": f"{split}-{k:03d}"}
            row |= {"subject": f"{split}-s{k:03d}", "label": "|".join(names), "predicted": ""}
            for name, value in zip(FINDINGS.names, odds, strict=True):
                row |= {f"logit_{name}": f"{value:.9g}"}
                row |= {f"probability_{name}": f"{1 / (1 + np.exp(-value)):.9g}"}
            rows.append(row)
    return rows


def test_a_finding_has_its_own_prevalence_for_values_costs_and_decisions():
    def run(prevalence):
        settings = replace(
            SETTINGS, n_resamples=100, operating_point="cost", miss_cost=2.0, prevalence=prevalence
        )
        return evaluate_findings(
            make_findings(), {}, classes=FINDINGS, settings=settings, variables={}
        )

    plain, given = run(None).findings, run({"Mass": 0.03}).findings
    assert given["Nodule"].estimates == plain["Nodule"].estimates
    assert given["Nodule"].decision == plain["Nodule"].decision
    ppv = {item.metric: item for item in given["Mass"].estimates}["ppv"]
    assert "by Bayes' rule at the given prevalence of 0.03" in ppv.method
    assert "at prevalence 0.03" in given["Mass"].thresholds[0].threshold.rule
    point = given["Mass"].decision[9]
    assert point.treat_all == pytest.approx(0.03 - 0.97 * point.threshold / (1 - point.threshold))


@pytest.mark.parametrize(
    ("prevalence", "classes", "said"),
    [
        (0.1, THREE, "must name the share of each of 3 classes, got 0.1"),
        (0.1, FINDINGS, "must name findings and the share of each, got 0.1"),
        (0.1, VALUE, "must be null for a value, got 0.1"),
        ({"age": 0.1}, VALUE, "must be null for a value, got age"),
        ({"a": 0.5, "b": 0.5}, THREE, "must name the classes a, b, c, got a, b"),
        ({"a": 0.5, "b": 0.3, "d": 0.2}, THREE, "must name the classes a, b, c, got a, b, d"),
        ({"a": 0.5, "b": 0.3, "c": 0.3}, THREE, "shares of classes must sum to 1, got 1.1"),
        ({"yes": 0.1}, TWO, "must name the classes no, yes, got yes"),
        ({"yes": 0.1, "no": 0.8}, TWO, "shares of classes must sum to 1, got 0.9"),
        ({"Mas": 0.1}, FINDINGS, "must name some of the findings Mass, Nodule, got Mas"),
        ({}, THREE, "must name the classes a, b, c, got none"),
    ],
)
def test_a_prevalence_of_other_things_is_refused_with_what_it_must_be(prevalence, classes, said):
    with pytest.raises(ConfigError, match=f"evaluate.prevalence: {said}"):
        check_prevalence(prevalence, classes)


@pytest.mark.parametrize(
    ("prevalence", "classes", "wanted"),
    [
        (None, THREE, None),
        (0.2, TWO, 0.2),
        ({"no": 0.8, "yes": 0.2}, TWO, 0.2),
        ({"c": 0.5, "a": 0.2, "b": 0.3}, THREE, (0.2, 0.3, 0.5)),
        ({"Mass": 0.1}, Classes(("no Mass", "Mass"), "Mass"), 0.1),
        ({"Mass": 0.1}, Classes(("no Nodule", "Nodule"), "Nodule"), None),
    ],
)
def test_shares_are_those_of_the_classes_in_their_order(prevalence, classes, wanted):
    check = FINDINGS if classes.names[0].startswith("no ") else classes
    check_prevalence(prevalence, check)
    assert choose_shares(prevalence, classes) == wanted


def test_each_resample_is_weighed_to_the_shares_and_lost_without_a_class():
    labels = np.array([0, 0, 1, 2, 2, 2])
    weights = np.array([[1.0, 1, 1, 1, 1, 1], [2, 0, 1, 0, 0, 3], [1, 1, 0, 1, 1, 1]])
    found = reweigh(weights, labels, shares=(0.2, 0.3, 0.5))
    for row in found[:2]:
        assert [row[labels == n].sum() for n in range(3)] == pytest.approx([0.2, 0.3, 0.5])
    assert np.isnan(found[2]).all()
