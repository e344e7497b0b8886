"""Subgroups on the page: figures with gaps and warnings, never ranked; nothing without them."""

from dataclasses import replace

from reports import make_sources

from medvision.report.facts import build_facts
from medvision.report.page import build_report

ROW = {
    "arm": "transfer",
    "variable": "site",
    "metric": "auc",
    "value": "0.71",
    "low": "0.52",
    "high": "0.86",
    "gap": "-0.1",
    "gap_low": "-0.3",
    "gap_high": "0.1",
    "n_images": "40",
    "n_subjects": "38",
    "n_positive": "19",
    "warning": "",
    "method": "BCa bootstrap; gap to all others: BCa bootstrap",
}
FEW = {
    **ROW,
    **dict.fromkeys(("low", "high", "gap", "gap_low", "gap_high"), ""),
    "subgroup": "<b>B</b>",
    "value": "0.99",
    "n_subjects": "2",
    "warning": "fewer than 20 subjects",
}


def build(rows):
    sources = make_sources()
    tables = {**sources.tables, "subgroups": rows}
    return build_facts(replace(sources, tables=tables), title="t", author=None)


def test_subgroups_are_shown_with_gaps_in_the_order_of_the_table():
    facts = build([{**ROW, "subgroup": "A"}, FEW])
    (table,) = facts.subgroups
    assert [row.subgroup for row in table.rows] == ["A", "<b>B</b>"]
    assert (table.title, table.n_small) == ("site", 1)
    html = build_report(facts, views={}, pictures=[]).html
    section = html[html.index('id="subgroups"') :]
    assert "0.710" in section
    assert "−0.100" in section
    assert "−0.300 to +0.100" in section
    assert "fewer than 20 subjects" in section
    assert "Subgroups of few subjects are marked" in section
    assert "&lt;b&gt;B" in section
    assert "<b>B</b>" not in html


def test_findings_have_tables_of_their_own():
    rows = [{**ROW, "subgroup": "A", "finding": name} for name in ("Effusion", "Nodule")]
    assert [table.title for table in build(rows).subgroups] == ["site, Effusion", "site, Nodule"]


def test_a_study_without_subgroups_has_no_such_part():
    facts = build([])
    assert facts.subgroups == ()
    assert 'id="subgroups"' not in build_report(facts, views={}, pictures=[]).html
