"""The checklists: every claim of an answer leads somewhere, and what is missing is left blank."""

import json
import re
from dataclasses import replace
from importlib.resources import files

import pytest
from reports import make_measured, make_sources

from medvision.report.checklist import CHECKLISTS, fill_checklists, list_checklist_rows
from medvision.report.evidence import EVIDENCE
from medvision.report.facts import Facts, build_facts
from medvision.report.page import build_report
from medvision.report.sources import Sources

NOTHING = replace(make_sources(), tables={}, histories=(), records=(), settings={}, documents={})
STUDIES = {
    "whole": make_sources(),
    "measured": make_measured(),
    "unexplained": make_sources(explained=0),
    "one-arm": make_sources(arms=("scratch",)),
    "nothing-run": NOTHING,
    "no-settings": replace(make_sources(), settings={}, documents={}),
    "no-evaluation": replace(
        make_sources(),
        tables={
            name: rows
            for name, rows in make_sources().tables.items()
            if name not in ("metrics", "roc", "calibration", "confusion", "thresholds")
        },
    ),
}


def make_findings() -> Sources:
    """The study as one of a single finding."""
    sources = make_sources(explained=0)
    rows = [
        {**row, "metric": name}
        for row in sources.table("metrics")
        if row["metric"] == "auc"
        for name in ("auc_macro", "auc_nodule")
    ]
    roc = [{**row, "finding": "nodule"} for row in sources.table("roc")]
    tables = {**sources.tables, "metrics": rows, "roc": roc, "comparison": []}
    summary = {"classes": ["nodule"], "positive": None, "task": "multilabel"}
    return replace(sources, tables=tables, documents={"cohort_summary": summary})


def make_values() -> Sources:
    """The study as one of a value."""
    sources = make_sources(explained=0)
    rows = [{**row, "metric": "mae"} for row in sources.table("metrics") if row["metric"] == "auc"]
    errors = [{"arm": "transfer", "value": str(n), "predicted": str(n + 1)} for n in range(9)]
    empty = dict.fromkeys(("roc", "calibration", "confusion", "thresholds", "comparison"), ())
    labels = {
        name: [{**row, "label": str(n % 7)} for n, row in enumerate(sources.table(name))]
        for name in ("cohort", "folds")
    }
    tables = {**sources.tables, **empty, **labels, "metrics": rows, "errors": errors}
    summary = {"classes": ["age"], "positive": None, "task": "regression"}
    return replace(sources, tables=tables, documents={"cohort_summary": summary})


STUDIES |= {"findings": make_findings(), "values": make_values()}


@pytest.mark.parametrize(("name", "anchor"), [("findings", "findings"), ("values", "agreement")])
def test_another_task_has_its_own_figures_in_the_place_of_curves(name: str, anchor: str) -> None:
    places = [place.anchor for place in find_item(build(STUDIES[name]), "tripod-ai", "23a").places]
    assert places == ["performance", anchor]


def build(sources: Sources) -> Facts:
    return build_facts(sources, title="A study", author=None)


def find_item(facts: Facts, key: str, number: str):
    (checklist,) = [held for held in fill_checklists(facts) if held.key == key]
    (item,) = [item for item in checklist.items if item.item == number]
    return item


@pytest.mark.parametrize("name", STUDIES)
def test_an_item_said_to_be_answered_leads_to_a_place_on_the_page(name: str) -> None:
    report = build_report(build(STUDIES[name]), views={})
    ids = set(re.findall(r' id="([^"]+)"', report.html))
    places = {
        (item.item, place.anchor)
        for held in report.checklists
        for item in held.items
        for place in item.places
    }
    assert {(item, anchor) for item, anchor in places if anchor not in ids} == set()


def test_an_anchor_that_does_not_exist_would_be_found() -> None:
    html = build_report(build(make_sources()), views={}).html
    assert ' id="confusion"' in html
    assert ' id="planted"' not in html


def test_a_study_of_which_nothing_was_run_leaves_nearly_all_to_the_authors() -> None:
    facts = build(NOTHING)
    filled = [item for held in fill_checklists(facts) for item in held.items if item.places]
    assert {place.anchor for item in filled for place in item.places} <= {
        "limits",
        "reproducibility",
    }
    blank = [item for held in fill_checklists(facts) for item in held.items if not item.places]
    assert all(item.state == "authors" and item.authors for item in blank)


def test_a_fact_taken_away_makes_its_item_blank() -> None:
    whole = build(make_sources())
    assert find_item(whole, "claim", "23").state == "answered"
    gone = replace(whole, provenance=replace(whole.provenance, software={}))
    item = find_item(gone, "claim", "23")
    assert (item.state, item.places) == ("authors", ())
    assert item.authors == "The step that would answer this was not run."


def test_one_of_two_facts_taken_away_makes_its_item_partial_and_says_which() -> None:
    whole = build(make_sources())
    assert find_item(whole, "claim", "31").state == "answered"
    gone = replace(whole, explanation=replace(whole.explanation, matrix=()))
    item = find_item(gone, "claim", "31")
    assert item.state == "part"
    assert item.authors == "Not in this report: checks of explanations."


def test_what_only_authors_know_is_never_claimed() -> None:
    facts = build(make_sources())
    for key, numbers in {
        "tripod-ai": ("3a", "8a", "14", "17", "18a", "18b", "19", "25"),
        "claim": ("3", "4", "14", "16", "18", "34", "44"),
    }.items():
        assert {find_item(facts, key, number).state for number in numbers} == {"authors"}


@pytest.mark.parametrize(("asked", "state"), [("none", "authors"), ("sampling", "part")])
def test_balancing_is_claimed_only_where_it_was_configured(asked: str, state: str) -> None:
    sources = make_sources()
    train = {**sources.settings["train"], "imbalance": asked}
    facts = build(replace(sources, settings={**sources.settings, "train": train}))
    assert find_item(facts, "tripod-ai", "13").state == state


def test_the_lists_are_whole_and_name_only_known_evidence() -> None:
    numbers = {}
    for name in CHECKLISTS:
        text = files("medvision.report").joinpath("checklists", f"{name}.json").read_text()
        held = json.loads(text)
        numbers[name] = [item["item"] for item in held["items"]]
        assert "doi:" in held["citation"]
        for item in held["items"]:
            assert {name for names in item["evidence"] for name in names.split("/")} <= set(
                EVIDENCE
            )
            assert item["evidence"] or item["authors"]
    assert numbers["claim"] == [str(n) for n in range(1, 45)]
    assert len(numbers["tripod_ai"]) == len(set(numbers["tripod_ai"])) == 52
    assert list(dict.fromkeys(re.sub(r"\D", "", n) for n in numbers["tripod_ai"])) == [
        str(n) for n in range(1, 28)
    ]


def test_all_evidence_is_used_by_some_item() -> None:
    used = {
        name
        for key in CHECKLISTS
        for item in json.loads(
            files("medvision.report").joinpath("checklists", f"{key}.json").read_text()
        )["items"]
        for names in item["evidence"]
        for name in names.split("/")
    }
    assert used == set(EVIDENCE)


def test_the_table_and_the_json_say_what_the_page_says() -> None:
    report = build_report(build(make_sources()), views={})
    rows = list_checklist_rows(report.checklists)
    assert len(rows) == 96
    (row,) = [row for row in rows if (row["checklist"], row["item"]) == ("claim", "19")]
    assert row["where"] == "report.html#methods-splitting report.html#folds"
    assert row["state"] == "answered"
    held = {item["key"]: item for item in report.facts["checklists"]}
    assert sum(held["claim"]["n_by_state"].values()) == 44
    assert held["claim"]["items"][18]["state"] == "answered"
