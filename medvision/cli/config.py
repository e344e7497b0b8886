"""`medvision config`: the configuration in force, checked and complete."""

from pathlib import Path

import click
import yaml

from medvision.cli._plugin_check import check_extensions
from medvision.cli._run import study_command
from medvision.config.model import Study
from medvision.layout import Layout
from medvision.runtime.files import write_text


@study_command(
    "config",
    help="Show the configuration in force: checked, with all defaults filled in.",
    example="medvision config --config config/config.yaml --set train.epochs=5",
)
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it to a file instead."
)
def command(study: Study, _layout: Layout, *, output: Path | None) -> None:
    """Print or write the resolved configuration."""
    check_extensions(study)
    text = yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
