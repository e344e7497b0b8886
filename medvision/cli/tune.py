"""`medvision tune`: hyper-parameters of one arm and tested part, searched on its inner folds."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import click

from medvision.cli._marks import write_mark
from medvision.cli._run import Step, check_upstream, open_step, study_command
from medvision.cli._searches import (
    chosen_path,
    group_folds,
    journal_path,
    mark_path,
    place_folds,
)
from medvision.cli._training.fitting import Job, Watch, fit_seed, list_upstream
from medvision.cli._training.learning import hash_settings, prepare_device, read_learning_data
from medvision.cli._training.starting import find_start
from medvision.config.model import Study
from medvision.config.tune import Searched, is_whole
from medvision.domain.arms import ARMS
from medvision.domain.record import JsonValue
from medvision.domain.split import keep_untested
from medvision.errors import ConfigError, TrainingError
from medvision.io.tables import Cell, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json
from medvision.runtime.seeds import derive_seed

if TYPE_CHECKING:
    from medvision.learn.search import Search, TrialResult
    from medvision.learn.space import Choices, Range
    from medvision.learn.train import Fit

TRIAL_COLUMNS = ("number", "state", "value", "inner_folds", "worker")
_SEARCH_FIELDS = ("trials", "sampler", "pruner")

_log = logging.getLogger(__name__)


@study_command(
    "tune",
    help="Search hyper-parameters for one arm and one tested part, on its inner folds; "
    "the part's test subjects take no part. Run again after an interruption, it goes on.",
    example="medvision tune --config config/config.yaml --arm transfer --part 0 --set "
    "tune.trials=20 --set 'tune.space={train.learning_rate: {low: 0.0001, high: 0.01, log: true}}'",
)
@click.option("--arm", required=True, type=click.Choice(ARMS))
@click.option(
    "--part",
    required=True,
    type=click.IntRange(min=0),
    help="Which test subjects, from 0; counted on over the repeats.",
)
@click.option(
    "--worker",
    type=click.IntRange(min=1),
    metavar="K",
    help="Only run trials, beside other processes with another K; the same command without it "
    "then gathers them.",
)
def command(study: Study, layout: Layout, *, arm: str, part: int, worker: int | None) -> None:
    """Search, or help to."""
    if not study.tune.trials:
        raise ConfigError(
            "tune.trials: trials must be above 0 to search, got 0.",
            "set tune.trials and tune.space; docs/how-to/tune.md shows how.",
        )
    name, upstream = layout.tune_step(arm, part), list_upstream(study, arm)
    if worker is not None:
        for earlier in upstream:
            check_upstream(layout, study, earlier=earlier)
        _help(Step(name, study, layout, upstream), arm=arm, part=part, worker=worker)
        return
    with open_step(name, study, upstream=upstream) as step:
        _search(step, arm=arm, part=part)


def _help(step: Step, *, arm: str, part: int, worker: int) -> None:
    """Run trials until all are taken, and leave a mark."""
    from medvision.learn.search import run_search

    trials = _prepare(step, arm=arm, part=part, worker=worker)
    n_run = run_search(trials.search, trials.run, waits=False)
    _log.info("tune: %d trials run by worker %d", n_run, worker)
    mark = mark_path(step.layout, step.name, worker=worker)
    write_mark(mark, {"trials": n_run}, study=step.study, step=step.name)


def _search(step: Step, *, arm: str, part: int) -> None:
    """Run what is left of the trials, and write all of them and the best."""
    from medvision.learn.search import choose_best, read_results, run_search

    trials = _prepare(step, arm=arm, part=part, worker=0)
    run_search(trials.search, trials.run, waits=True)
    results = read_results(trials.search)
    _write_trials(step, results)
    best = choose_best(results, maximise=trials.search.maximise)
    summary = _summarise(trials, results, best=best)
    write_json(step.write(chosen_path(step.layout, step.name)), summary)
    step.seed = step.study.tune.seed
    step.facts |= summary


@dataclass(frozen=True)
class _Trials:
    """What all trials of one search have in common; `job` is of the first inner fold."""

    search: "Search"
    job: Job
    folds: tuple[int, ...]
    part: int

    def run(self, values: Mapping[str, JsonValue]) -> Iterator[float]:
        """Train on each inner fold, and yield its best epoch's figure."""
        study = self.job.step.study
        settings = study.with_values(values)
        # One seed for all trials: they differ by their values alone.
        seed = derive_seed("tune", study.tune.seed)
        for fold in self.folds:
            job = replace(self.job, settings=settings, fold=fold)
            watch = Watch(f"trial of {job.arm}, part {self.part}, inner fold {fold}")
            yield _read_figure(fit_seed(job, seed, watch=watch).fit, study.tune.objective)


def _read_figure(fit: "Fit", objective: str) -> float:
    """Return the best epoch's validation loss or AUC."""
    figure = fit.history[fit.best_epoch - 1][f"validation_{objective}"]
    if figure is None:
        raise TrainingError(
            "validation split: classes must all occur for tune.objective auc, got one missing.",
            "set tune.objective to loss, or use fewer inner folds.",
        )
    return float(figure)


def _prepare(step: Step, *, arm: str, part: int, worker: int) -> _Trials:
    """Read the data, leave out the test subjects, and describe the search."""
    device = prepare_device(step)
    data = read_learning_data(step)
    parts = group_folds(place_folds(data.assignments))
    if part >= len(parts):
        raise ConfigError(
            f"--part: part must be one of 0 to {len(parts) - 1}, got {part}.",
            "parts count from 0, over all repeats.",
        )
    folds = tuple(parts[part])
    start = find_start(step, data, arm=arm)
    known = replace(data, assignments=keep_untested(data.assignments, folds))
    job = Job(step, step.study, known, arm, folds[0], device, start)
    return _Trials(_build_search(job, folds, part=part, worker=worker), job, folds, part)


def _build_search(job: Job, folds: tuple[int, ...], *, part: int, worker: int) -> "Search":
    """Describe the search by what its trials depend on."""
    from medvision.learn.search import Search

    step, tune = job.step, job.step.study.tune
    # How many trials there are, who runs them and where makes no other search of it.
    same = tune.model_copy(update={"trials": 0, "workers": 1})
    study = step.study.model_copy(update={"tune": same})
    parts = {"weights": job.start.digest, "form": job.start.describe()}
    return Search(
        journal=journal_path(step.layout, step.name),
        name=hash_settings(replace(step, study=study, device=""), parts),
        space=_build_space(step.study),
        n_folds=len(folds),
        seed=derive_seed(tune.seed, job.arm, part),
        maximise=tune.objective == "auc",
        worker=worker,
        **{name: getattr(tune, name) for name in _SEARCH_FIELDS},
    )


def _build_space(study: Study) -> "dict[str, Range | Choices]":
    """Return what each field may be, by name, so that no order of theirs matters."""
    from medvision.learn.space import Choices, Range

    sections = {name: getattr(study, name) for name in type(study).model_fields}

    def build(key: str, held: Searched) -> Range | Choices:
        if held.low is None or held.high is None:
            listed = [list(v) if isinstance(v, tuple) else v for v in held.choices or ()]
            return Choices(tuple(cast(list[JsonValue], listed)))
        return Range(held.low, held.high, log=held.log, is_whole=is_whole(key, sections))

    return {key: build(key, held) for key, held in sorted(study.tune.space.items())}


def _write_trials(step: Step, results: "tuple[TrialResult, ...]") -> None:
    """Write the table of the trials, one column per field."""
    fields = tuple(sorted(step.study.tune.space))
    rows: list[dict[str, Cell]] = [
        {
            "number": item.number,
            "state": item.state,
            "value": item.value,
            "inner_folds": item.n_folds,
            "worker": item.worker,
            "reason": item.reason,
            **{key: _as_cell(item.values[key]) for key in fields},
        }
        for item in results
    ]
    path = step.layout.table(step.name, "trials")
    write_table(step.write(path), rows, columns=(*TRIAL_COLUMNS, *fields, "reason"))


def _as_cell(value: JsonValue) -> Cell:
    """Return a value as a cell; a list as its members."""
    if isinstance(value, list | dict):
        return " ".join(str(item) for item in value)
    return value


def _summarise(
    trials: _Trials, results: "tuple[TrialResult, ...]", *, best: "TrialResult"
) -> dict[str, JsonValue]:
    """Return what was chosen, and by how many trials of which kind."""
    tune = trials.job.step.study.tune
    counts = {
        f"n_{state}": sum(item.state == state for item in results)
        for state in ("complete", "pruned", "failed")
    }
    return {
        "arm": trials.job.arm,
        "part": trials.part,
        "values": dict(best.values),
        "objective": f"validation {tune.objective}",
        "value": best.value,
        "number": best.number,
        "n_trials": len(results),
        **counts,
        "n_inner_folds": len(trials.folds),
        "sampler": tune.sampler,
        "pruner": tune.pruner,
        "seed": tune.seed,
        "space": cast(JsonValue, tune.model_dump(mode="json", exclude_none=True)["space"]),
        "n_workers": len({item.worker for item in results}),
        "is_repeatable": tune.sampler == "random" or all(not item.worker for item in results),
    }
