"""The page is for everybody: landmarks, headings, names, contrast, keyboard, paper."""

import re
from pathlib import Path

import pytest
from browser import Page, find_chromium, open_browser
from reports import make_grids, make_measured
from target_reports import make_target_sources

import medvision.report
from medvision.report.case import build_case_view
from medvision.report.facts import build_facts
from medvision.report.page import build_report

CHROMIUM = find_chromium()
STYLE = (Path(medvision.report.__file__).parent / "templates" / "style.css").read_text()
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    facts = build_facts(make_measured(n_images=60, explained=2), title="A study", author=None)
    views = {
        case.image_id: build_case_view(case.image_id, make_grids(n))
        for n, case in enumerate(facts.explanation.cases)
    }
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(build_report(facts, views=views).html)
    return path


def read_colours(block: str) -> dict[str, tuple[int, int, int]]:
    return {
        name: tuple(int(digits[i : i + 2], 16) for i in (0, 2, 4))
        for name, digits in re.findall(r"--([\w-]+): #([0-9a-f]{6})", block)
    }


def compute_contrast(one: tuple[int, int, int], two: tuple[int, int, int]) -> float:
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour: tuple[int, int, int]) -> float:
        parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_the_paper(scheme: str) -> None:
    light, _, rest = STYLE.partition("@media (prefers-color-scheme: dark)")
    colours = read_colours(light if scheme == "light" else rest.partition("* {")[0])
    inks = ("ink", "muted", "first", "second", "pass", "fail", "unsure", "empty")
    ratios = {name: compute_contrast(colours[name], colours["paper"]) for name in inks}
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}
    assert compute_contrast(colours["band"], colours["on-band"]) >= 4.5


def test_a_contrast_too_low_would_be_found() -> None:
    assert compute_contrast((255, 255, 255), (0, 0, 0)) == pytest.approx(21)
    assert compute_contrast((255, 255, 255), (160, 160, 160)) < 4.5


FAULTS = """(() => {
  const faults = [];
  const one = (query) => document.querySelectorAll(query).length === 1 || faults.push(query);
  ["main", "h1", "body > header", "body > footer", "nav[aria-label]"].forEach(one);
  let level = 1;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    const held = Number(heading.tagName[1]);
    if (held > level + 1) faults.push(`${heading.tagName} ${heading.textContent}`);
    level = held;
  }
  for (const section of document.querySelectorAll("main > section"))
    if (!document.getElementById(section.getAttribute("aria-labelledby"))) faults.push(section.id);
  for (const table of document.querySelectorAll("table"))
    if (!table.caption?.textContent.trim()) faults.push(`no caption: ${table.innerHTML}`);
  for (const head of document.querySelectorAll("thead th"))
    if (!head.scope || !head.textContent.trim()) faults.push(`head: ${head.outerHTML}`);
  const ids = [...document.querySelectorAll("[id]")].map((held) => held.id);
  faults.push(...ids.filter((id, n) => ids.indexOf(id) !== n).map((id) => `twice: ${id}`));
  for (const link of document.querySelectorAll("a[href^='#']"))
    if (!document.getElementById(link.hash.slice(1))) faults.push(link.hash);
  for (const control of document.querySelectorAll("button, select, input")) {
    const label = control.getAttribute("aria-label") || control.labels?.[0]?.textContent;
    if (!(label || control.textContent).trim()) faults.push(control.outerHTML);
  }
  return faults;
})()"""


@needs_browser
def test_landmarks_headings_and_names_are_there(page_file: Path, tmp_path: Path) -> None:
    with open_browser(CHROMIUM or "", tmp_path) as page:
        page.open(page_file)
        assert page.evaluate(FAULTS) == []
        page.evaluate("document.querySelector('main h3').outerHTML = '<h4>planted</h4>'")
        page.evaluate("document.querySelector('caption').remove()")
        assert len(page.evaluate(FAULTS)) >= 2


@needs_browser
@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_pages_of_findings_and_values_have_no_such_fault_either(task: str, tmp_path: Path) -> None:
    facts = build_facts(make_target_sources(task, explained=1), title="A study", author=None)
    views = {
        case.image_id: build_case_view(case.image_id, make_grids(0))
        for case in facts.explanation.cases
    }
    path = tmp_path / "report.html"
    path.write_text(build_report(facts, views=views).html)
    with open_browser(CHROMIUM or "", tmp_path / "profile") as page:
        page.open(path)
        assert page.evaluate(FAULTS) == []


def tab(page: Page) -> None:
    for kind in ("keyDown", "keyUp"):
        page.call(
            "Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9
        )


@needs_browser
def test_the_keyboard_reaches_every_control_and_shows_where_it_is(
    page_file: Path, tmp_path: Path
) -> None:
    where = """(() => {
      const held = document.activeElement;
      const isOutlined = getComputedStyle(held).outlineStyle !== "none";
      return [held.tagName, held.className, held.matches(":focus-visible") && isOutlined];
    })()"""
    with open_browser(CHROMIUM or "", tmp_path) as page:
        page.open(page_file)
        tab(page)
        assert page.evaluate("document.activeElement.className") == "skip"
        wanted = page.evaluate(
            "[...document.querySelectorAll('button:enabled, summary, .plot, input, select')]"
            ".filter(e => e.checkVisibility()).length"
        )
        seen = []
        for _ in range(200):
            tab(page)
            seen.append(page.evaluate(where))
            if seen[-1][0] == "BODY":
                break
        reached = [held for held in seen if held[0] in ("BUTTON", "SUMMARY", "INPUT", "SELECT")]
        reached += [held for held in seen if held[1] == "plot"]
        assert len(reached) == wanted
        assert all(shows for _, _, shows in reached)


@needs_browser
def test_paper_has_all_rows_and_no_controls(page_file: Path, tmp_path: Path) -> None:
    with open_browser(CHROMIUM or "", tmp_path) as page:
        page.open(page_file, dark=True)
        page.call("Emulation.setEmulatedMedia", media="print")
        assert (
            page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        )
        shown = "[...document.querySelectorAll('{}')].filter(e => e.getClientRects().length).length"
        assert page.evaluate(shown.format("button:not(th button), nav, input, select")) == 0
        n_rows = page.evaluate("document.querySelectorAll('[data-sortable] tbody tr').length")
        assert page.evaluate(shown.format("[data-sortable] tbody tr")) == n_rows == 61
