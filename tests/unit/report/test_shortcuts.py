"""The report warns of what the label can be predicted from, and says nothing where none looked."""

from dataclasses import replace

import pytest
from reports import make_sources

from medvision.report.checklist import fill_checklists
from medvision.report.facts import build_facts
from medvision.report.page import build_report

ROW = {
    "target": None,
    "shown": "Manufacturer",
    "metric": "auc",
    "value": 0.83,
    "low": 0.7,
    "high": 0.9,
    "n_images": 36,
    "n_subjects": 36,
    "network": 0.91,
    "gain": 0.08,
    "gain_low": 0.01,
    "gain_high": 0.15,
    "p": 0.001,
    "p_holm": 0.003,
    "method": "",
}
FOUND = {**ROW, "probe": "border", "verdict": "found", "words": "The border <b>tells</b>."}
NONE = {**ROW, "probe": "scanner", "value": 0.5, "verdict": "none", "words": "No sign."}
EMPTY = dict.fromkeys(ROW)
CONSTANT = {**EMPTY, "probe": "size", "shown": "", "verdict": "constant", "words": "One value."}
SITE = {**ROW, "probe": "column site", "verdict": "hint", "words": "A hint."}


PERMUTED = {
    **dict.fromkeys(("target", "study", "difference", "difference_low", "difference_high")),
    "control": "permuted",
    "value": 0.48,
    "low": 0.3,
    "high": 0.6,
    "verdict": "chance",
    "words": "Trained on permuted labels, the network ends at chance.",
}
GAP = {
    "control": "image-level",
    "target": None,
    "value": 0.98,
    "low": 0.9,
    "high": 0.99,
    "study": 0.8,
    "difference": 0.18,
    "difference_low": 0.05,
    "difference_high": 0.3,
    "verdict": "differs",
    "words": "Had images been split, it would have been flattered.",
}


def facts_of(*rows, controls=()):
    sources = make_sources(explained=0)
    warned = ("found", "differs", "above-chance")
    warnings = [row["words"] for row in (*rows, *controls) if row["verdict"] in warned]
    held = {
        "probes": list(rows),
        "controls": list(controls),
        "warnings": warnings,
        "limits": "No proof.",
        "n_looks": 3,
        "confidence": 0.95,
    }
    documents = {**sources.documents, **({"shortcuts": held} if rows or controls else {})}
    return build_facts(replace(sources, documents=documents), title="t", author=None)


@pytest.fixture(scope="module")
def page():
    return build_report(facts_of(FOUND, NONE, CONSTANT, SITE), views={})


def test_without_an_audit_nothing_is_said_of_one() -> None:
    facts = facts_of()
    assert 'id="shortcuts"' not in build_report(facts, views={}).html
    assert "Shortcuts" not in dict(facts.methods.paragraphs)
    assert len(facts.summary_lines) == 3


def test_only_a_warning_is_a_line_of_the_summary_and_a_limit(page) -> None:
    facts = facts_of(FOUND, NONE)
    assert facts.summary_lines[3] == "Shortcuts: The border <b>tells</b>."
    assert "The border <b>tells</b>." in facts.limits
    assert len(facts_of(NONE, CONSTANT).summary_lines) == 3
    assert "1 warning: the label shows where it should not." in page.html
    assert "No warning: the label" in build_report(facts_of(NONE), views={}).html


def test_many_warnings_are_counted_in_the_summary() -> None:
    line = facts_of(FOUND, FOUND, FOUND, FOUND).summary_lines[3]
    assert line.endswith("The border <b>tells</b>. 2 more warnings: see Shortcuts.")


def test_each_probe_has_its_row_with_figure_network_and_verdict(page) -> None:
    for text in (
        '<th scope="row">Border of the picture</th>',
        "<strong>0.830</strong>",
        "0.700 to 0.900",
        "+0.010 to +0.150",
        "One value: nothing to learn",
        '<th scope="row">Column site</th>',
        "The border &lt;b&gt;tells&lt;/b&gt;.",
    ):
        assert text in page.html, text
    assert "Finding</th>" not in page.html.partition('id="shortcuts"')[2].partition("</table>")[0]


def test_findings_are_named_where_there_are_several() -> None:
    html = build_report(facts_of({**FOUND, "target": "Effusion"}), views={}).html
    assert "<td>Effusion</td>" in html


def test_the_methods_name_what_was_asked_and_cite_it() -> None:
    text = dict(facts_of(FOUND, NONE, CONSTANT).methods.paragraphs)["Shortcuts"]
    assert "(border of the picture, scanner)" in text
    assert "size" not in text
    assert any("Shortcut learning" in held for held in facts_of(FOUND).methods.citations)


def test_the_checklists_point_at_it_only_where_it_is() -> None:
    def list_places(facts):
        return [
            (held.key, item.item)
            for held in fill_checklists(facts)
            for item in held.items
            if any(place.anchor == "shortcuts" for place in item.places)
        ]

    assert len(list_places(facts_of(NONE))) == 3
    assert list_places(facts_of()) == []


def test_controls_have_a_table_and_their_warnings_are_not_counted_among_the_probes() -> None:
    facts = facts_of(NONE, controls=(PERMUTED, GAP))
    html = build_report(facts, views={}).html
    assert "No warning: the label" in html
    assert "At chance, as it must be" in html
    assert "+0.050 to +0.300" in html
    assert GAP["words"] in facts.limits
    assert facts.summary_lines[3] == f"Shortcuts: {GAP['words']}"
    assert "labels permuted among subjects" in dict(facts.methods.paragraphs)["Shortcuts"]


def test_controls_alone_are_a_section_too() -> None:
    html = build_report(facts_of(controls=(PERMUTED,)), views={}).html
    section = html.partition('id="shortcuts"')[2].partition("</section>")[0]
    assert "Can the label be predicted" not in section
    assert "must fail on test subjects" in section
