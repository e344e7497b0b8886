"""The bundle as an RO-Crate: every file and every recorded step, in the words of schema.org."""

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from medvision.audit.canonical import write_canonical
from medvision.audit.crate_workflow import (
    WORKFLOW_CRATE,
    Entity,
    describe_language,
    describe_run,
    describe_sources,
    list_profiles,
)
from medvision.audit.graph import RECORD
from medvision.audit.manifest import STUDY, Entry
from medvision.audit.workflow import MAIN
from medvision.domain.record import JsonValue, Record

CRATE = "ro-crate-metadata.json"
NO_DATE = "1970-01-01"
"""The profile asks for a date; a bundle has no clock, so that equal runs are equal."""

_CONTEXT: list[JsonValue] = [
    "https://w3id.org/ro/crate/1.1/context",
    "https://w3id.org/ro/terms/workflow-run/context",  # Without it there is no word `sha256`.
]
_SPECIFICATION = "https://w3id.org/ro/crate/1.1"
_SOFTWARE = "#medvision"
_TYPES = {
    "json": "application/json",
    "tsv": "text/tab-separated-values",
    "html": "text/html",
    "md": "text/markdown",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "gz": "application/gzip",
    "yaml": "application/yaml",
    "rst": "text/x-rst",
}


def build_crate(
    version: str,
    *,
    files: Iterable[Entry],
    referenced: Iterable[Entry],
    records: Mapping[str, Record],
) -> bytes:
    """Return the text of ro-crate-metadata.json; equal bundles give equal bytes.

    Args:
        version: Version of medvision that seals.
        files: Files of the bundle, but for this one, the manifest and the signature. With the
            workflow's among them the crate is of its run, else of single processes.
        referenced: Files of the study that are left out.
        records: Step name to record.

    Returns:
        Canonical JSON-LD: a Workflow Run Crate, or without a workflow a Process Run Crate, in
        which each step is a CreateAction from files to files.

    Source:
        RO-Crate 1.1; Workflow Run RO-Crate, Leo 2024, doi:10.1371/journal.pone.0309210, profiles
        Process Run Crate 0.5 and Workflow Run Crate 0.5; Workflow RO-Crate 1.0.
    """
    held = sorted(entry for entry in files if entry.path != CRATE)
    left_out = {entry.path: _describe_left_out(entry) for entry in referenced}
    names = {entry.path.removeprefix(STUDY): _name_file(entry.path) for entry in held}
    names |= {path: str(entity["@id"]) for path, entity in left_out.items()}
    steps = [_describe_step(step, records[step], names=names) for step in sorted(records)]
    sources = _list_sources(records, names)
    paths = [entry.path for entry in held]
    code = describe_sources(paths, version=version)
    profiles = list_profiles(has_workflow=MAIN in paths)
    runs: list[Entity] = []
    if MAIN in paths:
        ids = [str(source["@id"]) for source in sources]
        runs = [describe_run(names, sources=ids, made=_list_made(records))]
    graph: list[Entity] = [
        _describe_itself(has_workflow=MAIN in paths),
        _describe_root(paths, profiles, actions=[*runs, *steps], version=version),
        *profiles,
        *([describe_language()] if runs else []),
        {
            "@id": _SOFTWARE,
            "@type": "SoftwareApplication",
            "name": "medvision",
            "softwareVersion": version,
        },
        *(_describe_file(entry) | code.get(entry.path, {}) for entry in held),
        *(left_out[path] for path in sorted(left_out)),
        *sources,
        *runs,
        *steps,
    ]
    return write_canonical({"@context": _CONTEXT, "@graph": [*graph]})


def _describe_itself(*, has_workflow: bool) -> Entity:
    """Return the entity that says what the file is."""
    kept = (_SPECIFICATION, WORKFLOW_CRATE) if has_workflow else (_SPECIFICATION,)
    return {
        "@id": CRATE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": [{"@id": uri} for uri in kept],
    }


def _describe_root(
    paths: Sequence[str], profiles: Sequence[Entity], *, actions: Sequence[Entity], version: str
) -> Entity:
    """Return the entity of the folder."""
    main: Entity = {"mainEntity": {"@id": MAIN}} if MAIN in paths else {}
    return main | {
        "@id": "./",
        "@type": "Dataset",
        "name": "medvision audit bundle",
        "description": f"What a run of medvision {version} read, did and found. For research use "
        "only. Not a medical device. The date of publication is not known: a bundle has no clock."
        + ("" if main else " The workflow that ran the steps, if there was one, is not in it."),
        "datePublished": NO_DATE,
        "license": "Not stated: that of the data and weights applies.",
        "conformsTo": [{"@id": profile["@id"]} for profile in profiles],
        "hasPart": [{"@id": _name_file(path)} for path in paths],
        "mentions": [{"@id": action["@id"]} for action in actions],
    }


def _list_made(records: Mapping[str, Record]) -> list[str]:
    """Return what the steps wrote, and their records."""
    written = [path for record in records.values() for path in record.writes]
    return [*written, *(f"{step}/{RECORD}" for step in records)]


def _name_file(path: str) -> str:
    """Return the identifier of a file of the bundle: its path, as a URI has it."""
    return quote(path)


def _describe_file(entry: Entry) -> Entity:
    """Return the entity of a file in the bundle."""
    suffix = entry.path.rpartition(".")[2]
    return {
        "@id": _name_file(entry.path),
        "@type": "File",
        "name": entry.path,
        "contentSize": str(entry.n_bytes),
        "encodingFormat": _TYPES.get(suffix, "application/octet-stream"),
        "sha256": entry.sha256,
    }


def _describe_left_out(entry: Entry) -> Entity:
    """Return the entity of a file that the manifest refers to."""
    return {
        "@id": f"#left-out/{quote(entry.path)}",
        "@type": "CreativeWork",
        "name": entry.path,
        "description": "Left out of the bundle; known by its size and sha256.",
        "size": str(entry.n_bytes),
        "sha256": entry.sha256,
    }


def _describe_step(step: str, record: Record, *, names: Mapping[str, str]) -> Entity:
    """Return a step as the action that made its results from what it read."""
    wrote = [*sorted(record.writes), f"{step}/{RECORD}"]
    return {
        "@id": f"#step/{quote(step)}",
        "@type": "CreateAction",
        "name": step,
        "description": f"medvision {record.version} on {record.device}{_name_seed(record)}.",
        "instrument": {"@id": _SOFTWARE},
        "object": [{"@id": _name_read(path, names)} for path in sorted(record.reads)],
        "result": [{"@id": names[path]} for path in wrote if path in names],
    }


def _name_seed(record: Record) -> str:
    """Return the seed of a step in words; where it has several, its settings say which."""
    return "" if record.seed is None else f", seed {record.seed}"


def _name_read(path: str, names: Mapping[str, str]) -> str:
    """Return the identifier of what a step read; a declared source has one of its own."""
    return names.get(path, f"#source/{quote(path)}")


def _list_sources(records: Mapping[str, Record], names: Mapping[str, str]) -> list[Entity]:
    """Return the entities of what was read and is no file of the study."""
    read = {path: digest for record in records.values() for path, digest in record.reads.items()}
    return [
        {
            "@id": _name_read(path, names),
            "@type": "CreativeWork",
            "name": path,
            "sha256": read[path],
        }
        for path in sorted(read)
        if path not in names
    ]
