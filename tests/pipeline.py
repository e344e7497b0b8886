"""The whole way through in one process, on the smallest cohort that still makes sense."""

import itertools
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import yaml
from click.testing import CliRunner, Result

from medvision.cli.main import main
from medvision.config.ablation import is_ablated
from medvision.config.model import build_study
from medvision.config.shortcuts import is_audited
from medvision.runtime.packs import INDEX, is_pack

Values = dict[str, dict[str, object]]

TINY: Values = {
    "phantom": {"subjects": 12, "size": [32, 32, 12], "seed": 3},
    "ingest": {"workers": 1},
    "cohort": {"folds": 2, "validation_fraction": 0.34},
    "preprocess": {"size": [32, 32, 12], "spacing_mm": [6.0, 6.0, 10.0]},
    "pretrain": {"images": 16, "epochs": 1, "batch_size": 8},
    "train": {"epochs": 2, "batch_size": 4},
    "evaluate": {"n_resamples": 100},
    "control": {"trainings": ["permuted"]},
    "explain": {
        "images": 2,
        "steps": 8,
        "random_orders": 10,
        "deletion_steps": 4,
        "occlusion_window": [8, 8, 4],
        "occlusion_stride": [8, 8, 4],
    },
}
"""Settings under which every stage takes a few seconds."""

FEW_MAPS: dict[str, object] = {
    **TINY["explain"],
    "images": 1,
    "methods": ["layer_gradcam"],
    "stability_images": 0,
    "cascade_images": 0,
    "influence": 0,
}
"""Explanations of a study whose test is about something else."""


def write_config(folder: Path, values: Mapping[str, Mapping[str, object]]) -> Path:
    """Write a configuration whose output lies in `folder`/results."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    full = {**values, "output": {"path": str(folder / "results")}}
    path.write_text(yaml.safe_dump(json.loads(json.dumps(full, default=str))))
    return path


def list_commands(config: Path, *, after: str = "") -> Iterator[list[str]]:
    """Yield the command lines of all stages in order, or those after a stage."""
    study = build_study(yaml.safe_load(config.read_text()))
    lines = [["phantom"]] if study.data.kind == "phantom" else []
    lines += [["ingest"], ["measure"], ["cohort"], ["preprocess"]]
    lines += [["pretrain"]] if study.needs_pretraining else []
    parts = range(study.cohort.n_parts if study.tune.trials else 0)
    for arm, part in itertools.product(study.arms, parts):
        lines.append(["tune", "--arm", arm, "--part", str(part)])
    drawn = range(study.cohort.n_fits if study.synthesise.is_on else 0)
    lines += [["synthesise", "--fold", str(fold)] for fold in drawn]
    lines += [["gate", "--fold", str(fold)] for fold in drawn]
    for arm, fold in itertools.product(study.arms, range(study.cohort.n_fits)):
        lines.append(["train", "--arm", arm, "--fold", str(fold)])
    lines += [["predict"], ["evaluate"], ["plan"], ["explain"]]
    folds = study.scorecard.list_folds(study.cohort.n_fits)
    for start, fold in itertools.product(study.scorecard.arms, folds):
        lines.append(["scorecard", "--arm", start.name, "--fold", str(fold)])
    lines += [["compare"]] if study.scorecard.sources else []
    lines += [["control", "--arm", name, "--fold", "0"] for name in study.control.trainings]
    lines += [["shortcuts"]] if is_audited(study.shortcuts, study.control) else []
    if is_ablated(study):
        folds = study.ablation.list_folds(study.cohort.n_fits)
        for share, fold in itertools.product(study.ablation.shares, folds):
            lines.append(["ablate", "--share", f"{share:g}", "--fold", str(fold)])
        lines.append(["ablation"])
    lines += [["report"], ["audit", "seal"]]
    names = [line[0] for line in lines]
    start = len(names) - names[::-1].index(after) if after else 0
    for line in lines[start:]:
        yield [*line, "--config", str(config)]


def call(arguments: list[str]) -> Result:
    """Run one command in this process; the result holds exit code and output."""
    return CliRunner().invoke(main, arguments)


def run(arguments: list[str]) -> Result:
    """Run one command and insist that it succeeds."""
    result = call(arguments)
    assert result.exit_code == 0, f"{' '.join(arguments)}\n{result.output}\n{result.exception}"
    return result


def run_all(config: Path, *, after: str = "") -> Path:
    """Run all stages; return the output folder."""
    for arguments in list_commands(config, after=after):
        run(arguments)
    return config.parent / "results"


def digest_tree(
    root: Path,
    *,
    # What ingestion keeps between runs holds the times of files.
    leave_out: tuple[str, ...] = (
        *("tensorboard", "logs", "benchmarks", "index.sqlite", "shards", "kept.sqlite"),
    ),
) -> dict[str, str]:
    """Return path to sha256 for every file that equal runs must leave equal.

    In place of packs stand their members: where in which pack they lie may differ.
    """
    from medvision.runtime.files import hash_file

    files = [path for path in root.rglob("*") if path.is_file()]
    for index in [path for path in files if path.name == INDEX]:
        files = [path for path in files if path.parent != index.parent or is_own(path)]
        files += [index.with_name(name) for name in list_members(index)]
    kept = [path for path in files if not set(leave_out) & set(path.relative_to(root).parts)]
    return {str(path.relative_to(root)): hash_file(path) for path in sorted(kept)}


def is_own(path: Path) -> bool:
    """Tell a file by itself from a pack and from the index of packs."""
    return path.name != INDEX and not is_pack(path.name)


def list_members(index: Path) -> list[str]:
    """The names of all members of the packs beside an index."""
    with closing(sqlite3.connect(index)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM members")]


def kill_at_write(arguments: list[str], *, nth: int) -> bool:
    """Run a command in a child that is killed (-9) as it ends its nth write.

    Returns:
        Whether the child was killed; False when it finished first.
    """
    child = os.fork()
    if child == 0:
        _die_at_write(nth)
        result = call(arguments)
        os._exit(0 if result.exit_code == 0 else 1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed by itself"
    return os.WIFSIGNALED(status)


def _die_at_write(nth: int) -> None:
    """Make the nth rename of a finished temporary file the last thing this process does."""
    import signal

    counter = itertools.count(1)
    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if next(counter) == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(self, target)

    Path.replace = replace  # type: ignore[method-assign]
