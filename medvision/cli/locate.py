"""`medvision locate`: the local path behind a pseudonymous file id."""

import click

from medvision.cli._inputs import find_key, find_source
from medvision.cli._run import study_command
from medvision.config.model import Study
from medvision.errors import DataError
from medvision.layout import Layout


@study_command(
    "locate",
    help="Print the local path of a file that a table names by its pseudonymous id. "
    "A member of an archive is printed as archive!member. "
    "Paths may hold names: the answer is for your eyes and stands in no output.",
    example="medvision locate file-0123456789ab --config config/config.yaml",
)
@click.argument("file_id")
def command(study: Study, layout: Layout, *, file_id: str) -> None:
    """Ask the index; where there is none, walk the input folder until the id fits."""
    from medvision.io.deidentify import Pseudonymiser, read_key
    from medvision.io.ingest.index import locate_file
    from medvision.io.ingest.walk import walk_files

    names = Pseudonymiser(read_key(find_key(study, layout)))
    source = find_source(study, layout)
    path = locate_file(layout.ingest_index, file_id, key=names.key)
    if path is None:
        found = (item.path for item in walk_files(source, without=layout.root))
        path = next((item for item in found if names.file_id(item) == file_id), None)
    if path is not None:
        click.echo(str(source / path))
        return
    raise DataError(
        f"locate: id must be of a file below data.path, got {file_id}.",
        "ids stand in the column file of ingest/sources.tsv and ingest/rejects.tsv; the same "
        "key and the same data.path are needed.",
    )
