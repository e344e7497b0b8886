"""`medvision status`: which stages are done, from their records alone."""

import json
from pathlib import Path

import click

from medvision import __version__
from medvision.cli._run import study_command
from medvision.config.model import Study
from medvision.layout import STEPS, Layout

_MEANINGS = {
    "done": "✓ done",
    "other settings": "! other settings",
    "other version": "! other version",
    "unreadable": "! unreadable record",
    "missing": "– missing",
}


@study_command(
    "status",
    help="List which stages are done, and which are missing or were run with other settings.",
    example="medvision status --config config/config.yaml",
)
def command(study: Study, layout: Layout) -> None:
    """Print one row per stage, and the step to run next."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    states = {step: judge_step(study, layout, step=step) for step in list_steps(study, layout)}
    table = Table(box=box.SIMPLE)
    table.add_column("stage")
    table.add_column("state")
    for step, state in states.items():
        table.add_row(step, _MEANINGS[state])
    click.echo(f"Study: {layout.root}")
    Console().print(table)
    missing = [step for step, state in states.items() if state != "done"]
    following = f"Next: {missing[0]}." if missing else "All stages are done."
    click.echo(following)


def list_steps(study: Study, layout: Layout) -> list[str]:
    """Return the steps of a study in the order of the work, one per trained fold.

    Args:
        study: The configuration in force.
        layout: Its output folder, whose cohort says how many folds there are.

    Returns:
        Step names as their records have them.
    """
    skipped = set() if study.data.kind == "phantom" else {"phantom"}
    skipped |= set() if study.model.weights == "pretrain" else {"pretrain"}
    names = [name for name in STEPS if name not in skipped]
    folds = range(_count_folds(study, layout))
    trained = [layout.fold_step(arm, fold) for arm in study.arms for fold in folds]
    place = names.index("train")
    return [*names[:place], *trained, *names[place + 1 :]]


def _count_folds(study: Study, layout: Layout) -> int:
    """Return the folds that were made, or those asked for while there is no cohort."""
    summary = _read_object(layout.cohort_summary)
    n_folds = summary.get("n_folds") if summary else None
    return n_folds if isinstance(n_folds, int) else study.cohort.folds


def judge_step(study: Study, layout: Layout, *, step: str) -> str:
    """Return a step's state: done, missing, unreadable, other version or other settings.

    Args:
        study: The configuration in force.
        layout: Its output folder.
        step: Step name.

    Returns:
        The state; files are not hashed here, `medvision audit verify` does that.
    """
    path = layout.record(step)
    if not path.is_file():
        return "missing"
    record = _read_object(path)
    if record is None:
        return "unreadable"
    if record.get("version") != __version__:
        return "other version"
    return "done" if record.get("parameters") == study.settings(step) else "other settings"


def _read_object(path: Path) -> dict[str, object] | None:
    """Return a JSON object, None where there is no readable one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
