"""Abstention on the page: the verdict of the main order, its curve, of findings a table."""

from dataclasses import replace

import numpy as np
import pytest
from predicted import draw_binary, make_rows
from reports import make_sources
from target_reports import make_target_sources

from medvision.cli._evaluated.external import evaluate
from medvision.cli._evaluated.figures import Known
from medvision.config.evaluate import EvaluateSection
from medvision.domain.labels.rows import Classes
from medvision.report.abstention import build_abstention
from medvision.report.facts import build_facts
from medvision.report.page import build_report
from medvision.report.plots import build_plots
from medvision.report.sources import Sources

TABLES = ("abstention", "risk_coverage")


def make_tables(scores, labels, *, seeds=1):
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        odds = [score + 0.3 * seed * rng.normal() for score in scores]
        rows += make_rows(odds, labels, seed=seed)
        rows += make_rows(odds, labels, seed=seed, split="validation")
    found = evaluate(
        rows,
        Known({}, Classes(("no", "yes"), "yes"), {}),
        section=EvaluateSection(n_resamples=100),
    )
    return {
        name: [
            {c: "" if row[c] is None else str(row[c]) for c in found.tables[name][1]}
            for row in found.tables[name][0]
        ]
        for name in TABLES
    }


def build(tables):
    sources = make_sources()
    return build_facts(
        replace(sources, tables={**sources.tables, **tables}), title="t", author=None
    )


@pytest.fixture(scope="module")
def facts():
    scores, labels, _ = draw_binary(120, seed=1)
    return build(make_tables(scores, labels, seeds=2))


def test_the_first_order_of_an_arm_is_its_main_one_and_is_drawn(facts):
    held = facts.abstention
    assert [row.score for row in held.orders] == [
        *("Distance from the threshold", "Entropy", "Disagreement of the seeds"),
    ]
    assert [row.is_main for row in held.orders] == [True, False, False]
    assert [curve.score for curve in held.curves] == ["Distance from the threshold"]
    assert held.curves[0].error_rate == pytest.approx(held.main[0].error_rate)
    report = build_report(facts, views={})
    assert "risk_coverage.png" in report.figures
    section = report.html[report.html.index('id="abstention"') :]
    assert "the order by certainty is better than a random order (mean error rate" in section
    assert "data-plot=" in section[: section.index("<figcaption>")]


def test_the_plot_has_the_tables_own_values_and_the_level_of_chance(facts):
    held = build_plots(facts)["risk_coverage"]
    curve = facts.abstention.curves[0]
    assert held["x"][-1] == 1
    assert held["series"][0]["y"][-1] == pytest.approx(curve.error_rate, rel=1e-3)
    assert held["series"][0]["level"] == pytest.approx(curve.error_rate, rel=1e-3)
    assert held["y_range"][1] > max(held["series"][0]["y"])


def test_without_an_error_the_page_says_that_nothing_can_be_judged():
    labels = ["no"] * 10 + ["yes"] * 10
    report = build_report(build(make_tables([-2.0] * 10 + [2.0] * 10, labels)), views={})
    told = "the order by certainty cannot be judged: no image was predicted wrongly."
    assert told in report.html


def test_findings_have_a_table_and_no_curve_and_a_value_has_neither():
    facts = build_facts(make_target_sources("multilabel"), title="t", author=None)
    assert facts.abstention.curves == ()
    assert {row.finding for row in facts.abstention.main} == {"Effusion", "Nodule", "Mass"}
    assert "The main order of each finding" in build_report(facts, views={}).html
    value = build_facts(make_target_sources("regression"), title="t", author=None)
    assert 'id="abstention"' not in build_report(value, views={}).html


def test_a_study_that_was_not_evaluated_has_none():
    assert build_abstention(Sources(tables={})).orders == ()


def test_the_methods_say_by_what_images_were_ordered_and_cite_it(facts):
    text = dict(facts.methods.paragraphs)["Certainty"]
    assert "ordered by the distance of their log-odds from the threshold" in text
    assert "the disagreement of the networks of all seeds" in text
    assert "train images" not in text
    assert any("Bias-reduced uncertainty" in held for held in facts.methods.citations)
    plain = build_facts(make_sources(), title="t", author=None)
    assert "Certainty" not in dict(plain.methods.paragraphs)
