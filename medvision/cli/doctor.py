"""`medvision doctor`: what would fail, found in seconds before hours are spent."""

from collections.abc import Iterator, Sequence

import click

from medvision.cli._check_machine import check_machine
from medvision.cli._check_study import check_study
from medvision.cli._findings import Finding
from medvision.cli._refusals import check_accepted
from medvision.cli._run import CONFIG_HELP, find_config
from medvision.config.model import Study, load_study
from medvision.errors import ConfigError

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command(
    "doctor",
    help="Check config, data, weights, disk and GPU before hours are spent.\n\n"
    "Exits with 1 when something must be mended. Nothing is written or computed.\n\n"
    "\b\nExample:\n  medvision doctor --config config/config.yaml",
)
@click.option(
    "--config",
    "-c",
    metavar="FILE",
    help=CONFIG_HELP,
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.FIELD=VALUE",
    help="Override one value; may be repeated.",
)
@click.pass_context
def command(context: click.Context, *, config: str | None, overrides: tuple[str, ...]) -> None:
    """Run every check and show the findings; one failure does not hide the next."""
    findings = list(_check_all(config, overrides))
    _show(findings)
    n_failed = sum(finding.status == "fail" for finding in findings)
    if n_failed:
        click.echo(f"{n_failed} to mend before a run.")
        context.exit(1)
    click.echo("Ready to run: snakemake --cores all")


def _check_all(config: str | None, overrides: Sequence[str]) -> Iterator[Finding]:
    """Yield the findings in the order in which a run would meet them."""
    finding, study = _check_config(config, overrides)
    yield from check_machine(study)
    yield finding
    if study is not None:
        yield from check_study(study)


def _check_config(config: str | None, overrides: Sequence[str]) -> tuple[Finding, Study | None]:
    """Read the configuration as every other command does."""
    config = find_config(config)
    try:
        study = load_study(config, overrides=overrides)
        check_accepted(study)
    except ConfigError as error:
        return Finding("Config", "fail", error.message, error.hint), None
    return Finding("Config", "ok", _name_source(config)), study


def _name_source(config: str | None) -> str:
    """Return what the configuration was read from."""
    if config is None:
        return "the defaults"
    return "as given on the command line" if config.lstrip().startswith("{") else config


def _show(findings: Sequence[Finding]) -> None:
    """Print one row per finding."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    for finding in findings:
        text = Text(finding.found)
        if finding.hint:
            text.append(f"\n→ {finding.hint}", style="italic")
        status = Text(finding.status, style=_STYLES[finding.status])
        table.add_row(status, finding.name, text)
    Console().print(table)
