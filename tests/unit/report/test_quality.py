"""The quality section: everything flagged is shown, the page stays bounded, the table works."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from browser import find_chromium, open_browser
from reports import IMAGES, make_measured, make_sources

from medvision.domain.quality.findings import RULES
from medvision.report.facts import Facts, build_facts
from medvision.report.page import build_report
from medvision.report.quality import MAX_ROWS, MAX_TILES, build_quality
from medvision.report.sources import Sources
from medvision.report.words import QUALITY_RULES

CHROMIUM = find_chromium()


def make_pictures(facts: Facts) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 255, (96, 96)).astype(np.uint8) for name in facts.quality.tiles}


def render(sources: Sources) -> str:
    facts = build_facts(sources, title="x", author=None)
    return build_report(facts, views={}, pictures=make_pictures(facts)).html


def test_images_left_out_come_first_then_flagged_then_the_others() -> None:
    facts = build_quality(make_measured())
    assert (facts.n_images, facts.n_excluded, facts.n_flagged) == (len(IMAGES) + 1, 1, 3)
    states = [row.state for row in facts.rows]
    assert states == ["left out", *["flagged"] * 3, *["no finding"] * (len(IMAGES) - 3)]
    assert facts.rows[1].rules == ("noise", "blur")
    assert [(r.rule, r.n_excluded, r.n_flagged) for r in facts.rules] == [
        *[("constant", 1, 0), ("noise", 0, 3), ("blur", 0, 1)]
    ]


def test_a_large_cohort_leaves_a_bounded_page_and_the_same_each_time() -> None:
    large = make_measured(n_images=2000, n_flagged=40)
    facts = build_quality(large)
    assert (len(facts.rows), len(facts.tiles)) == (MAX_ROWS, MAX_TILES)
    assert sum(row.state != "no finding" for row in facts.rows) == 41
    assert build_quality(large) == facts
    html = render(large)
    assert find_sheet(html).count("<img") == MAX_TILES
    assert len(html) < 2_000_000


def find_sheet(html: str) -> str:
    """Return the contact sheet: leaking pairs have pictures too."""
    return html.partition('<ul class="sheet"')[2].partition("</ul>")[0]


def test_an_image_that_could_not_be_read_has_a_row_and_no_tile() -> None:
    sources = make_measured()
    measures = [dict(row) for row in sources.table("measures")]
    measures[0] = {"image_id": IMAGES[0], "reason": "no such file"}
    facts = build_quality(replace(sources, tables={**sources.tables, "measures": measures}))
    assert IMAGES[0] not in facts.tiles
    assert IMAGES[0] in {row.image_id for row in facts.rows}


def test_what_is_left_out_is_a_reason_of_its_own_in_the_flow() -> None:
    facts = build_facts(make_measured(), title="x", author=None)
    (converted,) = [step for step in facts.cohort.steps if step.label == "Converted"]
    assert ("Quality: constant", 1) in [(tally.words, tally.n) for tally in converted.left]


def test_the_detail_of_a_finding_is_text_and_no_markup() -> None:
    html = render(make_measured())
    assert "constant (all &lt;i&gt;7&lt;/i&gt;)" in html
    assert "<i>7</i>" not in html


def test_every_tile_says_in_words_what_it_shows() -> None:
    alts = re.findall(r'<img [^>]*alt="([^"]*)"', find_sheet(render(make_measured())))
    assert alts[0] == "healthy, left out: constant"
    assert alts[1] == "nodule, flagged: noise, blur"


def test_a_study_without_measures_has_no_section() -> None:
    assert 'id="quality"' not in render(make_sources(explained=0))


def test_the_page_has_words_for_every_rule() -> None:
    assert tuple(QUALITY_RULES) == tuple(RULES)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
def test_the_table_is_sorted_and_filtered_and_the_download_follows(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(make_measured()))
    with open_browser(CHROMIUM or "", tmp_path / "profile") as page:
        page.open(path)
        held = page.evaluate(
            """(() => {
              const box = document.querySelector("[data-sortable]");
              const shown = () => [...box.querySelectorAll("tbody tr")].filter((r) => !r.hidden);
              const list = box.querySelector("select");
              list.value = "flagged";
              list.dispatchEvent(new Event("change"));
              box.querySelectorAll("th button")[5].click();
              box.querySelectorAll("th button")[5].click();
              let taken = "";
              HTMLAnchorElement.prototype.click = function () { taken = this.href; };
              [...box.querySelectorAll(".tools button")].at(-1).click();
              return [box.querySelector("output").textContent,
                shown().map((row) => row.cells[5].textContent).join(" "),
                box.querySelectorAll("th")[5].getAttribute("aria-sort"), taken];
            })()"""
        )
        assert held[:3] == ["3 rows", "3 2 1", "descending"]
        rows = list(csv.reader(io.StringIO(unquote(held[3].partition(",")[2]))))
        assert [row[5] for row in rows] == ["Planes", "3", "2", "1"]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert not [e for e in page.events if e.get("method") == "Runtime.exceptionThrown"]


def test_subjects_with_images_of_different_labels_are_counted_on_the_page():
    sources = make_measured()
    cohort = [dict(row) for row in sources.tables["cohort"]]
    assert "images with different labels" not in build_quality(sources).mixed
    cohort[1] |= {"subject": cohort[0]["subject"], "label": "healthy"}
    cohort[0] |= {"label": "nodule"}
    found = build_quality(replace(sources, tables={**sources.tables, "cohort": cohort}))
    assert "1 of 35 subjects has images with different labels (2 images)" in found.mixed
