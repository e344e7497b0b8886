"""Claims on `medvision report`, on a whole tiny run."""

import inspect
import json
import re
import shutil
from pathlib import Path

import pytest
from browser import find_chromium, list_faults, open_browser
from click.testing import CliRunner
from pipeline import TINY, call, run, write_config

from medvision.cli.main import main
from medvision.config.sections import ReportSection
from medvision.report.facts import build_facts
from medvision.report.viewer import ViewerRoom
from medvision.report.words import RESEARCH_USE

CHROMIUM = find_chromium()
FIGURES = {
    "flow.png",
    "performance.png",
    "roc.png",
    "calibration.png",
    "training.png",
    "risk_coverage.png",
}


@pytest.fixture
def config(tiny_study: Path, tmp_path: Path) -> Path:
    """The configuration of a copy of the tiny study, free to be changed."""
    path = write_config(tmp_path, TINY)
    shutil.copytree(tiny_study, tmp_path / "results")
    return path


def test_the_facts_take_the_sections_own_fields() -> None:
    names = set(inspect.signature(build_facts).parameters) - {"sources"}
    names |= set(inspect.signature(ViewerRoom).parameters) - {"library"}
    assert names == set(ReportSection.model_fields)


def test_equal_results_give_an_equal_report(tiny_study: Path, config: Path) -> None:
    run(["report", "--config", str(config)])
    for name in ("report.html", "report.json", "model_card.md", "record.json"):
        again = config.parent / "results" / "report" / name
        assert again.read_bytes() == (tiny_study / "report" / name).read_bytes(), name


def test_the_report_is_whole_small_and_free_of_paths(tiny_study: Path) -> None:
    folder = tiny_study / "report"
    html = (folder / "report.html").read_text()
    assert {path.name for path in (folder / "figures").iterdir()} >= FIGURES | {"case-01.png"}
    assert len(html) < 8_000_000
    for name in ("report.html", "report.json", "model_card.md"):
        text = (folder / name).read_text()
        assert RESEARCH_USE in text
        assert str(tiny_study) not in text
        assert str(Path.home()) + "/" not in text.replace("http://", "")


def test_no_identifier_of_the_archive_reaches_the_page(tiny_study: Path) -> None:
    labels = (tiny_study / "phantom" / "labels.csv").read_text().splitlines()[1:]
    names = {line.split(",")[0] for line in labels}
    assert names
    for name in ("report.html", "report.json", "model_card.md"):
        text = re.sub(r"base64,[\w+/=]+", "", (tiny_study / "report" / name).read_text())
        assert [found for found in names if found in text] == []


def test_counts_agree_with_the_tables(tiny_study: Path) -> None:
    facts = json.loads((tiny_study / "report" / "report.json").read_text())
    n_files = len((tiny_study / "ingest" / "sources.tsv").read_text().splitlines()) - 1
    n_images = len((tiny_study / "cohort" / "cohort.tsv").read_text().splitlines()) - 1
    assert facts["cohort"]["n_files"] == n_files
    assert facts["cohort"]["n_images"] == n_images
    n_rejects = len((tiny_study / "ingest" / "rejects.tsv").read_text().splitlines()) - 1
    assert facts["cohort"]["n_refused"] == n_rejects


def test_summary_prints_where_and_what(tiny_study: Path, tmp_path: Path, config: Path) -> None:
    lines = run(["summary", "--config", str(config)]).output.splitlines()
    assert lines[0].endswith("report.html")
    assert len(lines) == 5
    assert "interval" in lines[1]
    assert lines[-1] == RESEARCH_USE


def test_stages_that_were_not_run_are_left_out(config: Path) -> None:
    results = config.parent / "results"
    (results / "explain" / "record.json").unlink()
    run(["report", "--config", str(config)])
    html = (results / "report" / "report.html").read_text()
    assert 'id="performance"' in html
    assert 'id="explanations"' not in html
    assert not list((results / "report" / "figures").glob("case-*"))


def test_a_table_changed_by_hand_is_refused(config: Path) -> None:
    metrics = config.parent / "results" / "evaluate" / "metrics.tsv"
    metrics.write_text(metrics.read_text().replace("auc", "auc ", 1))
    result = call(["report", "--config", str(config)])
    assert result.exit_code == 12
    assert not (config.parent / "results" / "report" / "record.json").exists()


def test_a_cohort_must_be_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["report", "--set", f"output.path={tmp_path}"])
    assert result.exit_code == 12
    assert "ingest must be complete" in result.output


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False)], ids=["desk", "phone"])
def test_the_page_of_a_whole_run_opens_without_error_or_request(
    tiny_study: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    with open_browser(CHROMIUM or "", tmp_path) as page:
        page.open(tiny_study / "report" / "report.html", width=width, dark=dark)
        assert page.evaluate("document.images.length") > 10
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.querySelectorAll('.uplot').length") >= 4
        assert list_faults(page) == []
