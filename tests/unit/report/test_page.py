"""Claims on the page: self-contained, escaped, equal bytes, every number from the facts."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from reports import make_grids, make_sources

from medvision.report.case import build_case_view
from medvision.report.facts import build_facts
from medvision.report.page import Report, build_report
from medvision.report.render import render_page
from medvision.report.sources import Sources
from medvision.report.words import RESEARCH_USE

NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)")
VOID = {"meta", "link", "img", "br", "input", "line", "circle", "rect", "path", "use"}


class Text(HTMLParser):
    """Visible text of a page: no styles, scripts, drawings, and nothing hidden from readers."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.ids: list[str] = []
        self.unnamed: list[str] = []
        self._closed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        if "id" in held:
            self.ids.append(held["id"] or "")
        if tag == "img" and not held.get("alt"):
            self.unnamed.append(self.get_starttag_text() or tag)
        if tag in VOID:
            return
        if self._closed or tag in ("style", "script", "svg", "title"):
            self._closed.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._closed and tag not in VOID:
            self._closed.pop()

    def handle_data(self, data: str) -> None:
        if not self._closed:
            self.words.append(data)


def read_page(html: str) -> Text:
    text = Text()
    text.feed(html)
    return text


def build(sources: Sources, *, title: str = "A study", masked: bool = True) -> Report:
    facts = build_facts(sources, title=title, author="A. Author")
    views = {
        case.image_id: build_case_view(case.image_id, make_grids(n, masked=masked))
        for n, case in enumerate(facts.explanation.cases)
    }
    return build_report(facts, views=views)


@pytest.fixture(scope="module")
def report() -> Report:
    return build(make_sources())


def list_leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for key, held in value.items():
            yield key
            yield from list_leaves(held)
    elif isinstance(value, list):
        yield len(value)
        for held in value:
            yield from list_leaves(held)
    else:
        yield value


def find_strangers(page: str, facts: object) -> list[str]:
    """Numbers on the page that no fact holds, rounded as the page rounds it."""
    leaves = list(list_leaves(facts))
    strings = " ".join(str(leaf) for leaf in leaves if isinstance(leaf, str))
    known = set(NUMBER.findall(strings))
    numbers = [leaf for leaf in leaves if isinstance(leaf, int | float)]
    for number in numbers:
        value = abs(number)
        known |= {f"{value:.{n}f}" for n in range(4)} | {f"{value:.3g}", f"{100 * value:.3g}"}
        known.add(f"{100 * value:.1f}")
    return [token for token in NUMBER.findall(page) if token not in known]


def test_every_number_shown_is_a_fact(report: Report) -> None:
    text = " ".join(read_page(report.html).words)
    assert find_strangers(text, report.facts) == []
    assert find_strangers(report.model_card, report.facts) == []


def test_a_number_that_is_no_fact_would_be_found(report: Report) -> None:
    assert find_strangers("AUC 0.7777 of 31337", report.facts) == ["0.7777", "31337"]


def test_the_page_asks_nothing_of_the_network(report: Report) -> None:
    assert "default-src 'none'" in report.html
    addresses = re.findall(r"(?:src|href|url\()=?[\"'(]?([^\"')\s>]+)", report.html)
    outside = [a for a in addresses if not a.startswith(("data:", "#"))]
    assert [a for a in outside if "//" in a] == []
    assert "@import" not in report.html


def test_research_use_is_said_everywhere(report: Report) -> None:
    assert report.html.count(RESEARCH_USE) >= 3
    assert RESEARCH_USE in report.model_card
    assert json.loads(json.dumps(report.facts))["research_use"] == RESEARCH_USE


def test_equal_inputs_give_equal_bytes(report: Report) -> None:
    again = build(make_sources())
    assert again.html == report.html
    assert again.figures == report.figures
    assert again.model_card == report.model_card


def test_markup_in_a_title_or_label_is_only_text() -> None:
    sources = make_sources(explained=1)
    tables = {
        name: [{k: v.replace("nodule", "<b onclick=x>") for k, v in row.items()} for row in rows]
        for name, rows in sources.tables.items()
    }
    documents = {"cohort_summary": {"classes": ["healthy", "<b onclick=x>"]}}
    report = build(
        replace(sources, tables=tables, documents=documents), title="<script>alert(1)</script>"
    )
    assert "<b onclick" not in report.html
    assert "<script>alert" not in report.html
    assert "&lt;script&gt;alert" in report.html


def test_ids_are_unique_and_images_are_described(report: Report) -> None:
    page = read_page(report.html)
    assert len(page.ids) == len(set(page.ids))
    assert page.unnamed == []
    assert {"main", "summary", "performance", "explanations"} <= set(page.ids)


def test_published_figures_have_their_names(report: Report) -> None:
    assert {"flow.png", "performance.png", "roc.png", "calibration.png", "training.png"} < set(
        report.figures
    )
    assert "case-01.png" in report.figures
    assert all(png.startswith(b"\x89PNG") for png in report.figures.values())


def test_verdicts_are_words_not_colours_alone(report: Report) -> None:
    words = " ".join(" ".join(read_page(report.html).words).split())
    assert "Points at the lesion: failed" in words
    assert "Completeness: not applicable" in words


def test_an_override_of_leakage_stands_on_top(report: Report) -> None:
    facts = build_facts(make_sources(leakage="reported"), title="A study", author=None)
    html = render_page(facts, {}, views={})
    assert 0 < html.index("Leakage was let through") < html.index('id="summary"')
    assert "Leakage was let through" not in report.html


@pytest.mark.parametrize(
    "sources",
    [
        make_sources(arms=("scratch",)),
        make_sources(explained=0),
        replace(make_sources(), tables={}, histories=(), records=()),
        replace(make_sources(), settings={}, documents={}),
    ],
    ids=["one-arm", "no-explanations", "nothing-run", "no-settings"],
)
def test_missing_parts_leave_a_page_that_still_reads(sources: Sources) -> None:
    report = build(sources, masked=False)
    page = read_page(report.html)
    text = " ".join(page.words)
    assert "None" not in text
    assert "nan" not in text.split()
    links = set(re.findall(r'<li><a href="#([a-z]+)"', report.html))
    assert links <= set(page.ids)


def test_more_than_two_classes_have_a_page() -> None:
    sources = make_sources(arms=("scratch",), explained=1)
    documents = {"cohort_summary": {"classes": ["a", "healthy", "nodule"], "positive": None}}
    rows = [
        {**row, "metric": {"auc": "auc_macro", "sensitivity": "auc_nodule"}.get(row["metric"], "x")}
        for row in sources.table("metrics")
    ]
    report = build(
        replace(sources, documents=documents, tables={**sources.tables, "metrics": rows})
    )
    text = " ".join(read_page(report.html).words)
    assert "AUC, nodule" in text
    assert "Prevalence" not in text
