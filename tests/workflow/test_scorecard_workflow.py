"""The scorecard within the workflow: on request, a job per start and fold, sealed with the rest."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from children import run_snakemake
from pipeline import FEW_MAPS, TINY, Values, call, list_commands, run, write_config

from medvision.layout import Layout

ASKED: Values = {
    **TINY,
    "model": {"weights": "none"},
    "train": {"epochs": 1, "batch_size": 4},
    "explain": FEW_MAPS,
    "scorecard": {
        "sources": ["pretrain"],
        "policies": ["full"],
        "fractions": [0.5, 1.0],
        "seeds": [0],
    },
}


def plan(folder: Path, values: Values, *targets: str) -> dict[str, int]:
    config = write_config(folder, values)
    snakefile = Path(__file__).parents[2] / "Snakefile"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "-n", *targets]
    command += ["--directory", str(folder), "--configfile", str(config)]
    done = run_snakemake(command)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


def test_the_report_waits_for_a_scorecard_that_was_asked_for(tmp_path: Path) -> None:
    planned = plan(tmp_path, ASKED)
    assert (planned["scorecard_start"], planned["compare"], planned["pretrain"]) == (4, 1, 1)
    silent = plan(tmp_path, {**ASKED, "scorecard": {}})
    assert not {"scorecard_start", "compare", "pretrain"} & set(silent)


def test_the_target_scorecard_trains_nothing_else(tmp_path: Path) -> None:
    planned = plan(tmp_path, ASKED, "scorecard")
    assert (planned["scorecard_start"], planned["compare"]) == (4, 1)
    assert not {"train", "predict", "report"} & set(planned)


@pytest.mark.slow
def test_a_scorecard_goes_all_the_way_to_a_bundle_that_agrees(
    tiny_study: Path, tmp_path: Path
) -> None:
    for step in ("phantom", "ingest", "measure"):
        shutil.copytree(tiny_study / step, tmp_path / "results" / step)
    config = write_config(tmp_path, ASKED)
    for arguments in list_commands(config, after="measure"):
        run(arguments)
    layout = Layout(tmp_path / "results")
    run(["audit", "verify", str(layout.bundle), "--study", str(layout.root)])
    assert "All stages are done" in run(["status", "--config", str(config)]).output
    assert "Transfer scorecard:" in run(["summary", "--config", str(config)]).output
    facts = json.loads(layout.report_json.read_text())
    assert {row["arm"] for row in facts["transfer"]["rows"]} == {"scratch", "pretrain-full"}
    study = layout.bundle / "study"
    assert (study / "scorecard" / "pretrain-full" / "fold-1" / "predictions.tsv").is_file()
    path = study / "compare" / "scorecard.json"
    edited = json.loads(path.read_text())
    edited["scores"][0]["auc"] += 0.01
    path.write_text(json.dumps(edited))

    result = call(["audit", "verify", str(layout.bundle)])
    assert result.exit_code == 10
    assert "scores[0].auc" in result.output
