"""`medvision summary`: where the report lies, and in three lines what was found."""

from typing import cast

import click

from medvision.cli._run import study_command
from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.errors import StaleOutputError
from medvision.layout import Layout
from medvision.runtime.files import read_json


@study_command(
    "summary",
    help="Say where the report lies, and in three lines what was found.",
    example="medvision summary --config config/config.yaml",
)
def command(_study: Study, layout: Layout) -> None:
    """Quote the report's own facts; nothing is computed here."""
    if not layout.record("report").is_file():
        raise StaleOutputError(
            f"{layout.root.name}: step report must be complete, got no record of it.",
            "run `medvision report` first, or the whole workflow with snakemake.",
        )
    facts = cast(dict[str, JsonValue], read_json(layout.report_json))
    click.echo(f"Report: {layout.report_html}")
    for line in cast(list[str], facts["summary_lines"]):
        click.echo(f"  {line}")
    click.echo(str(facts["research_use"]))
