"""`medvision cluster run`: what it leads, what it only looks at, and who may read what it makes."""

import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from medvision.cli.main import main
from medvision.runtime.lead import take_lead


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study's folder; clients of SLURM that note each call, and a queue that is empty."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text("output: {path: results}\n")
    (tmp_path / "bin").mkdir()
    for name in ("squeue", "scancel"):
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/said\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    child = "import sys; open('said', 'a').write('snakemake ' + ' '.join(sys.argv[1:]) + '\\n')"
    monkeypatch.setattr(
        "medvision.cli.cluster._build_command",
        lambda *given: [sys.executable, "-c", child, *given[-1]],
    )
    return tmp_path


def lead(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["cluster", "run", "--config", "study.yaml", *arguments])


@pytest.mark.parametrize("word", ["-n", "-np", "--dry-run", "--dryrun", "--dag", "--summary"])
def test_what_is_only_looked_at_is_not_led_and_clears_nothing_away(study: Path, word: str) -> None:
    folder = study / "results" / "logs" / "cluster"
    with take_lead(folder, working_folder=study):
        # Neither is it refused while another one leads.
        assert lead(word).exit_code == 0
    held = (folder / "run.json").read_text()
    assert lead(word).exit_code == 0
    assert (study / "said").read_text().splitlines() == [f"snakemake {word}"] * 2
    assert (folder / "run.json").read_text() == held
    assert json.loads(held)["is_open"]


@pytest.mark.parametrize(
    "word", ["--configfile", "--configfiles", "-d", "--directory=there", "-C", "-Ca=1"]
)
def test_another_study_or_folder_than_the_one_that_is_led_is_refused(
    study: Path, word: str
) -> None:
    result = lead(word, "other")
    assert f"named to medvision alone, got {word}" in " ".join(result.output.split())
    assert not (study / "said").exists()
    assert not (study / "results").exists()


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ([], "config/config.yaml"),
        (["--config", "gone.yaml"], "gone.yaml"),
        (["--config", '{"phantom": {}}'], "--config"),
    ],
)
def test_a_configuration_that_snakemake_could_not_read_is_refused(
    study: Path, config: list[str], place: str
) -> None:
    result = CliRunner().invoke(main, ["cluster", "run", *config])
    said = " ".join(result.output.split())
    assert result.exit_code == 2, said
    assert f"{place}: configuration must be a file that is there" in said
    assert not (study / "said").exists()


FAILED = """
import pathlib, sys, time
log = pathlib.Path(".snakemake/log/2026-01-01T000000.0.snakemake.log")
log.parent.mkdir(parents=True, exist_ok=True)
clock = time.strftime("[%a %b %d %H:%M:%S %Y]", time.localtime(time.time() - float(sys.argv[1])))
log.write_text(clock + "\\nError in rule x:\\n    log: x.log (check log file for more)\\n")
sys.exit(1)
"""


@pytest.mark.parametrize(
    ("child", "words"),
    [
        (["import sys; sys.exit(2)"], "no job failed: what stands above is why Snakemake ended"),
        ([FAILED, "3600"], "no job failed"),
        ([FAILED, "0"], "`medvision status` names the jobs that failed"),
    ],
    ids=["no run", "run before", "run"],
)
def test_the_logs_of_jobs_are_named_only_where_jobs_of_this_run_failed(
    study: Path, monkeypatch: pytest.MonkeyPatch, child: list[str], words: str
) -> None:
    monkeypatch.setattr(
        "medvision.cli.cluster._build_command", lambda *_: [sys.executable, "-c", *child]
    )
    result = lead()
    assert result.exit_code != 0
    assert words in result.output


def test_the_folders_of_a_led_run_obey_the_studys_umask(study: Path) -> None:
    before = os.umask(0o022)
    try:
        assert lead().exit_code == 0
    finally:
        os.umask(before)
    roots = [study / "results", study / ".snakemake"]
    made = [path for root in roots for path in (root, *root.rglob("*"))]
    assert len(made) > 4
    assert [path for path in made if path.stat().st_mode & 0o007] == []
