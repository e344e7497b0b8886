"""`medvision publish`: the sealed bundle put into a bucket of S3."""

import click

from medvision.audit.inventory import take_inventory
from medvision.audit.manifest import MANIFEST
from medvision.audit.verify import verify_bundle
from medvision.cli._buckets import open_named
from medvision.cli._run import open_step, read_record, study_command
from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.errors import AuditError, StorageError
from medvision.io.tables import read_table
from medvision.layout import Layout


@study_command(
    "publish",
    help="Put audit/bundle below publish.target, a bucket of S3, into a folder that bears its root "
    "digest. The bundle is verified first, nothing there is overwritten, and manifest.json comes "
    "last: a folder that has it has all. What is there already is not sent again.",
    example="medvision publish --config config/config.yaml "
    "--set publish.target=s3://hospital/results",
)
def command(study: Study, layout: Layout) -> None:
    """Verify the bundle and send it."""
    from medvision.io.bucket.publish import publish_folder

    bucket = open_named(study.publish, study.publish.target, family=StorageError)
    with open_step("publish", study, upstream=("audit",)) as step:
        digest = _check_bundle(layout)
        done = publish_folder(
            bucket,
            layout.bundle,
            sizes=take_inventory(layout.bundle).sizes,
            within=f"{digest}/",
            last=MANIFEST,
            connections=study.publish.connections,
        )
        facts: dict[str, JsonValue] = {"files": done.sent + done.kept, "bytes": done.n_bytes}
        step.facts |= {**facts, "root_digest": digest}
    click.echo(f"publish: {done.sent} files sent, {done.kept} there already", err=True)
    click.echo(f"{study.publish.target.rstrip('/')}/{digest}")


def _check_bundle(layout: Layout) -> str:
    """Return the root digest of the bundle, which must be whole and the one that was sealed."""
    found = verify_bundle(
        layout.bundle,
        level=0,
        public_key=None,
        study=None,
        read_table=read_table,
        recompute=lambda _: [],
        compare_grids=lambda _: [],
    )
    record = read_record(layout, "audit")
    is_sealed = record is not None and record.facts.get("root_digest") == found.root_digest
    if not (found.passed and is_sealed):
        raise AuditError(
            "audit/bundle: bundle must be as it was sealed, got another.",
            "`medvision audit verify` says what differs; `medvision audit seal` makes it anew.",
        )
    return found.root_digest
