"""`medvision audit`: seal a run into a bundle, verify one, make a key."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast

import click

from medvision import __version__
from medvision.audit.findings import Check, Verification, escape
from medvision.audit.levels import BUNDLE_ALONE
from medvision.audit.seal import seal_bundle
from medvision.audit.signing import write_key_pair
from medvision.audit.timestamp import check_timestamp, leave_timestamp
from medvision.audit.verify import verify_bundle
from medvision.audit.workflow import list_workflow
from medvision.cli._plugin_check import check_plugins_unchanged
from medvision.cli._recompute.explained import check_explained
from medvision.cli._recompute.geometry import find_geometry_faults
from medvision.cli._recompute.levels import check_recomputed
from medvision.cli._recompute.pictures import check_pictures
from medvision.cli._recompute.statistics import find_derived_faults
from medvision.cli._report.study_record import find_stale_record
from medvision.cli._review import review
from medvision.cli._run import StudyBody, open_step, read_record, study_command
from medvision.cli._steps import list_steps
from medvision.cli._synthetic.files import check_sources_real
from medvision.cli.main import set_up_logging
from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.errors import AuditError, ConfigError
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

_STYLES = {"PASS": "green", "FAIL": "bold red", "NOT CHECKED": "yellow"}
_MAX_SHOWN = 10
_VERIFY_HELP = """Verify a bundle with nothing but the bundle; exit with 0 or 10.

Nothing that lies in the bundle is ever run.

\b
Example:
  medvision audit verify results/audit/bundle --public-key auditor.pub.pem
"""
_KEYGEN_HELP = """Make a pair of Ed25519 keys: the private one at PATH, the public one beside it.

\b
Example:
  medvision audit keygen ~/keys/auditor.pem
"""


def _option_of_path(name: str, metavar: str, *, help: str) -> Callable[[StudyBody], StudyBody]:
    """Make an option that takes a path; nothing is looked for there until it is used."""
    return click.option(name, type=click.Path(path_type=Path), metavar=metavar, help=help)


@click.group("audit")
def command() -> None:
    """Seal a run into a bundle, or verify one.

    For research use only. Not a medical device.
    """


@study_command(
    "seal",
    help="Check that every file of the run is accounted for, and write audit/bundle.",
    example="medvision audit seal --config config/config.yaml",
)
@_option_of_path(
    "--workflow",
    "DIR",
    help="Folder of the workflow that ran the steps: its sources go into the bundle, which then is "
    "a Workflow Run Crate. The rule `audit` gives it.",
)
def seal(study: Study, layout: Layout, *, workflow: Path | None) -> None:
    """Seal the output folder of a study, and record it."""
    key = study.audit.signing_key
    held = read_record(layout, "preprocess")
    if held is not None:
        check_plugins_unchanged(held)
    check_sources_real(layout)
    with open_step("audit", study) as step:
        for name, path in (list_workflow(workflow) if workflow else {}).items():
            step.source(name, path)
        result = seal_bundle(
            layout,
            version=__version__,
            required=[
                name for name in list_steps(study, layout) if name not in ("audit", "publish")
            ],
            settings=study.all_settings(),
            signing_key=key.expanduser() if key else None,
            workflow=workflow,
            find_further=lambda: find_stale_record(layout.root),
        )
        # Not registered as written: the old bundle must outlive a seal that fails, and the root
        # digest stands for every file of the new one.
        step.facts |= {
            "root_digest": result.root_digest,
            "files": result.n_files,
            "referenced": result.n_referenced,
            "signed": result.signed,
            "records": cast(JsonValue, result.records),
        }
    click.echo(f"root digest {result.root_digest}")


@command.command("verify", help=_VERIFY_HELP)
@click.argument("bundle", type=click.Path(path_type=Path))
@_option_of_path(
    "--public-key",
    "PEM",
    help="Key that must have signed it; get it from the signer, not with the bundle.",
)
@_option_of_path(
    "--timestamp",
    "TSR",
    help="RFC 3161 response over manifest.json; with --tsa-cert.",
)
@_option_of_path(
    "--tsa-cert",
    "PEM",
    help="Root certificate of the timestamping authority; get it from there.",
)
@_option_of_path(
    "--study",
    "DIR",
    help="Output folder of the run: also hash the files left out of the bundle; levels 3 to 5 take "
    "the source images from it.",
)
@_option_of_path(
    "--images",
    "DIR",
    help="Folder with the source images (images/, masks/) for levels 3 to 5, without --study.",
)
@click.option(
    "--level",
    type=click.IntRange(0, 5),
    default=BUNDLE_ALONE,
    show_default=True,
    metavar="N",
    help="How deep: 0 asks for hashes and signature, 1 whether records, tables, statistics and "
    "verdicts tell one story, 2 draws the pictures of explained cases again from their maps, 3 "
    "computes a sample of arrays and maps again from source pixels and weights, 4 also checks, "
    "stability and train images, 5 also asks an implementation that shares no code.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    metavar="N",
    help="Maps that levels 3 to 5 draw.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="S",
    help="Of that draw: choose your own, so that nobody can know which maps are looked at.",
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Also as JSON."
)
@click.option("--quiet", "-q", is_flag=True, help="Show warnings and errors only.")
def verify(
    bundle: Path,
    *,
    public_key: Path | None,
    timestamp: Path | None,
    tsa_cert: Path | None,
    study: Path | None,
    images: Path | None,
    level: int,
    sample: int,
    seed: int,
    json_path: Path | None,
    quiet: bool,
) -> None:
    """Put every question to a bundle, show the answers, and fail if one of them is bad."""
    set_up_logging(quiet=quiet)
    result = verify_bundle(
        bundle,
        level=level,
        public_key=public_key,
        study=study,
        read_table=cache(read_table),
        recompute=find_derived_faults,
        compare_grids=find_geometry_faults,
    )
    more = check_recomputed(bundle, level=level, sources=images or study, sample=sample, seed=seed)
    more = (*check_explained(bundle, level=level), check_pictures(bundle, level=level), *more)
    stamp = _check_timestamp(bundle, timestamp, certificates=tsa_cert)
    result = replace(result, checks=(*result.checks, stamp, *more))
    if json_path is not None:
        write_json(json_path, result.as_dict())
    if not quiet:
        _show(result)
    failed = [check for check in result.checks if check.status == "FAIL"]
    if failed:
        raise AuditError(_summarise(bundle, failed), "do not rely on this bundle; ask its author.")


def _check_timestamp(bundle: Path, response: Path | None, *, certificates: Path | None) -> Check:
    """Ask an authority's response, where both it and the authority's certificate were given."""
    if response is None and certificates is None:
        return leave_timestamp()
    if response is None or certificates is None:
        raise ConfigError(
            "audit verify: --timestamp and --tsa-cert must be given together, got one."
        )
    return check_timestamp(bundle, response, certificates=certificates)


@command.command("keygen", help=_KEYGEN_HELP)
@click.argument("path", type=click.Path(path_type=Path))
def keygen(path: Path) -> None:
    """Write a pair of keys and say what to do with each."""
    public_path = write_key_pair(path)
    click.echo(f"private key {path} (mode 0600: keep it, and keep it out of the output folder)")
    click.echo(f"public key  {public_path} (hand it to those who verify)")


command.add_command(seal)
command.add_command(review)


def _show(result: Verification) -> None:
    """Draw the table of checks, then every fault on a line of its own."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("Level", "Check", "Result", "Question", "Faults")
    for check in sorted(result.checks, key=lambda check: check.level):
        status = Text(check.status, style=_STYLES[check.status])
        text = Text("\n".join([check.question, *([check.note] if check.note else [])]))
        table.add_row(str(check.level), check.name, status, text, str(len(check.findings) or ""))
    console = Console()
    console.print(table)
    for line in _list_faults(result.checks):
        click.echo(line)
    click.echo(f"root digest {result.root_digest or 'unreadable'}")
    click.echo(f"verdict     {'PASS' if result.passed else 'FAIL'}")
    click.echo("For research use only. Not a medical device.")


def _list_faults(checks: Sequence[Check]) -> list[str]:
    """Return the first faults of each check, in words."""
    lines = []
    for check in checks:
        lines += [f"FAIL {check.name}: {finding}" for finding in check.findings[:_MAX_SHOWN]]
        if len(check.findings) > _MAX_SHOWN:
            more = len(check.findings) - _MAX_SHOWN
            lines.append(f"FAIL {check.name}: {more} more, all in --json FILE.")
    return lines


def _summarise(bundle: Path, failed: Sequence[Check]) -> str:
    """Return one line that names the checks that failed."""
    names = ", ".join(check.name for check in failed)
    return escape(f"{bundle.name}: every check must pass, {len(failed)} failed: {names}.")
