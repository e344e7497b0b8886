"""The workflow of each task: its figures are asked for, captions and all, and no others."""

import sys
from pathlib import Path

import pytest
from children import run_snakemake
from pipeline import TINY, write_config

from medvision.config.task import PERFORMANCE_FIGURES

ROOT = Path(__file__).parents[2]
OTHERS = {name for names in PERFORMANCE_FIGURES.values() for name in names}


@pytest.mark.parametrize("task", sorted(PERFORMANCE_FIGURES))
def test_every_figure_has_its_caption(task: str) -> None:
    for name in PERFORMANCE_FIGURES[task]:
        assert (ROOT / "workflow" / "report" / f"{name}.rst").read_text().strip()


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(PERFORMANCE_FIGURES))
def test_the_report_s_rule_writes_the_figures_of_its_task(task: str, tmp_path: Path) -> None:
    column = {"multilabel": "findings", "regression": "chest_width_mm"}.get(task)
    config = write_config(tmp_path, {**TINY, "data": {"task": task, "label_column": column}})
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(tmp_path), "--configfile", str(config), "--summary"]
    listed = run_snakemake(command)
    assert listed.returncode == 0, listed.stdout + listed.stderr
    drawn = {name for name in OTHERS if f"report/figures/{name}.png" in listed.stdout}
    assert drawn == set(PERFORMANCE_FIGURES[task])
