"""`medvision cluster`: Snakemake on SLURM, led so that a cut-off run leaves no orphans."""

import re
import subprocess
import sys
import time
from pathlib import Path

import click

from medvision.cli._run import CONFIG_HELP, DEFAULT_CONFIG, find_config, find_layout
from medvision.cli._status.last_run import read_last_run
from medvision.cli.main import set_up_logging
from medvision.config.model import is_json, load_study
from medvision.errors import ClusterError, ConfigError
from medvision.runtime.access import obeying_umask

_CANCEL_S = 600
_SNAKEMAKE = {"ignore_unknown_options": True}
# Snakemake takes its long options shortened, too.
_ELSEWHERE = re.compile(r"--(configf|dir)[a-z]*(=.*)?|-[dC].*")
_READING = re.compile(
    r"-[Fkp]*n[Fkpq]*|-[DSl]|--dryrun|--dry(-[a-z]*)?|--list(-[a-z-]*)?"
    r"|--(dag|rulegraph|filegraph|d3dag|summary|detailed-summary|lint)(=.*)?"
)


@click.group("cluster", help="Run the workflow on SLURM, or cancel such a run.")
def command() -> None:
    """Both know a study's jobs by their names' prefix, a number drawn at random."""


_FILE_HELP = "YAML file, as a path; when omitted config/config.yaml."


@command.command(
    "run",
    context_settings=_SNAKEMAKE,
    help="Start Snakemake with the SLURM profile and watch it to its end. Other arguments are "
    "Snakemake's; with -n, and others that only look, nothing is led or cleared away. SIGTERM, "
    "Ctrl-C and a lost terminal cancel its jobs; after a kill the same command cancels what was "
    "left, takes the lock away and goes on. Run it under tmux, nohup or in a small job of its "
    "own.\n\n"
    "\b\nExample:\n  medvision cluster run --config config/config.yaml",
)
@click.option("--config", metavar="FILE", help=_FILE_HELP)
@click.option(
    "--profile",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Profile of Snakemake; the one that ships with medvision when omitted.",
)
@click.option(
    "--orphans",
    type=click.Choice(["cancel", "wait"]),
    default="cancel",
    show_default=True,
    help="What becomes of jobs that a killed run left, before the lock is taken away.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=0, min_open=True),
    default=15.0,
    show_default=True,
    metavar="MIN",
    help="Minutes that Snakemake may do nothing while no job is queued; then it is started again. "
    "Well above the 3 that may lie between two of its looks at the queue.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(
    *,
    config: str | None,
    profile: Path | None,
    orphans: str,
    patience: float,
    arguments: tuple[str, ...],
) -> None:
    """Lead the run; end with Snakemake's exit code."""
    from medvision.runtime.lead import take_lead
    from medvision.runtime.leader import Care, lead_run

    set_up_logging(quiet=False)
    _check_arguments(arguments)
    _check_config(config)
    study = load_study(find_config(config))
    logs = find_layout(study).root / "logs"
    words = _build_command(config, profile, arguments)
    if any(_READING.fullmatch(word) for word in arguments):
        # What is only looked at needs no lead, and what a killed run left is not touched for it.
        sys.exit(subprocess.run(words, check=False).returncode)
    with (
        obeying_umask(study.output.umask),
        take_lead(logs / "cluster", working_folder=Path()) as lead,
    ):
        named = [*words, "--slurm-jobname-prefix", lead.prefix]
        care = Care(patience_s=60 * patience, orphans=orphans)
        start_s = time.time()
        code = lead_run(named, lead, care=care)
    if code:
        click.echo(f"hint: {_say_why(logs, since_s=start_s)}", err=True)
    sys.exit(code)


@command.command(
    "cancel",
    help="End a run and cancel its jobs, from whatever machine shares the output folder; of a "
    "killed run, cancel the jobs that it left.\n\n\b\nExample:\n  medvision cluster cancel",
)
@click.option("--config", metavar="FILE", help=CONFIG_HELP)
def cancel(*, config: str | None) -> None:
    """Ask the leader to end, then cancel what is left by name."""
    from medvision.runtime.lead import ask_to_cancel, is_led, read_prefix
    from medvision.runtime.queue import cancel_jobs

    set_up_logging(quiet=False)
    folder = find_layout(load_study(find_config(config))).root / "logs" / "cluster"
    prefix = read_prefix(folder)
    if prefix is None:
        raise ConfigError(
            f"{folder}: study must have been run on the cluster, got no trace of a run.",
            "name the configuration of the run with --config.",
        )
    end = time.monotonic() + _CANCEL_S
    if is_led(folder):
        ask_to_cancel(folder)
        while is_led(folder):
            if time.monotonic() > end:
                raise ClusterError(f"{folder}: leader must end within {_CANCEL_S} s, got none.")
            time.sleep(1)
    n = cancel_jobs(prefix)
    click.echo(f"No run of this study is left; jobs that its leader had not cancelled: {n}.")


def _check_arguments(arguments: tuple[str, ...]) -> None:
    """Refuse what would have Snakemake work on another study than the one that is led."""
    for word in filter(_ELSEWHERE.fullmatch, arguments):
        raise ConfigError(
            f"cluster run: study and folder must be named to medvision alone, got {word}.",
            "name the configuration with --config FILE, and start in the folder to work in.",
        )


def _check_config(config: str | None) -> None:
    """Refuse what Snakemake could not read, and what would have it read another study."""
    place = DEFAULT_CONFIG if config is None else Path(config)
    is_text = is_json(str(place))
    if is_text or not place.is_file():
        named = "--config" if is_text else place
        raise ConfigError(
            f"cluster run: {named}: configuration must be a file that is there, got none.",
            "name it with --config FILE, and start in the study's folder; a workflow that takes "
            "this one as a module is run by `snakemake --workflow-profile`.",
        )


def _say_why(logs: Path, *, since_s: float) -> str:
    """Return where it is told why a run failed: by its jobs, or by Snakemake where none failed."""
    failures = read_last_run(Path(".snakemake")).failures.values()
    # Snakemake writes its times in whole seconds.
    if not any(failure.at_s >= since_s - 1 for failure in failures):
        return "no job failed: what stands above is why Snakemake ended."
    return (
        "`medvision status` names the jobs that failed and the command that shows their "
        f"logs ({logs}, .snakemake/slurm_logs); the same command goes on with what is left."
    )


def _build_command(
    config: str | None, profile: Path | None, arguments: tuple[str, ...]
) -> list[str]:
    """Return Snakemake's command line; the profile is always named, none is found by chance."""
    from medvision.runtime.workflow import find_workflow, has_snakefile

    workflow = find_workflow()
    chosen = profile or workflow.parent / "profiles" / "slurm"
    words = [sys.executable, "-m", "snakemake"]
    # Before an option of one value: as the last one it would take targets for further files.
    words += [] if config is None else ["--configfile", config]
    words += ["--workflow-profile", str(chosen.resolve())]
    is_named = {"-s", "--snakefile"} & {word.partition("=")[0] for word in arguments}
    if not is_named and not has_snakefile():
        words += ["--snakefile", str(workflow)]
    return [*words, *arguments]
