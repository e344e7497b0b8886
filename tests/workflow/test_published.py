"""What Snakemake's own report publishes: each file with a caption, a category and a name."""

import re
from pathlib import Path

import pytest

from medvision.config.task import PERFORMANCE_FIGURES

WORKFLOW = Path(__file__).parents[2] / "workflow"
RULES = sorted((WORKFLOW / "rules").glob("*.smk"))
CALL = re.compile(r"\breport\(\n(.*?)\n +\),?\n", re.DOTALL)


def list_calls() -> list[tuple[str, str]]:
    return [(path.name, match[1]) for path in RULES for match in CALL.finditer(path.read_text())]


def test_there_are_files_to_publish() -> None:
    assert {name for name, _ in list_calls()} >= {
        *("common.smk", "evaluate.smk", "report.smk", "cohort.smk", "ingest.smk"),
        *("scorecard.smk", "shortcuts.smk"),
    }


@pytest.mark.parametrize(("rule", "call"), list_calls())
def test_each_has_a_caption_a_category_and_a_name(rule: str, call: str) -> None:
    assert "category=" in call
    assert "labels=name_result(" in call
    caption = re.search(r'caption=f?"\.\./report/([\w{}]+)\.rst"', call)
    assert caption
    if "{" not in caption[1]:
        assert (WORKFLOW / "report" / f"{caption[1]}.rst").is_file()


def test_every_figure_that_is_named_has_a_caption_and_every_caption_is_used() -> None:
    common = (WORKFLOW / "rules" / "common.smk").read_text()
    figures = common.partition("FIGURES = {")[2]
    names = set(re.findall(r'^    "(\w+)": "', figures, re.MULTILINE))
    assert names >= {name for held in PERFORMANCE_FIGURES.values() for name in held}
    assert names >= {"decision", "transfer", "similarity", "training", "flow", "case"}
    written = {path.stem for path in (WORKFLOW / "report").glob("*.rst")}
    assert names <= written
    rules = "".join(path.read_text() for path in RULES)
    assert all(name in names or f"report/{name}.rst" in rules for name in written)


def test_every_caption_says_that_it_is_for_research_only() -> None:
    for path in (WORKFLOW / "report").glob("*.rst"):
        text = " ".join(path.read_text().split())
        assert text.endswith(("For research use only.", "not a medical device.")), path.name
