"""`medvision deidentify`: DICOM images copied without what tells who somebody is."""

from pathlib import Path
from typing import Literal

import click

from medvision import __version__
from medvision.cli._run import study_command
from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.errors import DataError
from medvision.layout import Layout

_KEEP = click.Choice(["keep", "remove"])


@study_command(
    "deidentify",
    help="Copy the DICOM images below SOURCE to DESTINATION, de-identified by the Basic Profile "
    "of PS3.15 annex E and named by pseudonym. Every file is accounted for in copies.tsv; what is "
    "refused stands in rejects.tsv with its reason. Pixels are not changed: faces stay in them.",
    example="medvision deidentify scans copies --dates shift --patient keep",
)
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("destination", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Secret of the pseudonyms; when omitted ingest.key, else that of the output folder, made "
    "at random where there is none.",
)
@click.option(
    "--dates",
    type=click.Choice(["shift", "remove"]),
    default="shift",
    show_default=True,
    help="Shift all dates of a subject by one span of time, or remove them.",
)
@click.option(
    "--patient",
    type=_KEEP,
    default="remove",
    show_default=True,
    help="Sex, age (capped at 90), size, weight, and states such as smoking.",
)
@click.option(
    "--device",
    type=_KEEP,
    default="remove",
    show_default=True,
    help="Serial numbers, names and dates of machines, as the header has them.",
)
@click.option(
    "--burned-in",
    type=click.Choice(["refuse", "flag"]),
    default="refuse",
    show_default=True,
    help="Images of a kind that often has text in its pixels: refuse, or copy them.",
)
def command(
    study: Study,
    layout: Layout,
    *,
    source: Path,
    destination: Path,
    key: Path | None,
    dates: Literal["shift", "remove"],
    patient: Literal["keep", "remove"],
    device: Literal["keep", "remove"],
    burned_in: Literal["refuse", "flag"],
) -> None:
    """Copy the images and say what became of the files."""
    from medvision.io.deidentify import Pseudonymiser, read_key, read_or_create_key
    from medvision.io.export import export_folder
    from medvision.io.profile.actions import METHOD, Options
    from medvision.runtime.files import write_json

    given = key or study.ingest.key
    # Never the phantom's key: that one is published.
    names = Pseudonymiser(read_key(given) if given else read_or_create_key(layout.pseudonym_key))
    options = Options(dates, patient, device)
    summary = export_folder(source, destination, names=names, options=options, burned_in=burned_in)
    facts: dict[str, JsonValue] = {
        "version": __version__,
        "method": METHOD,
        "codes": [value for value, _ in options.codes],
        "key_id": names.key_id,
        "verdicts": dict(summary.verdicts),
        "refused": dict(summary.refused),
    }
    write_json(destination / "deidentify.json", facts)
    click.echo(f"deidentify: {_describe(summary.verdicts)}", err=True)
    if summary.refused:
        raise DataError(
            f"deidentify: every image must be copied, got refused: {_describe(summary.refused)}.",
            f"read {destination / 'rejects.tsv'}; `medvision locate` finds the file of an id.",
        )


def _describe(counts: dict[str, int]) -> str:
    """Return counts as text: `12 written, 1 refused`."""
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"
