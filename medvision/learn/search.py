"""A search for hyper-parameters that any number of processes share through one journal file."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, Trial, TrialState

from medvision.domain.record import JsonValue
from medvision.errors import ConfigError, TrainingError
from medvision.learn.presence import Claiming, is_at_work, taking_presence
from medvision.learn.space import Choices, Range, distribute, read_values
from medvision.runtime.seeds import derive_seed

Sampler = Literal["tpe", "random"]
Pruner = Literal["median", "none"]
Objective = Callable[[Mapping[str, JsonValue]], Iterator[float]]
"""Values -> one validation figure per inner fold, in an order that never changes."""

_log = logging.getLogger(__name__)
_POLL_S = 1.0
_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class Search:
    """One search.

    Args:
        journal: File shared by all its processes; its folder also holds the locks.
        name: Digest of all that a trial depends on; another name is another search.
        space: Field to what it may be.
        trials: How many trials are finished in the end, never more.
        n_folds: Figures that a whole trial yields.
        sampler: tpe or random.
        pruner: median or none.
        seed: Seed of the sampler.
        maximise: Whether larger figures are better.
        worker: Number of this process, unlike that of any other at work.
    """

    journal: Path
    name: str
    space: Mapping[str, Range | Choices]
    trials: int
    n_folds: int
    sampler: Sampler
    pruner: Pruner
    seed: int
    maximise: bool
    worker: int


@dataclass(frozen=True)
class TrialResult:
    """A finished trial.

    Args:
        number: From 0; a trial that was killed keeps its number for its successor.
        state: complete, pruned or failed.
        value: Mean figure over the inner folds done; None for a failed trial.
        n_folds: Inner folds done.
        values: Field to value.
        worker: Which process ran it.
        reason: Why it failed; empty otherwise.
    """

    number: int
    state: str
    value: float | None
    n_folds: int
    values: Mapping[str, JsonValue]
    worker: int
    reason: str


def run_search(search: Search, objective: Objective, *, waits: bool) -> int:
    """Run trials until all are taken.

    A trial is claimed under a lock that all processes share, so that there are never more of them
    than asked. A trial whose process is gone is marked as interrupted, and its number is free
    again. The values of a trial are drawn from a seed of its number: with one process the same
    search gives the same trials, interrupted or not; with several, tpe knows of the others what
    they had found by then, and may draw otherwise.

    Args:
        search: The search.
        objective: Trains with the values, and yields a figure per inner fold.
        waits: Whether to wait for the trials of other processes, and take over what they leave.

    Returns:
        Number of trials that this process ran.

    Raises:
        ConfigError: A process with the same number is at work.
        StorageError: The journal cannot be written.

    Source:
        Akiba et al. 2019, doi:10.1145/3292500.3330701; TPE: Bergstra et al. 2011,
        "Algorithms for hyper-parameter optimization", NeurIPS 24.
    """
    search.journal.parent.mkdir(parents=True, exist_ok=True)
    n_run = 0
    with taking_presence(search.journal.parent, search.worker, claiming=_claiming(search)):
        study = _open_study(search)
        while True:
            trial = _claim(search, study)
            if trial is not None:
                _run_trial(search, study, trial=trial, objective=objective)
                n_run += 1
            elif waits and _list_running(search, study):
                time.sleep(_POLL_S)
            else:
                return n_run


def read_results(search: Search) -> tuple[TrialResult, ...]:
    """Return the finished trials by number.

    Args:
        search: The search; nothing of another name is read.
    """
    found: dict[int, TrialResult] = {}
    for trial in _open_study(search).get_trials(deepcopy=False):
        number = _number_of(trial)
        if trial.state in _STATES and number is not None and number < search.trials:
            found[number] = _describe(search, trial, number=number)
    return tuple(found[number] for number in sorted(found))


def choose_best(results: tuple[TrialResult, ...], *, maximise: bool) -> TrialResult:
    """Return the best of the complete trials; of equals the first.

    Raises:
        TrainingError: No trial was complete.
    """
    complete = [(item, item.value) for item in results if item.state == "complete"]
    scored = [(item, value) for item, value in complete if value is not None]
    if not scored:
        reason = next((item.reason for item in results if item.reason), "none was finished")
        raise TrainingError(
            f"tune: a trial must be complete, got none of {len(results)}: {reason}",
            "narrow tune.space to values with which a training works.",
        )
    return min(scored, key=lambda pair: (-pair[1] if maximise else pair[1], pair[0].number))[0]


def _open_study(search: Search) -> optuna.Study:
    """Open the search in its journal, or begin it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search.journal.parent.mkdir(parents=True, exist_ok=True)
    # Absolute: the lock is a link to the journal, and is read from the link's own folder.
    path = str(search.journal.absolute())
    lock = JournalFileSymlinkLock(path)
    _drop_torn_line(search.journal, lock)
    with _claiming(search)():
        return optuna.create_study(
            study_name=search.name,
            storage=JournalStorage(JournalFileBackend(path, lock_obj=lock)),
            direction="maximize" if search.maximise else "minimize",
            pruner=_build_pruner(search),
            load_if_exists=True,
        )


def _build_pruner(search: Search) -> optuna.pruners.BasePruner:
    """Return what ends a trial early: the median rule needs five complete trials first."""
    return (
        optuna.pruners.MedianPruner() if search.pruner == "median" else optuna.pruners.NopPruner()
    )


def _drop_torn_line(journal: Path, lock: JournalFileSymlinkLock) -> None:
    """Cut off a last line that a killed process or a full disk left without its end."""
    lock.acquire()
    try:
        content = journal.read_bytes() if journal.is_file() else b""
        if content and not content.endswith(b"\n"):
            with journal.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()


def _claiming(search: Search) -> Claiming:
    """Return the lock under which trials are taken and presence is judged."""

    @contextmanager
    def claim() -> Iterator[None]:
        # The lock is a link to this file; one that leads nowhere would never be given up for dead.
        path = search.journal.absolute().with_name("claim")
        path.touch()
        lock = JournalFileSymlinkLock(str(path))
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    return claim


def _claim(search: Search, study: optuna.Study) -> Trial | None:
    """Take the first free number, with its values; None where all are taken."""
    with _claiming(search)():
        held = study.get_trials(deepcopy=False)
        taken = {_number_of(trial) for trial in held if not _give_up_if_dead(search, study, trial)}
        free = next((number for number in range(search.trials) if number not in taken), None)
        if free is None:
            return None
        study.sampler = _build_sampler(search, number=free)
        trial = study.ask(distribute(search.space))
        trial.set_user_attr("worker", search.worker)
        trial.set_user_attr("number", free)
        return trial


def _build_sampler(search: Search, *, number: int) -> optuna.samplers.BaseSampler:
    """Return a sampler whose draws depend on the trial's number and what was found before."""
    seed = derive_seed("tune-sampler", search.seed, number)
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _number_of(trial: FrozenTrial) -> int | None:
    """Return a trial's number in the search; None for one that was interrupted."""
    if trial.state == TrialState.FAIL and "reason" not in trial.user_attrs:
        return None
    number = trial.user_attrs.get("number")
    return number if isinstance(number, int) else None


def _give_up_if_dead(search: Search, study: optuna.Study, trial: FrozenTrial) -> bool:
    """Mark a trial whose process is gone as interrupted; the claiming lock is held."""
    if trial.state != TrialState.RUNNING:
        return False
    worker = trial.user_attrs.get("worker")
    is_own = worker is None or worker == search.worker
    if worker is not None and not is_own and is_at_work(search.journal.parent, int(worker)):
        return False
    # Without a reason: that tells it from a trial that failed by its own values.
    study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    return "reason" not in trial.user_attrs


def _list_running(search: Search, study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials of other processes that are under way."""
    held = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [trial for trial in held if (_number_of(trial) or 0) < search.trials]


def _run_trial(search: Search, study: optuna.Study, *, trial: Trial, objective: Objective) -> None:
    """Train fold by fold, and say how it ended, unless another process gave this one up."""
    try:
        _judge(search, study, trial=trial, objective=objective)
    except optuna.exceptions.UpdateFinishedTrialError:
        _log.warning("tune: another process took this one for dead, so a trial of it was run again")


def _judge(search: Search, study: optuna.Study, *, trial: Trial, objective: Objective) -> None:
    """Train fold by fold, until the end, a fault, or a mean that is worse than the others'."""
    figures: list[float] = []
    try:
        for figure in objective(read_values(search.space, trial.params)):
            figures.append(figure)
            trial.report(sum(figures) / len(figures), step=len(figures))
            if len(figures) < search.n_folds and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
                return
    except (TrainingError, ConfigError) as error:
        trial.set_user_attr("reason", error.message)
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        return
    study.tell(trial, sum(figures) / len(figures), skip_if_finished=True)


def _describe(search: Search, trial: FrozenTrial, *, number: int) -> TrialResult:
    """Return a finished trial in this project's words."""
    return TrialResult(
        number=number,
        state=_STATES[trial.state],
        value=trial.value,
        n_folds=len(trial.intermediate_values),
        values=read_values(search.space, trial.params),
        worker=int(trial.user_attrs["worker"]),
        reason=str(trial.user_attrs.get("reason", "")),
    )
