"""`medvision ingest`: raw files to checked, de-identified images."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision.cli._ingest_inputs import build_settings, check_archive, find_listing
from medvision.cli._inputs import find_source, parse_shard
from medvision.cli._marks import write_mark
from medvision.cli._plugin_check import check_extensions
from medvision.cli._refusals import check_accepted, check_refusals
from medvision.cli._run import Step, open_step, study_command
from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.layout import Layout

if TYPE_CHECKING:
    from medvision.io.ingest.settings import IngestSettings, IngestSummary


@study_command(
    "ingest",
    help="Turn raw DICOM and NIfTI into checked, de-identified volumes. Every input file is "
    "accounted for in sources.tsv; what is refused stands in rejects.tsv with its reason, and "
    "makes the exit code 13 unless ingest.accept names it. Only what is new or changed since the "
    "last run is read.",
    example="medvision ingest --set data.kind=dicom --set data.path=scans "
    "--set data.labels=labels.csv",
)
@click.option(
    "--index-only", is_flag=True, help="Look at the files and convert nothing: before shards."
)
@click.option(
    "--shard",
    metavar="K/N",
    help="Convert the K-th of N parts of what was indexed; a run without gathers all parts.",
)
@click.option(
    "--defer-refusals",
    is_flag=True,
    help="End with 0 although files were refused; the step cohort then stops.",
)
def command(
    study: Study, layout: Layout, *, index_only: bool, shard: str | None, defer_refusals: bool
) -> None:
    """Ingest the input folder, or do one of the parts that jobs can share."""
    check_accepted(study)
    check_extensions(study)
    # Before the step is opened: a bad table must not cost the tables of an earlier run.
    settings = build_settings(study, layout)
    source = find_source(study, layout)
    if index_only or shard is not None:
        part = None if shard is None else parse_shard(shard)
        _do_part(study, layout, source, settings=settings, part=part)
        return
    _ingest(study, layout, source=source, settings=settings)
    if not defer_refusals:
        check_refusals(study, layout)


def _do_part(
    study: Study,
    layout: Layout,
    source: Path,
    *,
    settings: "IngestSettings",
    part: tuple[int, int] | None,
) -> None:
    """Bring the index up to date, or convert one shard of it, and leave a mark."""
    from medvision.io.ingest.run import convert_shard, count_refused_files, index_folder
    from medvision.io.ingest.store import Shard

    if part is None:
        n_files = index_folder(source, layout, settings=settings)
        write_mark(layout.ingest_shard("index"), {"files": n_files}, study=study, step="ingest")
        click.echo(f"ingest: {n_files} files indexed", err=True)
        return
    shard = Shard(*part)
    n_done, n_all = convert_shard(source, layout, settings=settings, shard=shard)
    refused: dict[str, JsonValue] = {**count_refused_files(layout, shard)}
    facts: dict[str, JsonValue] = {"jobs": n_all, "refused": refused}
    write_mark(layout.ingest_shard(str(shard)), facts, study=study, step="ingest")
    click.echo(f"ingest: shard {shard}: {n_done} of {n_all} series and files converted", err=True)


def _ingest(study: Study, layout: Layout, *, source: Path, settings: "IngestSettings") -> None:
    """Do the whole step, and record it."""
    from medvision.io.ingest.run import ingest_folder

    listing = find_listing(study, layout)
    upstream = () if listing is None else (listing.parent.name,)
    with open_step("ingest", study, upstream=upstream, keeps=layout.images) as step:
        summary = ingest_folder(source, layout, settings=settings)
        if listing is not None:
            check_archive(step, listing)
        if study.data.labels is not None and study.data.labels.is_file():
            step.source("labels", study.data.labels)
        if study.ingest.blank_regions is not None:
            step.source("blank-regions", study.ingest.blank_regions)
        _register(step, summary)
        _publish(step, source, settings=settings)
        step.facts["key_id"] = summary.key_id
        step.facts["verdicts"] = dict(summary.verdicts)
        step.facts["refused"] = dict(summary.refused)
    _report(summary, layout)


def _register(step: Step, summary: "IngestSummary") -> None:
    """Register all that was written."""
    layout = step.layout
    for path in (layout.manifest, layout.rejects, layout.sources):
        step.write(path)
    for name, digest in summary.written:
        step.write(layout.images / name, digest=digest)


def _publish(step: Step, source: Path, *, settings: "IngestSettings") -> None:
    """Write what others read: participants, the BIDS tree, the way back, as far as asked for."""
    from medvision import __version__
    from medvision.io.bids.publish import write_bids
    from medvision.io.deidentify import Pseudonymiser, read_key
    from medvision.io.ingest.run import open_sources
    from medvision.io.reidentify import list_identities, write_reidentification

    names = Pseudonymiser(read_key(settings.key))
    is_tree = step.study.ingest.bids
    for path in write_bids(
        step.layout, source=source, names=names, is_tree=is_tree, version=__version__
    ):
        step.write(path)
    way_back = step.layout.reidentification
    if step.study.ingest.reidentification:
        with open_sources(source, step.layout, settings=settings) as sources:
            rows = list_identities(sources.list_paths(), names, open_file=sources.open)
            write_reidentification(way_back, rows)
    else:
        # An earlier run may have been asked for it.
        way_back.unlink(missing_ok=True)


def _report(summary: "IngestSummary", layout: Layout) -> None:
    """Say what became of the files."""
    from medvision.io.ingest.run import describe_counts
    from medvision.io.tables import read_table

    click.echo(
        f"ingest: {summary.n_images} images of {summary.n_subjects} subjects "
        f"from {summary.n_files} files ({describe_counts(summary.verdicts)})",
        err=True,
    )
    if summary.refused:
        click.echo(f"refused: {describe_counts(summary.refused)}; see {layout.rejects}", err=True)
    flags = Counter(
        flag for row in read_table(layout.manifest) for flag in row["flags"].split(",") if flag
    )
    if flags:
        click.echo(f"flagged: {describe_counts(flags)}; see {layout.manifest}", err=True)
