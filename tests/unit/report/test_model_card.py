"""The model card: the hub's layout, figures from the facts, and blanks where only authors know."""

import json
import re
from dataclasses import replace

import pytest
import yaml
from reports import make_sources

from medvision.report.facts import Facts, build_facts
from medvision.report.model_card import NEEDED, build_model_card
from medvision.report.page import Report, build_report

HEADINGS = [
    *("Model Details", "Uses", "Bias, Risks, and Limitations", "Recommendations"),
    *("How to Get Started with the Model", "Training Details", "Training Data"),
    *("Training Procedure", "Preprocessing", "Training Hyperparameters", "Evaluation"),
    *("Testing Data", "Factors", "Metrics", "Results", "Model Examination"),
    *("Environmental Impact", "Technical Specifications", "Citation", "Model Card Authors"),
    "Model Card Contact",
]


@pytest.fixture(scope="module")
def facts() -> Facts:
    return build_facts(make_sources(), title="A study: with | a bar", author=None)


@pytest.fixture(scope="module")
def report(facts: Facts) -> Report:
    return build_report(facts, views={})


def read_front_matter(card: str) -> dict[str, object]:
    _, head, _ = re.split(r"^---$\n?", card, maxsplit=2, flags=re.MULTILINE)
    return yaml.safe_load(head)


def test_the_headings_are_those_of_the_hub_in_its_order(report: Report) -> None:
    held = re.findall(r"^#{2,4} (.+)$", report.model_card, flags=re.MULTILINE)
    assert [heading for heading in held if heading in HEADINGS] == HEADINGS


def test_the_head_holds_each_figure_with_interval_and_counts(report: Report, facts: Facts) -> None:
    head = read_front_matter(report.model_card)
    assert head["pipeline_tag"] == "image-classification"
    (model,) = head["model-index"]
    assert model["name"] == "A study: with | a bar"
    (result,) = model["results"]
    assert result["dataset"]["split"] == "test"
    auc = result["metrics"][0]
    assert (auc["type"], auc["value"]) == ("roc_auc", 0.912)
    assert auc["args"] == {"interval": [0.804, 0.981], "n_images": 36, "n_subjects": 36}
    assert len(result["metrics"]) == len(facts.performance.metrics)


def test_the_json_says_the_same_as_the_markdown(report: Report) -> None:
    held = json.loads(json.dumps(report.model_card_json))
    assert held["metadata"] == read_front_matter(report.model_card)
    texts = [section["text"] for section in held["sections"]]
    assert [text for text in texts if text not in report.model_card] == []


def test_what_no_fact_tells_is_asked_for_and_never_guessed(facts: Facts) -> None:
    sections = {held.heading: held.text for held in build_model_card(facts).sections}
    for heading in ("Citation", "Model Card Authors", "Model Card Contact"):
        assert sections[heading] == NEEDED
    assert f"License:** {NEEDED}" in sections["Model Description"]
    signed = build_model_card(replace(facts, author="A. Author"))
    assert {held.heading: held.text for held in signed.sections}[
        "Model Card Authors"
    ] == "A. Author"


def test_a_figure_without_interval_is_none_and_no_figure_leaves_no_index() -> None:
    sources = make_sources()
    rows = [{**row, "low": "", "high": ""} for row in sources.table("metrics")]
    tables = {**sources.tables, "metrics": rows}
    card = build_model_card(build_facts(replace(sources, tables=tables), title="x", author=None))
    (result,) = card.metadata["model-index"][0]["results"]
    assert result["metrics"][0]["args"]["interval"] == [None, None]
    none = replace(sources, tables={**tables, "metrics": []})
    card = build_model_card(build_facts(none, title="x", author=None))
    assert "model-index" not in card.metadata
