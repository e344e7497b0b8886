"""Claims on `medvision status` and `summary`: from records alone, in plain words."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from studies import configure, write_study

from medvision.cli._status.job_state import judge_step
from medvision.cli._steps import list_steps
from medvision.cli.main import main
from medvision.layout import Layout
from medvision.runtime.files import read_json, write_json, write_text


def call(command: str, root: Path, *overrides: str) -> Result:
    options = [text for override in overrides for text in ("--set", override)]
    config = json.dumps(configure(root).model_dump(mode="json"))
    return CliRunner().invoke(main, [command, "--config", config, *options])


def test_nothing_is_done_in_an_empty_folder(tmp_path: Path) -> None:
    result = call("status", tmp_path)
    assert result.exit_code == 0
    assert "✓ done" not in result.output
    assert "Next: phantom." in result.output
    assert "Time left: not known;" in result.output


def test_a_finished_study_lacks_only_its_bundle(tmp_path: Path) -> None:
    write_study(tmp_path)
    result = call("status", tmp_path)
    assert result.output.count("✓ done") == 12
    assert "Next: audit." in result.output


def test_every_trained_fold_is_a_stage_of_its_own(tmp_path: Path) -> None:
    study = configure(tmp_path)
    steps = list_steps(study, Layout(tmp_path))
    trained = [step for step in steps if step.startswith("train/")]
    assert trained == [f"train/{arm}/fold-{n}" for arm in ("transfer", "scratch") for n in (0, 1)]
    assert steps.index("pretrain") < steps.index(trained[0]) < steps.index("predict")


def test_other_settings_and_versions_are_not_called_done(tmp_path: Path) -> None:
    study, layout = write_study(tmp_path), Layout(tmp_path)
    assert judge_step(study, layout, step="evaluate") == "done"
    other = configure(tmp_path, "evaluate.n_resamples=500")
    assert judge_step(other, layout, step="evaluate") == "other settings"
    record = read_json(layout.record("predict"))
    assert isinstance(record, dict)
    write_json(layout.record("predict"), {**record, "version": "0.0.0-other"})
    assert judge_step(study, layout, step="predict") == "other version"
    write_text(layout.record("cohort"), "{")
    assert judge_step(study, layout, step="cohort") == "unreadable"
    layout.record("ingest").unlink()
    assert judge_step(study, layout, step="ingest") == "missing"


@pytest.mark.parametrize("overrides", [("model.weights=none",)])
def test_what_is_not_asked_for_is_not_missing(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    steps = list_steps(configure(tmp_path, *overrides), Layout(tmp_path))
    assert "pretrain" not in steps
    assert not any(step.startswith("train/transfer") for step in steps)


def test_summary_before_the_report_is_refused_with_a_hint(tmp_path: Path) -> None:
    result = call("summary", tmp_path)
    assert result.exit_code == 12
    assert "report must be complete" in result.output
    assert "medvision report" in result.output
