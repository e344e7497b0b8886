"""`medvision doctor`: what would fail, found in seconds before hours are spent."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from medvision.cli._doctor.cluster import check_cluster
from medvision.cli._doctor.findings import Finding
from medvision.cli._doctor.machine import check_machine
from medvision.cli._doctor.probe import probe_nodes
from medvision.cli._doctor.study import check_study
from medvision.cli._refusals import check_accepted
from medvision.cli._run import CONFIG_HELP, DEFAULT_CONFIG, find_config
from medvision.config.model import Study, is_json, load_study
from medvision.errors import ConfigError
from medvision.runtime.workflow import find_workflow, has_snakefile

_RUN = {
    None: ("snakemake --cores all", "--configfile"),
    "slurm": ("medvision cluster run", "--config"),
}
_OF_THE_MACHINE = ("Cores", "Memory", "GPU", "Processes")
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command(
    "doctor",
    help="Check config, data, weights, disk and GPU before hours are spent.\n\n"
    "Exits with 1 when something must be mended. Nothing is computed. With --profile slurm what "
    "the jobs will ask for is held against the cluster, in place of this machine.\n\n"
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
@click.option("--profile", type=click.Choice(["slurm"]), help="Check a cluster as well.")
@click.option(
    "--site",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Site file of the cluster; when omitted that of cluster.site.",
)
@click.option(
    "--probe",
    is_flag=True,
    help="Run a job of seconds on each partition: does the node see the output folder, Python, "
    "scratch and GPU?",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    config: str | None,
    overrides: tuple[str, ...],
    profile: str | None,
    site: Path | None,
    probe: bool,
) -> None:
    """Run every check and show the findings; one failure does not hide the next."""
    if profile is None and (site is not None or probe):
        raise click.UsageError("--site and --probe need --profile slurm.")
    findings = list(_check_all(config, overrides, is_local=profile is None))
    if profile is not None:
        findings += _check_profile(config, overrides, site=site, is_probed=probe)
    _show(findings)
    n_failed = sum(finding.status == "fail" for finding in findings)
    if n_failed:
        click.echo(f"{n_failed} to mend before a run.")
        context.exit(1)
    click.echo(f"Ready to run: {_say_run(profile, config)}")


def _say_run(profile: str | None, config: str | None) -> str:
    """Return the command that runs what was checked; a configuration given as text has no name."""
    command, option = _RUN[profile]
    is_default = config is None or Path(config) == DEFAULT_CONFIG
    is_text = config is not None and is_json(config)
    if profile is None and not has_snakefile():
        command += f" --snakefile {shlex.quote(str(find_workflow()))}"
    return command if is_default or is_text else f"{command} {option} {shlex.quote(str(config))}"


def _check_all(
    config: str | None, overrides: Sequence[str], *, is_local: bool
) -> Iterator[Finding]:
    """Yield the findings in the order in which a run would meet them."""
    finding, study = _check_config(config, overrides)
    # Cores, memory and GPU of a login node are not those of the jobs.
    yield from (
        held for held in check_machine(study) if is_local or held.name not in _OF_THE_MACHINE
    )
    yield finding
    if study is not None:
        yield from check_study(study)


def _check_profile(
    config: str | None, overrides: Sequence[str], *, site: Path | None, is_probed: bool
) -> Iterator[Finding]:
    """Yield the findings of a cluster, where the configuration can be read."""
    _, study = _check_config(config, overrides)
    if study is None:
        return
    yield from check_cluster(study, site)
    if is_probed:
        yield from probe_nodes(study, site)


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
    return "as given on the command line" if is_json(config) else config


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
