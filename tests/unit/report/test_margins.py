"""The report sets each method beside the edge map, the centre and chance, and judges by none."""

from dataclasses import replace

from reports import make_sources

from medvision.report.facts import build_facts
from medvision.report.margins import build_margins
from medvision.report.page import build_report

ROW = {
    "n": 12,
    "statistic": 0.68,
    "low": 0.44,
    "high": 0.9,
    "chance": 0.5,
    "edge_map": 0.57,
    "centre_prior": None,
    "edge_margin": -0.26,
    "edge_margin_low": -0.97,
    "edge_margin_high": 0.45,
}
METHODS = {
    "occlusion": {"margins": {"deletion": ROW, "pointing": {**ROW, "edge_margin": 38.2}}},
    "layer_gradcam": {"margins": {"deletion": {**ROW, "statistic": 0.31}}},
    "saliency": {},
    "control_edge": {"margins": {"deletion": ROW}},
}


def sources_of(methods):
    sources = make_sources(explained=1)
    summary = {**sources.documents["explain_summary"], "methods": methods}
    return replace(sources, documents={**sources.documents, "explain_summary": summary})


def test_margins_are_told_check_by_check_and_of_methods_alone() -> None:
    rows = build_margins(sources_of(METHODS))
    assert [(row.check, row.method) for row in rows] == [
        ("deletion", "occlusion"),
        ("deletion", "layer_gradcam"),
        ("pointing", "occlusion"),
    ]
    assert {row.margin_unit for row in rows} == {"logit", "mm"}
    assert {row.centre_prior for row in rows} == {None}


def test_the_page_shows_a_margin_with_its_sign_interval_unit_and_images() -> None:
    facts = build_facts(sources_of(METHODS), title="t", author=None)
    page = build_report(facts, views={}).html
    table = page.partition("beside those of what knows less")[2].partition("</table>")[0]
    assert "−0.260" in table
    assert "(−0.970 to 0.450) logit" in table.replace("+", "")
    assert "38.200" in table
    assert ">12<" in table


def test_results_without_margins_show_no_table() -> None:
    facts = build_facts(make_sources(explained=1), title="t", author=None)
    assert facts.explanation.margins == ()
    assert "what knows less" not in build_report(facts, views={}).html
