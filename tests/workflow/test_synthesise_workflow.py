"""Synthetic images within the workflow: a job a fold where asked for, and none elsewhere."""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from children import run_snakemake
from forgeries import refit
from keys_read import watching_keys
from pipeline import FEW_MAPS, TINY, Values, call, list_commands, run, write_config

from medvision.layout import Layout

DRAWING: Values = {
    **TINY,
    "model": {"weights": "none"},
    "explain": FEW_MAPS,
    "synthesise": {"generator": "gan"},
}


def plan(folder: Path, values: Mapping[str, Mapping[str, object]], *targets: str) -> dict[str, int]:
    """Return the jobs of a dry run, by rule; of the whole study unless a target is named."""
    config = write_config(folder, values)
    snakefile = Path(__file__).parents[2] / "Snakefile"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "-n"]
    command += ["--directory", str(folder), "--configfile", str(config), "--", *targets]
    done = run_snakemake(command)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


@pytest.mark.parametrize("synthesise", [None, {"generator": "none"}])
def test_a_study_that_draws_nothing_has_the_jobs_that_it_had(
    tmp_path: Path, synthesise: dict[str, object] | None
) -> None:
    values = {name: fields for name, fields in DRAWING.items() if name != "synthesise"}
    if synthesise is not None:
        values["synthesise"] = synthesise
    assert not {"synthesise", "gate"} & plan(tmp_path, values).keys()


def test_each_fold_has_a_generator_of_its_own(tmp_path: Path) -> None:
    jobs = plan(tmp_path, DRAWING)
    assert (jobs["synthesise"], jobs["gate"]) == (2, 2)


@pytest.mark.parametrize("use", ["accepted", "none"])
def test_a_training_waits_for_its_fold_s_gate_only_where_it_takes_the_images(
    tmp_path: Path, use: str
) -> None:
    values = {**DRAWING, "synthesise": {"generator": "gan", "use": use}}
    target = Layout(tmp_path / "results").record("train/scratch/fold-1")
    jobs = plan(tmp_path, values, str(target))
    assert jobs["train"] == 1
    found = {name: jobs.get(name) for name in ("synthesise", "gate")}
    assert found == dict.fromkeys(found, 1 if use == "accepted" else None)


def test_a_control_waits_for_no_gate(tmp_path: Path) -> None:
    values = {**DRAWING, "control": {"trainings": ["permuted"]}}
    target = Layout(tmp_path / "results").record("control/permuted/fold-0")
    assert not {"synthesise", "gate", "train"} & plan(tmp_path, values, str(target)).keys()


def test_the_ablation_runs_by_itself_on_every_share_of_every_fold(tmp_path: Path) -> None:
    jobs = plan(tmp_path, DRAWING)
    assert (jobs["ablate"], jobs["ablation"]) == (4 * 2, 1)
    off = plan(tmp_path / "off", {**DRAWING, "ablation": {"run": "off"}})
    assert not {"ablate", "ablation"} & off.keys()


@pytest.mark.slow
def test_a_study_that_draws_goes_all_the_way_to_a_bundle_that_agrees(
    tiny_study: Path, tmp_path: Path
) -> None:
    for step in ("phantom", "ingest", "measure"):
        shutil.copytree(tiny_study / step, tmp_path / "results" / step)
    few = {"steps": 2, "checkpoint_steps": 1, "grid_steps": 1, "width": 8, "batch_size": 4}
    cohort = {**TINY["cohort"], "validation_fraction": 0.2}
    drawing = {
        **DRAWING,
        "cohort": cohort,
        "synthesise": {"generator": "gan", "minimum_subjects": 2, **few},
        "ablation": {"shares": [1.0], "seeds": [0], "folds": "first"},
    }
    config = write_config(tmp_path, drawing)
    with watching_keys() as unheld:
        for arguments in list_commands(config, after="measure"):
            run(arguments)
    assert unheld == set(), "a job would take the default, and outlast a change"
    layout = Layout(tmp_path / "results")
    run(["audit", "verify", str(layout.bundle)])
    folder = layout.bundle / "study" / "synthesise" / "fold-1"
    assert (folder / "generator.safetensors").is_file()
    assert not (folder / "images.npy").exists()
    facts = json.loads(layout.report_json.read_text())["generators"]
    assert [row["fold"] for row in facts["rows"]] == [0, 1]
    assert layout.report_html.read_text().count('alt="Synthetic images. Fold 0') == 2
    edited = layout.bundle / "study/ablation/ablation.json"
    edited.write_text(edited.read_text().replace('"n_seeds_ahead": 0', '"n_seeds_ahead": 1', 1))
    refit(layout.bundle)
    result = call(["audit", "verify", str(layout.bundle)])
    assert result.exit_code == 10
    assert "FAIL statistics: ablation/ablation.json" in result.output
