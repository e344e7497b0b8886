"""`medvision listen`: a storage provider for studies that are pushed to us."""

import click

from medvision.cli._pacs import build_door, open_archive
from medvision.cli._run import study_command
from medvision.config.model import Study
from medvision.errors import ConfigError
from medvision.layout import Layout


@study_command(
    "listen",
    help="Receive studies that are pushed by C-STORE, into pull/archive, until a signal (SIGTERM, "
    "Ctrl-C) or a limit ends it. `medvision pull` then takes stock, and ingest goes on. Listens "
    "at 127.0.0.1 unless pacs.listen_host says otherwise.",
    example="medvision listen --set data.kind=dicom --set data.labels=labels.csv "
    "--set pacs.protocol=push --set pacs.listen_port=11112 --idle-timeout 600",
)
@click.option(
    "--idle-timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop when nothing came for so long.",
)
@click.option(
    "--max-instances",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop when so many new instances came.",
)
def command(
    study: Study, layout: Layout, *, idle_timeout: float | None, max_instances: int | None
) -> None:
    """Listen, and say what came."""
    from medvision.io.pacs.listener import listen

    if study.pacs.protocol != "push":
        raise ConfigError(
            f"pacs.protocol: value must be push to listen, got {study.pacs.protocol}.",
            "set pacs.protocol to push; see docs/how-to/pull-from-a-pacs.md.",
        )
    door = build_door(study)

    def tell(port: int) -> None:
        """Say where we listen."""
        click.echo(f"listen: {door.listen_host}:{port} as {door.ae_title}", err=True)

    with open_archive(study, layout) as archive:
        reason = listen(
            door,
            archive,
            idle_timeout_s=idle_timeout,
            max_instances=max_instances,
            tell=tell,
        )
        counts = ", ".join(f"{name} {n}" for name, n in sorted(archive.counts.items()))
    click.echo(f"listen: stopped by {reason}; {counts or 'nothing came'}", err=True)
