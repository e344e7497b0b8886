"""The plots read out the facts' own values, by pointer and keys, and stay small."""

import hashlib
import html
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import find_chromium, open_browser, point_at, press
from reports import make_sources

import medvision.report
from medvision.report.facts import Facts, build_facts
from medvision.report.page import build_report
from medvision.report.plots import MAX_EPOCHS, MAX_MODELS, build_plots
from medvision.report.sources import History

CHROMIUM = find_chromium()
VENDOR = Path(medvision.report.__file__).parent / "vendor"
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")


@pytest.fixture(scope="module")
def facts() -> Facts:
    return build_facts(make_sources(explained=0), title="A study", author=None)


@pytest.fixture(scope="module")
def page_file(facts: Facts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(build_report(facts, views={}).html)
    return path


def test_the_librarys_files_are_the_published_ones() -> None:
    told = re.findall(r"`([\w.]+)` \| `([0-9a-f]{64})`", (VENDOR / "README.md").read_text())
    assert {path.name for path in VENDOR.iterdir()} == {name for name, _ in told} | {"README.md"}
    for name, digest in told:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest


def test_a_curve_has_at_each_place_the_highest_sensitivity_reached_there(facts: Facts) -> None:
    held = build_plots(facts)["roc"]
    for arm, series in zip(facts.performance.arms, held["series"], strict=True):
        for x, y in zip(held["x"], series["y"], strict=True):
            reached = [tpr for fpr, tpr in arm.roc if fpr <= x + 1e-9]
            assert y == pytest.approx(max(reached), rel=1e-3)


def test_a_bin_that_an_arm_lacks_is_a_gap() -> None:
    sources = make_sources(explained=0)
    rows = [
        row
        for row in sources.table("calibration")
        if row["arm"] == "transfer" or row["predicted"] != "0.3"
    ]
    tables = {**sources.tables, "calibration": rows}
    built = build_facts(replace(sources, tables=tables), title="x", author=None)
    held = build_plots(built)["calibration"]
    n = held["x"].index(0.3)
    transfer, scratch = held["series"]
    assert (scratch["y"][n], scratch["low"][n], scratch["n"][n]) == (None, None, None)
    assert (transfer["y"][n], transfer["n"][n]) == (pytest.approx(0.3**1.2, rel=1e-3), 7)


def test_many_models_and_epochs_leave_small_values() -> None:
    rows = [{"epoch": str(n), "train_loss": "0.5", "validation_loss": "nan"} for n in range(3000)]
    histories = [History("scratch", fold, 0, rows) for fold in range(100)]
    sources = replace(make_sources(explained=0), histories=histories)
    held = build_plots(build_facts(sources, title="x", author=None))["training-scratch"]
    assert len(held["series"]) == 2 * MAX_MODELS
    assert len(held["x"]) <= MAX_EPOCHS
    assert (held["n_models"], held["n_shown"]) == (100, MAX_MODELS)
    assert held["series"][1]["y"] == [None] * len(held["x"])


def test_a_study_without_evaluation_has_no_plots() -> None:
    sources = replace(make_sources(explained=0), tables={}, histories=())
    assert build_plots(build_facts(sources, title="x", author=None)) == {}


def test_a_name_in_the_values_cannot_leave_its_attribute(facts: Facts) -> None:
    arms = [replace(facts.performance.arms[0], words="a' onclick='x' <b>&")]
    named = replace(facts, performance=replace(facts.performance, arms=tuple(arms)))
    text = build_report(named, views={}).html
    assert "a&#39; onclick=&#39;x&#39; &lt;b>&amp;" in text
    held = re.findall(r"data-plot='([^']*)'", text)
    assert json.loads(html.unescape(held[-2])) == build_plots(named)["roc"]


@needs_browser
def test_pointer_and_arrow_keys_read_out_the_values(page_file: Path, tmp_path: Path) -> None:
    with open_browser(CHROMIUM or "", tmp_path) as page:
        page.open(page_file)
        assert page.evaluate("document.querySelectorAll('figure.live .uplot canvas').length") == 4
        said = point_at(page, "#performance figure:nth-of-type(2)", 0.545, 0.48)
        assert re.fullmatch(
            r"(Transfer learning|From scratch): observed share 0.488 \(0.275 to 0.77\) "
            r"at predicted probability 0.55, 7 images",
            said,
        )
        page.evaluate("document.querySelector('#training .plot').focus()")
        assert press(page, "ArrowRight") == "Fold 0, seed 0, training loss 0.69 at epoch 1"
        assert press(page, "ArrowRight") == (
            f"Fold 0, seed 0, training loss {0.69 * np.exp(-1 / 4):.4g} at epoch 2"
        )
        assert press(page, "ArrowDown").startswith("Fold 0, seed 0, validation loss ")
        assert press(page, "ArrowLeft") == "Fold 0, seed 0, validation loss 0.7 at epoch 1"
        errors = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        assert [event for event in page.events if event.get("method") in errors] == []


SHOWN = """(() => [".live > svg", ".plot", ".readout"].map((name) =>
  [...document.querySelectorAll(name)].every((e) => e.getClientRects().length > 0)))()"""


@needs_browser
def test_paper_shows_the_drawn_figures_and_the_screen_the_plots(
    page_file: Path, tmp_path: Path
) -> None:
    with open_browser(CHROMIUM or "", tmp_path) as page:
        page.open(page_file)
        assert page.evaluate(SHOWN) == [False, True, True]
        page.call("Emulation.setEmulatedMedia", media="print")
        assert page.evaluate(SHOWN) == [True, False, False]


@needs_browser
def test_without_scripts_the_drawn_figures_are_shown(page_file: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.html"
    plain.write_text(re.sub(r"<script>.*</script>", "", page_file.read_text(), flags=re.DOTALL))
    with open_browser(CHROMIUM or "", tmp_path / "profile") as page:
        page.open(plain)
        assert page.evaluate("document.querySelectorAll('.uplot').length") == 0
        assert page.evaluate(
            "[...document.querySelectorAll('.charts svg')].every(e => e.getClientRects().length)"
        )
