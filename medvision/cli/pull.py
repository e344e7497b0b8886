"""`medvision pull`: a cohort fetched from a PACS, every series counted."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from medvision.cli._pacs import open_archive, open_server
from medvision.cli._run import open_step, study_command
from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.errors import ConfigError, DataError
from medvision.layout import Layout
from medvision.runtime.progress import say_size

if TYPE_CHECKING:
    from medvision.io.pacs.archive import Archive
    from medvision.io.pacs.series import SeriesResult


@study_command(
    "pull",
    help="Fetch the studies that section pacs asks for, by DICOMweb, C-GET or C-MOVE, into "
    "pull/archive, which ingest then reads. What is complete there is not fetched again: a pull "
    "that was interrupted goes on. pull/series.tsv accounts for every series.",
    example="medvision pull --set data.kind=dicom --set data.labels=labels.csv "
    "--set pacs.protocol=dicomweb --set pacs.url=https://pacs.example.org/dicom-web "
    "--set pacs.studies=studies.csv",
)
@click.option(
    "--prune", is_flag=True, help="Delete the series of earlier pulls that nothing asks for now."
)
def command(study: Study, layout: Layout, *, prune: bool) -> None:
    """Pull the cohort and write its tables."""
    from medvision.io.pacs.pull import list_unsound, prune_archive, write_results

    if study.pacs.protocol == "none":
        raise ConfigError(
            "pacs.protocol: value must be dicomweb, c-get, c-move or push, got none.",
            "set section pacs; see docs/how-to/pull-from-a-pacs.md.",
        )
    with open_archive(study, layout) as archive, open_step("pull", study) as step:
        results = _receive(study, archive)
        if prune:
            results = prune_archive(results, archive)
        tables = (layout.table("pull", "series"), layout.pulled_listing)
        n_files, n_bytes = write_results(results, archive, series=tables[0], listing=tables[1])
        states = Counter[str](result.state for result in results)
        click.echo(
            f"pull: {n_files} files ({say_size(n_bytes)}) of {len(results)} series: "
            f"{_describe(states)}; now {_describe(archive.counts)}",
            err=True,
        )
        _check(list_unsound(results), n_files, layout, is_accepted=study.pacs.accept_incomplete)
        for path in tables:
            step.write(path)
        step.facts["key_id"] = archive.names.key_id
        step.facts["files"], step.facts["bytes"] = n_files, n_bytes
        step.facts["series"] = dict[str, JsonValue](sorted(states.items()))
        step.facts["asked_id"] = _name_table(study, archive)


def _receive(study: Study, archive: "Archive") -> "list[SeriesResult]":
    """Fetch what is asked for, or take stock of what was pushed."""
    from medvision.io.pacs.cohort import read_cohort
    from medvision.io.pacs.pull import pull_cohort, take_stock
    from medvision.io.pacs.retry import Policy

    pacs = study.pacs
    if pacs.protocol == "push":
        return take_stock(archive)
    cohort = read_cohort(
        pacs.studies, modalities=pacs.modalities, since=pacs.since, until=pacs.until
    )
    policy = Policy(retries=pacs.retries, backoff_s=pacs.backoff_s)
    server = open_server(study, archive)
    try:
        return pull_cohort(cohort, server, archive, policy=policy, connections=pacs.connections)
    finally:
        server.close()


def _check(
    unsound: "Sequence[SeriesResult]", n_files: int, layout: Layout, *, is_accepted: bool
) -> None:
    """Refuse to go on with less, or with more, than was asked for."""
    table = layout.table("pull", "series")
    others = [result for result in unsound if result.state == "not-asked"]
    missed = [result for result in unsound if result.state != "not-asked"]
    if missed and not is_accepted:
        reasons = Counter(result.reason for result in missed)
        raise DataError(
            f"pull: every series must be complete, got {len(missed)} that are not "
            f"({_describe(reasons)}).",
            f"read {table}; run the same command again, which asks for what is missing alone; or "
            "set pacs.accept_incomplete to go on without it.",
        )
    if others:
        raise DataError(
            f"pull: the archive must hold what is asked for alone, got {len(others)} other series "
            "of earlier pulls.",
            f"delete them with `medvision pull --prune`; {table} names them (not-asked).",
        )
    if not n_files:
        raise DataError(
            "pull: at least one instance must be received, got none.",
            "widen pacs.studies, pacs.modalities or the dates; for push, run `medvision listen`.",
        )


def _name_table(study: Study, archive: "Archive") -> str:
    """Return a keyed digest of the table of studies: of few identifiers a plain one is guessed."""
    from medvision.runtime.files import hash_file

    path = study.pacs.studies
    return "" if path is None else archive.names.file_id(hash_file(path))


def _describe(counts: "Counter[str]") -> str:
    """Return counts in words, in the order of the alphabet."""
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items())) or "nothing new"
