"""Tests of differences on the page: p-values never 0, and what was not tested says why."""

from dataclasses import replace

from reports import make_sources

from medvision.report.facts import build_facts
from medvision.report.page import build_report

AREAS = {
    "kind": "areas",
    "arm_a": "transfer",
    "arm_b": "scratch",
    "statistic": "-3.912",
    "n_unequal": "",
    "p": "0.0000915",
    "p_holm": "0.000183",
    "n_subjects": "36",
    "method": "DeLong 1988",
}
DECISIONS = {
    **AREAS,
    "kind": "decisions",
    "statistic": "2",
    "n_unequal": "9",
    "p": "0.109375",
    "p_holm": "0.109375",
    "method": "McNemar",
}


def build(rows):
    sources = make_sources()
    tables = {**sources.tables, "tests": rows}
    return build_facts(replace(sources, tables=tables), title="t", author=None)


def test_tests_are_shown_with_what_was_found_and_both_p_values():
    facts = build([AREAS, DECISIONS])
    assert [(test.detail, test.p, test.p_holm) for test in facts.tests] == [
        ("z = −3.91", "< 0.001", "< 0.001"),
        ("better on 2 of 9 subjects", "0.109", "0.109"),
    ]
    html = build_report(facts, views={}).html
    section = html[html.index('id="tests"') :]
    assert "Areas under the ROC curves" in section
    assert "&lt; 0.001" in section


def test_what_was_not_tested_says_why():
    blank = {
        **AREAS,
        "statistic": "",
        "p": "",
        "p_holm": "",
        "method": "not tested: both alike",
    }
    facts = build([blank])
    assert (facts.tests[0].detail, facts.tests[0].p) == ("–", "–")
    assert "not tested: both alike" in build_report(facts, views={}).html


def test_one_arm_has_no_tests():
    assert 'id="tests"' not in build_report(build([]), views={}).html
