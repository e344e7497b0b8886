"""A job is given every key that its command reads, and a change of a key reruns what reads it."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from keys_read import watching_keys
from pipeline import TINY, Values, list_commands, run, write_config
from toy_study import make_study

from medvision.cli._gate.saliency import _build_plan
from medvision.config.model import Study
from medvision.config.parts import list_keys
from medvision.config.sections import Section

CHECKOUT = Path(__file__).parents[2]


def test_what_reads_the_archive_is_given_the_keys_that_it_reads(tmp_path: Path) -> None:
    few: Values = {**TINY, "phantom": {**TINY["phantom"], "subjects": 12, "faults": False}}
    commands = list(list_commands(write_config(tmp_path, few)))
    with watching_keys() as unheld:
        for arguments in commands[: [line[0] for line in commands].index("cohort") + 1]:
            run(arguments)
    assert unheld == set()


def test_a_search_and_a_scorecard_are_given_the_keys_that_they_read(tmp_path: Path) -> None:
    study = make_study(
        tmp_path / "results",
        n_images=32,
        spatial_dims=2,
        train={"epochs": 1},
        tune={"trials": 1, "space": {"train.learning_rate": {"low": 0.001, "high": 0.01}}},
        scorecard={"sources": ["pretrain"], "policies": ["full"], "seeds": [0], "folds": "first"},
        pretrain={"images": 16, "epochs": 1},
        evaluate={"n_resamples": 100},
    )
    config = ["--config", study.model_dump_json()]
    starts = [["scorecard", "--arm", arm.name, "--fold", "0"] for arm in study.scorecard.arms]
    with watching_keys() as unheld:
        for line in (["pretrain"], ["tune", "--arm", "scratch", "--part", "0"], *starts):
            run([*line, *config])
        run(["compare", *config])
    assert unheld == set()


def test_a_gate_is_given_what_it_explains_by(monkeypatch: pytest.MonkeyPatch) -> None:
    study, read = Study(), Section.__getattribute__
    explain = study.explain
    names: set[str] = set()

    def spy(self: Section, name: str) -> object:
        if self is explain and name in type(self).model_fields:
            names.add(name)
        return read(self, name)

    monkeypatch.setattr(Section, "__getattribute__", spy)
    _build_plan(study)
    monkeypatch.undo()
    assert names == list_keys(study, "gate")["explain"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of which every file is there, empty, as Snakemake notes it."""
    folder = tmp_path_factory.mktemp("finished")
    write_config(folder, GAN)
    for line in snakemake(folder, "--summary").splitlines():
        name = line.partition("\t")[0]
        if name.startswith(str(folder)):
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch() if path.suffix else path.mkdir(exist_ok=True)
    snakemake(folder, "--touch")
    return folder


GAN: Values = {
    **TINY,
    "synthesise": {"generator": "gan"},
    "explain": {"images": 2},
    "scorecard": {"sources": ["pretrain"], "policies": ["full"], "folds": "first"},
}


def snakemake(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile")]
    command += ["--configfile", "config.yaml", "--cores", "1", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def plan(folder: Path, values: Mapping[str, Mapping[str, object]]) -> set[str]:
    """Return the rules of a dry run with another configuration."""
    write_config(folder, values)
    found = re.findall(r"^(\w+) +\d+$", snakemake(folder, "-n"), re.MULTILINE)
    return set(found) - {"total", "all", "default"}


SEEN = {"train", "predict_fold", "predict", "evaluate", "plan", "explain", "shortcuts"}
LATE = {"report", "audit"}


@pytest.mark.parametrize(
    ("section", "key", "value", "rules"),
    [
        ("explain", "images", 2, set()),
        ("explain", "images", 3, {"plan", "explain"} | LATE),
        ("explain", "influence", 1, {"plan", "explain"} | LATE),
        ("explain", "baseline", 0.0, {"gate"} | SEEN | LATE),
        ("synthesise", "use", "none", SEEN | LATE),
        ("synthesise", "steps", 5000, {"synthesise", "gate", "ablate", "ablation"} | SEEN | LATE),
        ("scorecard", "seeds", [1], {"scorecard_start", "compare"} | LATE),
        ("report", "title", "other", LATE),
    ],
)
def test_a_change_reruns_what_stands_on_it_alone(
    finished: Path, section: str, key: str, value: object, rules: set[str]
) -> None:
    values = {**GAN, section: {**GAN.get(section, {}), key: value}}
    assert plan(finished, values) == rules
