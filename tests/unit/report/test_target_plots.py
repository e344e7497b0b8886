"""Plots of findings, values and decisions hold the facts and are read by pointer and keys."""

import re
from pathlib import Path

import pytest
from browser import Page, find_chromium, open_browser, point_at, press
from reports import make_sources
from target_reports import make_target_sources

from medvision.report.facts import Facts, build_facts
from medvision.report.page import build_report
from medvision.report.plots import build_plots
from medvision.report.sources import Sources
from medvision.report.target_plots import MAX_CURVE, build_target_plots

CHROMIUM = find_chromium()
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
TASKS = ("multilabel", "regression")


def build(sources: Sources) -> Facts:
    return build_facts(sources, title="A study", author=None)


def add_decision(sources: Sources) -> Sources:
    """A decision curve of both arms at three thresholds; scratch is undefined at the last."""
    sources.tables["decision"] = [
        {
            "arm": arm,
            "threshold": str(at),
            "net_benefit": "" if (arm, at) == ("scratch", 0.75) else str(worth - at / 4),
            "low": "",
            "high": "",
            "treat_all": str(0.5 - at),
        }
        for arm, worth in (("transfer", 0.4), ("scratch", 0.3))
        for at in (0.25, 0.5, 0.75)
    ]
    return sources


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, held = tmp_path_factory.mktemp("pages"), {}
    sources = {task: make_target_sources(task, explained=0) for task in TASKS}
    sources["classification"] = add_decision(make_sources(explained=0))
    for task, each in sources.items():
        held[task] = folder / f"{task}.html"
        held[task].write_text(build_report(build(each), views={}).html)
    return held


def shorten(x: float, y: float) -> tuple[float, float]:
    return float(f"{x:.4g}"), float(f"{y:.4g}")


def test_every_image_s_values_are_on_one_rising_axis() -> None:
    facts = build(make_target_sources("regression", explained=0))
    plots = build_plots(facts)
    for name, move in (
        ("scatter", lambda x, y: (x, y)),
        ("bland_altman", lambda x, y: ((x + y) / 2, y - x)),
    ):
        held = plots[name]
        assert held["x"] == sorted(held["x"])
        for arm, series in zip(facts.performance.values, held["series"], strict=True):
            wanted = sorted(shorten(*move(x, y)) for x, y in arm.points)
            found = [(x, y) for x, y in zip(held["x"], series["y"], strict=True) if y is not None]
            assert sorted(found) == wanted


def test_bias_and_limits_are_lines_of_the_agreement() -> None:
    facts = build(make_target_sources("regression", explained=0))
    lines = build_plots(facts)["bland_altman"]["lines"]
    bias = facts.performance.find("transfer", "bias").value
    assert {"y": pytest.approx(bias, rel=1e-3), "name": "Bias, Transfer learning"}.items() <= (
        lines[1].items()
    )
    assert [line["dotted"] for line in lines[1:4]] == [False, True, True]


def test_each_finding_has_its_curves_however_many_there_are() -> None:
    facts = build(make_target_sources("multilabel", explained=0))
    plots = build_target_plots(facts)["findings"]
    assert [held["name"] for held in plots] == [held.name for held in facts.performance.findings]
    for held, finding in zip(plots, facts.performance.findings, strict=True):
        assert len(held["roc"]["x"]) <= 2 * MAX_CURVE
        n_images = [n for n in held["calibration"]["series"][0]["n"] if n is not None]
        assert sum(n_images) == finding.n_known


def test_a_net_benefit_that_is_undefined_is_a_gap() -> None:
    held = build_plots(build(add_decision(make_sources(explained=0))))["decision"]
    assert held["series"][1]["y"] == [pytest.approx(0.2375), pytest.approx(0.175), None]
    assert held["series"][2]["name"] == "Acting on all"


def list_errors(page: Page) -> list[dict[str, object]]:
    errors = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    return [event for event in page.events if event.get("method") in errors]


@needs_browser
def test_values_are_read_at_the_nearest_point_and_along_the_keys(
    files: dict[str, Path], tmp_path: Path
) -> None:
    facts = build(make_target_sources("regression", explained=0))
    held = build_plots(facts)["scatter"]
    low, high = held["range"]
    n = next(n for n, y in enumerate(held["series"][0]["y"]) if y is not None and n > 20)
    x, y = held["x"][n], held["series"][0]["y"][n]
    with open_browser(CHROMIUM or "", tmp_path) as page:
        page.open(files["regression"])
        said = point_at(
            page,
            "#performance figure:nth-of-type(1)",
            (x - low) / (high - low),
            (y - low) / (high - low),
        )
        assert said == f"Transfer learning: predicted age {y:g} at true age {x:g}"
        page.evaluate("document.querySelector('#performance figure:nth-of-type(2) .plot').focus()")
        assert re.fullmatch(
            r"Transfer learning: predicted − true -?[\d.]+ at mean of true and predicted age "
            r"[\d.]+",
            press(page, "ArrowRight"),
        )
        assert press(page, "ArrowDown").startswith("From scratch: predicted − true ")
        label = page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert "Bias, Transfer learning at " in label
        assert list_errors(page) == []


@needs_browser
def test_the_finding_that_is_chosen_is_the_one_read(files: dict[str, Path], tmp_path: Path) -> None:
    plots = build_plots(build(make_target_sources("multilabel", explained=0)))["findings"]
    with open_browser(CHROMIUM or "", tmp_path) as page:
        page.open(files["multilabel"], width=390, dark=True)
        for n in (0, 2):
            page.evaluate(
                f"(() => {{ const s = document.querySelector('[data-chooser] select');"
                f" s.selectedIndex = {n}; s.dispatchEvent(new Event('change'));"
                " document.querySelector('[data-of=calibration] .plot').focus(); })()"
            )
            held = plots[n]["calibration"]
            first = next(k for k, y in enumerate(held["series"][0]["y"]) if y is not None)
            said = press(page, "ArrowRight")
            assert f"observed share {held['series'][0]['y'][first]:g}" in said
            assert f"probability {held['x'][first]:g}" in said
        assert page.evaluate("document.querySelectorAll('[data-chooser] .uplot').length") == 2
        assert list_errors(page) == []


@needs_browser
def test_a_decision_curve_is_read_with_acting_on_all(
    files: dict[str, Path], tmp_path: Path
) -> None:
    with open_browser(CHROMIUM or "", tmp_path) as page:
        page.open(files["classification"])
        page.evaluate("document.querySelector('figure.wide .plot').focus()")
        assert press(page, "ArrowRight") == (
            "Transfer learning: net benefit 0.3375 at probability from which one would act 0.25"
        )
        press(page, "ArrowDown")
        assert press(page, "ArrowDown").startswith("Acting on all: net benefit 0.25 at")
        assert (
            page.evaluate("document.querySelector('figure.wide .key').textContent")
            == "Transfer learningFrom scratchActing on allActing on none"
        )
        assert list_errors(page) == []


@needs_browser
def test_paper_shows_every_finding_s_curves_and_no_chooser(
    files: dict[str, Path], tmp_path: Path
) -> None:
    shown = "[...document.querySelectorAll('{}')].filter(e => e.getClientRects().length).length"
    with open_browser(CHROMIUM or "", tmp_path) as page:
        page.open(files["multilabel"])
        assert page.evaluate(shown.format("[data-chooser] .plot")) == 2
        page.call("Emulation.setEmulatedMedia", media="print")
        assert page.evaluate(shown.format("[data-chooser] *")) == 0
        assert page.evaluate(shown.format("#performance figure > svg")) == 3
