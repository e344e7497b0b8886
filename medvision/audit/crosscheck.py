"""Do the records of a bundle, its graph, its settings and its manifest tell one story?"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from medvision.audit.canonical import read_canonical
from medvision.audit.closure import find_graph_faults, find_setting_faults
from medvision.audit.crate import CRATE, build_crate
from medvision.audit.findings import Finding
from medvision.audit.graph import build_graph, is_record_path, parse_record
from medvision.audit.inventory import Inventory
from medvision.audit.manifest import CONFIG, GRAPH, README, STUDY, Manifest
from medvision.audit.workflow import is_workflow_path
from medvision.domain.record import SOURCE_PREFIX, Record
from medvision.errors import MedvisionError

_OWN_FILES = {CONFIG, CRATE, GRAPH, README}


@dataclass
class Story:
    """The records of a bundle, and what could not be read of them."""

    records: dict[str, Record] = field(default_factory=dict)
    faults: list[Finding] = field(default_factory=list)


def list_digests(manifest: Manifest) -> dict[str, str]:
    """Return path below the output folder to sha256: files in the bundle and those left out."""
    copied = {
        entry.path.removeprefix(STUDY): entry.sha256
        for entry in manifest.files
        if entry.path.startswith(STUDY)
    }
    return copied | {entry.path: entry.sha256 for entry in manifest.referenced}


def read_story(manifest: Manifest, inventory: Inventory) -> Story:
    """Read the records that the manifest lists."""
    story = Story()
    for entry in manifest.files:
        path = entry.path.removeprefix(STUDY)
        if path == entry.path or not is_record_path(path):
            continue
        try:
            record = parse_record(inventory.read(entry.path), path=path)
        except MedvisionError as error:
            story.faults.append(Finding(entry.path, "record", "readable", error.message))
            continue
        story.records[record.step] = record
    return story


def find_record_faults(manifest: Manifest, story: Story) -> list[Finding]:
    """Hold what the records say they read and wrote against the manifest, both ways."""
    digests = list_digests(manifest)
    findings = list(story.faults)
    accounted = {path for path in digests if is_record_path(path)}
    for step, record in story.records.items():
        findings += _find_digest_faults(
            f"step {step}", "writes", said=record.writes, digests=digests
        )
        findings += _find_digest_faults(f"step {step}", "reads", said=record.reads, digests=digests)
        accounted |= record.writes.keys()
    for path in sorted(digests.keys() - accounted):
        findings.append(Finding(path, "file", "written by a recorded step", "no record of it"))
    for entry in manifest.files:
        is_own = entry.path in _OWN_FILES or is_workflow_path(entry.path)
        if not entry.path.startswith(STUDY) and not is_own:
            findings.append(Finding(entry.path, "file", "part of the format", "an unknown one"))
    return findings


def find_closure_faults(story: Story, inventory: Inventory) -> list[Finding]:
    """Check that the records close, and that graph.json is their graph.

    Raises:
        AuditError: graph.json cannot be read.
    """
    graph = read_canonical(inventory.read(GRAPH), where=GRAPH)
    required = graph.get("required") if isinstance(graph, dict) else None
    if not isinstance(required, list):
        return [Finding(GRAPH, "required", "a list of steps", "none")]
    steps = tuple(str(step) for step in required)
    findings = find_graph_faults(story.records, required=steps)
    if graph != build_graph(story.records, required=steps):
        findings.append(Finding(GRAPH, "graph", "that of the records", "another"))
    return findings


def find_crate_faults(manifest: Manifest, story: Story, *, inventory: Inventory) -> list[Finding]:
    """Check that the crate describes the files of the manifest and the steps of the records.

    Raises:
        AuditError: It cannot be read.
    """
    wanted = build_crate(
        manifest.version,
        files=[entry for entry in manifest.files if entry.path != CRATE],
        referenced=manifest.referenced,
        records=story.records,
    )
    if inventory.read(CRATE) == wanted:
        return []
    return [Finding(CRATE, "content", "that of files and records", "another")]


def find_config_faults(manifest: Manifest, story: Story, *, inventory: Inventory) -> list[Finding]:
    """Check that every record was made by one version, with the settings of config.json.

    Raises:
        AuditError: config.json cannot be read.
    """
    settings = read_canonical(inventory.read(CONFIG), where=CONFIG)
    if not isinstance(settings, dict):
        return [Finding(CONFIG, "content", "an object of sections", "another kind")]
    return find_setting_faults(story.records, version=manifest.version, settings=settings)


def _find_digest_faults(
    where: str, kind: str, *, said: Mapping[str, str], digests: Mapping[str, str]
) -> list[Finding]:
    """Hold one side of a record against the manifest."""
    return [
        Finding(where, f"sha256 of {path} in its {kind}", digests.get(path, "unlisted"), digest)
        for path, digest in sorted(said.items())
        if not path.startswith(SOURCE_PREFIX) and digests.get(path) != digest
    ]
