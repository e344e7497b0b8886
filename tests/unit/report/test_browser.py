"""Claims that only a browser can judge: no error, no request, images load, the viewer scrolls."""

from pathlib import Path

import pytest
from browser import find_chromium, list_faults, open_browser
from reports import make_grids, make_sources
from target_reports import make_target_sources

from medvision.report.case import build_case_view
from medvision.report.facts import build_facts
from medvision.report.page import build_report

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    facts = build_facts(make_sources(explained=2), title="A study", author=None)
    views = {
        case.image_id: build_case_view(case.image_id, make_grids(n))
        for n, case in enumerate(facts.explanation.cases)
    }
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(build_report(facts, views=views).html)
    return path


@pytest.fixture(scope="module", params=["multilabel", "regression", "external"])
def target_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    outside = request.param == "external"
    task = "multilabel" if outside else request.param
    sources = make_target_sources(task, external=outside)
    facts = build_facts(sources, title="A study", author=None)
    views = {
        case.image_id: build_case_view(case.image_id, make_grids(n))
        for n, case in enumerate(facts.explanation.cases)
    }
    path = tmp_path_factory.mktemp("targets") / "report.html"
    path.write_text(build_report(facts, views=views).html)
    return path


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["desk", "phone"])
def test_the_page_loads_whole_without_error_or_request(
    page_file: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    with open_browser(CHROMIUM or "", tmp_path) as page:
        page.open(page_file, width=width, dark=dark)
        assert page.evaluate("document.documentElement.className") == "scripted"
        assert page.evaluate("document.images.length") >= 8
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (light == "rgb(254, 254, 254)") is not dark
        page.evaluate(
            "(() => { const s = document.querySelector('#slider-1'); s.value = '3';"
            " s.dispatchEvent(new Event('input')); })()"
        )
        assert page.evaluate("document.querySelector('#case-1 output').textContent") == "4"
        shift = page.evaluate(
            "(() => { const v = document.querySelector('#case-1 .view').getBoundingClientRect();"
            " const i = document.querySelector('#case-1 .layer').getBoundingClientRect();"
            " return (v.top - i.top) / v.height * 64; })()"
        )
        assert abs(shift - (3 * 66 + 1)) < 0.5
        assert list_faults(page) == []


def test_keys_and_wheel_scroll_through_the_slices(page_file: Path, tmp_path: Path) -> None:
    shown = "document.querySelector('#case-1 output').textContent"
    with open_browser(CHROMIUM or "", tmp_path) as page:
        page.open(page_file)
        page.evaluate("document.querySelector('#slider-1').focus()")
        before = int(page.evaluate(shown))
        for kind in ("keyDown", "keyUp"):
            page.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key="ArrowRight",
                code="ArrowRight",
                windowsVirtualKeyCode=39,
            )
        assert int(page.evaluate(shown)) == before + 1
        told = "document.querySelector('#slider-1').getAttribute('aria-valuetext')"
        assert page.evaluate(told) == f"slice {before + 1}"
        for shift, wanted in ((True, before), (False, before)):
            page.evaluate(
                "document.querySelector('#case-1 .panels').dispatchEvent(new WheelEvent('wheel', "
                f"{{ deltaY: -1, shiftKey: {str(shift).lower()}, bubbles: true }}))"
            )
            assert int(page.evaluate(shown)) == wanted


def test_a_planted_error_and_request_are_found(page_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    text = page_file.read_text().replace(
        "</main>", '<img src="http://127.0.0.1:9/x.png" alt="x"></main>'
    )
    broken.write_text(text)
    with open_browser(CHROMIUM or "", tmp_path / "profile") as page:
        page.open(broken)
        assert not page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
        assert list_faults(page)


@pytest.mark.parametrize("width", [1280, 390], ids=["desk", "phone"])
def test_the_page_of_findings_or_a_value_loads_whole_and_fits(
    target_file: Path, tmp_path: Path, width: int
) -> None:
    with open_browser(CHROMIUM or "", tmp_path) as page:
        page.open(target_file, width=width)
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        widths = page.evaluate(
            "[...document.querySelectorAll('#performance figure')].map(f => Math.max("
            "...[...f.querySelectorAll('svg, canvas')].map(e => e.getBoundingClientRect().width)))"
        )
        assert len(widths) >= 2
        assert min(widths) > 100
        assert list_faults(page) == []
