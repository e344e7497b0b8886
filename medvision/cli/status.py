"""`medvision status`: which stages are done, from their records alone."""

import click

from medvision import __version__
from medvision.cli._run import study_command
from medvision.cli._steps import list_steps
from medvision.config.model import Study
from medvision.errors import DataError
from medvision.layout import Layout
from medvision.runtime.files import read_json

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
    try:
        record = read_json(path)
    except DataError:
        return "unreadable"
    if not isinstance(record, dict):
        return "unreadable"
    if record.get("version") != __version__:
        return "other version"
    return "done" if record.get("parameters") == study.settings(step) else "other settings"
