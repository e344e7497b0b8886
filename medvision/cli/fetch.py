"""`medvision fetch`: a cohort fetched from a bucket of S3, every object accounted for."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from medvision.cli._buckets import open_named
from medvision.cli._inputs import find_key
from medvision.cli._run import open_step, study_command
from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.errors import DataError
from medvision.layout import Layout
from medvision.runtime.progress import say_size

if TYPE_CHECKING:
    from medvision.io.bucket.fetch import ObjectResult


@study_command(
    "fetch",
    help="Fetch all objects below fetch.source, a bucket of S3, into fetch/archive, which ingest "
    "then reads. What is complete there is not fetched again: a fetch that was interrupted goes "
    "on. fetch/objects.tsv accounts for every object, by pseudonym.",
    example="medvision fetch --set data.kind=dicom --set data.labels=labels.csv "
    "--set fetch.source=s3://hospital/chest-ct",
)
@click.option(
    "--prune", is_flag=True, help="Delete the files of earlier fetches that the bucket has no more."
)
def command(study: Study, layout: Layout, *, prune: bool) -> None:
    """Fetch the cohort and write its tables."""
    from medvision.io.bucket.archive import Archive
    from medvision.io.bucket.fetch import fetch_objects, write_results
    from medvision.io.deidentify import Pseudonymiser, read_or_create_key

    bucket = open_named(study.fetch, study.fetch.source, family=DataError)
    root = layout.step("fetch")
    with open_step("fetch", study) as step:
        names = Pseudonymiser(read_or_create_key(find_key(study, layout)))
        archive = Archive(root / "archive", root / "ledger.tsv", names)
        connections = study.fetch.connections
        results = fetch_objects(bucket, archive, connections=connections, prune=prune)
        tables = (layout.table("fetch", "objects"), layout.table("fetch", "archive"))
        write_results(results, objects=tables[0], listing=tables[1])
        whole = [result for result in results if result.state == "complete"]
        n_bytes, n_new = sum(result.bytes for result in whole), sum(r.is_new for r in whole)
        click.echo(
            f"fetch: {len(whole)} files ({say_size(n_bytes)}), {n_new} of them new", err=True
        )
        _check(results, layout)
        for path in tables:
            step.write(path)
        facts: dict[str, JsonValue] = {"files": len(whole), "bytes": n_bytes}
        step.facts |= {**facts, "key_id": names.key_id}


def _check(results: "Sequence[ObjectResult]", layout: Layout) -> None:
    """Refuse to go on with less, or with more, than the bucket holds."""
    states = Counter(result.state for result in results)
    table = layout.table("fetch", "objects")
    if not states.keys() - {"not-listed"}:
        raise DataError(
            "fetch.source: at least one object must lie below the prefix, got none.",
            "correct the prefix, which names a folder: s3://bucket/folder.",
        )
    if states["missing"]:
        reasons = Counter(result.reason for result in results if result.state == "missing")
        found = ", ".join(f"{name} {n}" for name, n in sorted(reasons.items()))
        again = "run the same command again, which lists the bucket anew"
        if reasons["blocked"]:
            again = "run `medvision fetch --prune`, which deletes the files that stand in the way"
        raise DataError(
            f"fetch.source: every object must come whole, got {states['missing']} that did not "
            f"({found}).",
            f"read {table}; {again} and fetches what is missing alone.",
        )
    if states["not-listed"]:
        raise DataError(
            f"fetch: the archive must hold what the bucket holds alone, got {states['not-listed']} "
            "other files.",
            f"delete them with `medvision fetch --prune`; {table} names them (not-listed).",
        )
