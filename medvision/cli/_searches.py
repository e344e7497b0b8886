"""Which parts of the cohort are searched, and what their searches chose for the training."""

from pathlib import Path

from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.domain.split import Assignment
from medvision.errors import DataError
from medvision.layout import Layout
from medvision.runtime.files import read_json

Place = tuple[int, int]
"""(repeat, part): whose test subjects they are."""


def group_folds(places: dict[int, Place]) -> list[list[int]]:
    """Return the trainings of each tested part; parts count on over the repeats.

    Args:
        places: Training (the column `fold`) to its repeat and part.

    Returns:
        By number of the part, its trainings in rising order.
    """
    order = sorted(set(places.values()))
    return [[fold for fold in sorted(places) if places[fold] == place] for place in order]


def place_folds(assignments: "tuple[Assignment, ...]") -> dict[int, Place]:
    """Return the repeat and part of each training."""
    return {item.fold: (item.repeat, item.part) for item in assignments}


def read_places(layout: Layout) -> dict[int, Place]:
    """Return the repeat and part of each training of the cohort's table.

    Raises:
        DataError: There is no such table.
    """
    from medvision.io.tables import read_table

    rows = read_table(layout.folds, required=("fold", "repeat", "part"))
    return {int(row["fold"]): (int(row["repeat"]), int(row["part"])) for row in rows}


def list_searches(study: Study, layout: Layout) -> tuple[str, ...]:
    """Return the steps of all searches that the configuration asks for.

    Args:
        study: The configuration in force.
        layout: Its output folder; while it has no cohort, the configuration counts the parts.
    """
    if not study.tune.trials:
        return ()
    try:
        n_parts = len(group_folds(read_places(layout)))
    except DataError:
        n_parts = study.cohort.n_parts
    return tuple(layout.tune_step(arm, part) for arm in study.arms for part in range(n_parts))


def find_search(study: Study, layout: Layout, *, arm: str, fold: int) -> tuple[str, ...]:
    """Return the step of the search that a training obeys; nothing where there is none."""
    if not study.tune.trials:
        return ()
    try:
        parts = group_folds(read_places(layout))
    except DataError:
        return ()
    return tuple(layout.tune_step(arm, n) for n, folds in enumerate(parts) if fold in folds)


def chosen_path(layout: Layout, step: str) -> Path:
    """Return the file of what a search chose."""
    return layout.step(step) / "best.json"


def journal_path(layout: Layout, step: str) -> Path:
    """Return the file that all processes of a search share, kept between runs."""
    return layout.step(step) / "journal" / "trials.log"


def mark_path(layout: Layout, step: str, *, worker: int) -> Path:
    """Return the mark that a worker of a search is done."""
    return layout.step(step) / "workers" / f"{worker}.json"


def read_chosen(path: Path) -> dict[str, JsonValue]:
    """Return `section.field` to the value that a search chose.

    Raises:
        DataError: The file is none that a search wrote.
    """
    held = read_json(path)
    values = held.get("values") if isinstance(held, dict) else None
    if not isinstance(values, dict):
        raise DataError(f"{path.name}: file must hold the values that a search chose, got none.")
    return values
