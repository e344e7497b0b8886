"""Nested, repeated and held-out folds from the cohort to the sealed bundle, on a tiny cohort."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from children import run_snakemake
from pipeline import FEW_MAPS, TINY, Values, list_commands, run, write_config

from medvision.io.tables import Row, read_table
from medvision.layout import Layout

QUICK: Values = {
    **TINY,
    "model": {"weights": "none"},
    "train": {"epochs": 1, "batch_size": 8},
    "explain": FEW_MAPS,
}


def with_cohort(**fields: object) -> Values:
    return {**QUICK, "cohort": {**TINY["cohort"], **fields}}


def run_scheme(
    tiny_study: Path, folder: Path, values: Mapping[str, Mapping[str, object]]
) -> Layout:
    """Run what comes after measuring, on the tiny study's images."""
    for step in ("phantom", "ingest", "measure"):
        shutil.copytree(tiny_study / step, folder / "results" / step)
    config = write_config(folder, values)
    for arguments in list_commands(config, after="measure"):
        run(arguments)
    run(["audit", "verify", str(folder / "results" / "audit" / "bundle")])
    return Layout(folder / "results")


def plan(
    folder: Path, values: Mapping[str, Mapping[str, object]]
) -> "subprocess.CompletedProcess[str]":
    """Have the workflow say what it would run."""
    config = write_config(folder, values)
    snakefile = Path(__file__).parents[2] / "Snakefile"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "-n"]
    command += ["--directory", str(folder), "--configfile", str(config), "--printshellcmds"]
    return run_snakemake(command)


def read_metrics(layout: Layout) -> dict[str, int]:
    facts = json.loads(layout.metrics.read_text())
    return {name: facts[name] for name in ("n_subjects", "n_folds", "n_repeats", "n_inner")}


@dataclass(frozen=True)
class Scheme:
    """A way to fold, and what is to be counted in it."""

    fields: dict[str, object]
    n_fits: int
    times: int
    counts: dict[str, int]


SCHEMES = {
    "nested": Scheme(
        {"inner_folds": 2, "repeats": 2}, 8, 4, {"n_folds": 2, "n_repeats": 2, "n_inner": 2}
    ),
    "held-out": Scheme({"held_out": 0.4}, 2, 2, {"n_folds": 1, "n_repeats": 1, "n_inner": 2}),
}


@pytest.fixture(scope="module", params=SCHEMES)
def finished(
    request: pytest.FixtureRequest, tiny_study: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Scheme, Layout]:
    """A study of two seeds, views and temperatures in a scheme, to its verified bundle."""
    scheme = SCHEMES[request.param]
    values = {
        **with_cohort(**scheme.fields),
        "train": {"epochs": 1, "batch_size": 8, "seeds": [0, 1]},
        "predict": {"views": ["zoom"], "ensemble": "seeds", "temperature": "fit"},
    }
    return scheme, run_scheme(tiny_study, tmp_path_factory.mktemp("scheme"), values)


def read_tested(layout: Layout, seed: str) -> list[Row]:
    rows = read_table(layout.predictions)
    return [row for row in rows if (row["split"], row["seed"]) == ("test", seed)]


@pytest.mark.slow
def test_a_scheme_goes_all_the_way_and_its_bundle_agrees(finished: tuple[Scheme, Layout]) -> None:
    scheme, layout = finished
    for seed in ("0", "1"):
        rows = read_tested(layout, seed)
        assert len({row["fold"] for row in rows}) == scheme.n_fits
        assert set(Counter(row["image_id"] for row in rows).values()) == {scheme.times}
    n_subjects = len({row["subject"] for row in rows})
    assert read_metrics(layout) == {"n_subjects": n_subjects, **scheme.counts}
    firsts = {row["fold"] for row in rows if (row["repeat"], row["inner"]) == ("0", "0")}
    assert {row["fold"] for row in read_table(layout.selection)} <= firsts
    report = layout.report_html.read_text()
    assert "Training of the part" in report
    assert f">{scheme.n_fits - 1}</th>" in report


@pytest.mark.slow
def test_seeds_are_pooled_and_scaled_training_by_training_in_any_scheme(
    finished: tuple[Scheme, Layout],
) -> None:
    scheme, layout = finished
    pooled = Counter(row["image_id"] for row in read_tested(layout, "all"))
    assert set(pooled.values()) == {scheme.times}
    tested = [row for row in read_table(layout.predictions) if row["split"] == "test"]
    assert len(tested) == 3 * sum(pooled.values())
    temperatures = read_table(layout.table("predict", "temperatures"))
    assert len(temperatures) == 3 * scheme.n_fits
    spread = read_table(layout.table("evaluate", "seeds"))
    assert {(row["arm"], row["n_seeds"]) for row in spread} == {("scratch", "2")}
    thresholds = read_table(layout.table("evaluate", "thresholds"))
    assert sum(row["seed"] == "all" for row in thresholds) == scheme.n_fits


@pytest.mark.parametrize(
    ("fields", "n_fits"), [({"inner_folds": 2, "repeats": 2}, 8), ({"held_out": 0.4}, 2)]
)
def test_the_workflow_plans_a_training_for_each_fold_of_a_scheme(
    tmp_path: Path, fields: dict[str, object], n_fits: int
) -> None:
    done = plan(tmp_path, with_cohort(**fields))
    assert done.returncode == 0, done.stderr
    planned = done.stdout + done.stderr
    assert f"fold-{n_fits - 1}/" in planned
    assert f"fold-{n_fits}/" not in planned


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"held_out": 0.2, "inner_folds": 2}, "held_out must be empty where inner_folds is 2"),
        ({"folds": 1, "repeats": 2}, "folds must be 2 or more with held_out"),
    ],
)
def test_schemes_that_contradict_themselves_are_refused_before_any_work(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    done = plan(tmp_path, with_cohort(**fields))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
