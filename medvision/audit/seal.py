"""Seal a run: check that its graph is closed, then write the bundle, whole or not at all."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from medvision.audit.canonical import write_canonical
from medvision.audit.closure import find_graph_faults, find_setting_faults
from medvision.audit.contents import README_TEXT, choose_copied
from medvision.audit.crate import CRATE, build_crate
from medvision.audit.findings import Finding, raise_findings
from medvision.audit.graph import RECORD, build_graph, find_record_paths, parse_record
from medvision.audit.manifest import (
    CONFIG,
    GRAPH,
    MANIFEST,
    README,
    SIGNATURE,
    STUDY,
    Entry,
    Manifest,
    build_manifest,
)
from medvision.audit.signing import sign_manifest
from medvision.audit.workflow import list_workflow
from medvision.domain.record import JsonValue, Record
from medvision.layout import Layout
from medvision.runtime.files import hash_file, storage_faults, write_bytes
from medvision.runtime.packs import copy_file, count_bytes, has_file
from medvision.runtime.progress import track

_HINT = "run the workflow again from the step named; never edit its outputs."


@dataclass(frozen=True)
class Seal:
    """What was sealed.

    Args:
        root_digest: One sha256 that stands for the bundle; worth noting elsewhere.
        n_files: Number of files in the bundle, manifest and signature not counted.
        n_referenced: Number of files of the study that were left out.
        signed: Whether there is a signature.
        records: Step name to the sha256 of its record.
    """

    root_digest: str
    n_files: int
    n_referenced: int
    signed: bool
    records: dict[str, str]


def seal_bundle(
    layout: Layout,
    *,
    version: str,
    required: Sequence[str],
    settings: Mapping[str, JsonValue],
    signing_key: Path | None,
    workflow: Path | None = None,
    find_further: Callable[[], list[Finding]] = list,
) -> Seal:
    """Check a run's records and files, and write `audit/bundle`.

    The bundle is built aside and moved into place last; an old one stays until then. Equal runs
    and keys give equal bytes.

    Args:
        layout: The study's output folder.
        version: Version of medvision that every record must name.
        required: Steps that the configuration asks for.
        settings: Configuration section to values, as plain JSON types.
        signing_key: Ed25519 private key (PEM); the bundle is unsigned when omitted.
        workflow: Folder of the workflow that ran the steps, whose sources go into the bundle.
        find_further: Looks for more faults in a study whose records and files fit; nothing is
            written where it finds one.

    Returns:
        What was sealed.

    Raises:
        AuditError: A record is missing or of another configuration, the graph is not closed, or
            a file is not as its step wrote it.
        ConfigError: The signing key cannot be used, or there is no workflow in its folder.
        StorageError: The folder cannot be written, or its disk is full.
    """
    records = read_records(layout.root)
    raise_findings(
        [
            *find_graph_faults(records, required=required),
            *find_setting_faults(records, version=version, settings=settings),
        ],
        hint=_HINT,
    )
    entries = _hash_study(layout.root, records)
    raise_findings(find_further(), hint=_HINT)
    texts = {
        CONFIG: write_canonical(dict(settings)),
        GRAPH: write_canonical(build_graph(records, required=tuple(required))),
        README: README_TEXT.encode(),
    }
    sources = list_workflow(workflow) if workflow is not None else {}
    with _replacing_folder(layout.bundle) as folder:
        for name, path in sources.items():
            _copy(path, folder / name)
        files = _fill(folder, layout.root, entries=entries, texts=texts)
        files += [_hash(folder, name) for name in sources]
        copied = choose_copied(entries)
        left_out = [entry for path, entry in entries.items() if not copied(path)]
        crate = build_crate(version, files=files, referenced=left_out, records=records)
        write_bytes(folder / CRATE, crate)
        files.append(_hash(folder, CRATE))
        manifest = build_manifest(version, files=files, referenced=left_out)
        write_bytes(folder / MANIFEST, manifest.as_bytes())
        _sign(folder, manifest, signing_key=signing_key)
    return Seal(
        root_digest=manifest.root_digest,
        n_files=len(manifest.files),
        n_referenced=len(manifest.referenced),
        signed=signing_key is not None,
        records={step: entries[f"{step}/{RECORD}"].sha256 for step in records},
    )


def read_records(root: Path) -> dict[str, Record]:
    """Read every step's record below an output folder.

    Returns:
        Step name to record, in the order of the work.

    Raises:
        AuditError: A record is malformed.
    """
    paths = find_record_paths(root)
    records = [parse_record((root / path).read_bytes(), path=path) for path in paths]
    return {record.step: record for record in records}


def _hash_study(root: Path, records: Mapping[str, Record]) -> dict[str, Entry]:
    """Hash all that was written, and refuse what is not as its step wrote it."""
    owed = [(step, p, d) for step, r in records.items() for p, d in r.writes.items()]
    entries = {f"{step}/{RECORD}": _hash(root, f"{step}/{RECORD}") for step in records}
    findings = []
    for step, path, digest in track(owed, "hashing the study", total=len(owed)):
        if not has_file(root / path):
            findings.append(Finding(f"step {step}", path, "present, as recorded", "no file"))
            continue
        entries[path] = _hash(root, path)
        if entries[path].sha256 != digest:
            findings.append(Finding(f"step {step}", path, digest, entries[path].sha256))
    raise_findings(findings, hint=_HINT)
    return entries


def _hash(root: Path, path: str) -> Entry:
    """Return the entry of one file below a folder."""
    file = root / path
    return Entry(path, hash_file(file), count_bytes(file))


def _fill(
    folder: Path,
    root: Path,
    *,
    entries: Mapping[str, Entry],
    texts: Mapping[str, bytes],
) -> list[Entry]:
    """Copy what belongs into the bundle, and return what lies there."""
    copied = sorted(filter(choose_copied(entries), entries))
    for path in copied:
        _copy(root / path, folder / STUDY / path)
    for name, content in texts.items():
        write_bytes(folder / name, content)
    files = [_hash(folder, name) for name in [*texts, *(STUDY + path for path in copied)]]
    changed = [
        Finding(entry.path, "sha256 while it was copied", wanted.sha256, entry.sha256)
        for entry in files
        if (wanted := entries.get(entry.path.removeprefix(STUDY))) is not None
        and wanted.sha256 != entry.sha256
    ]
    raise_findings(changed, hint="let no other step run while the bundle is sealed.")
    return files


def _copy(source: Path, target: Path) -> None:
    """Copy a file's bytes; times, modes and links stay behind."""
    target.parent.mkdir(parents=True, exist_ok=True)
    copy_file(source, target)


def _sign(folder: Path, manifest: Manifest, *, signing_key: Path | None) -> None:
    """Put the signature beside the manifest, outside what it signs."""
    if signing_key is not None:
        write_bytes(folder / SIGNATURE, sign_manifest(manifest.as_bytes(), signing_key))


@contextmanager
def _replacing_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder; put it in the place of `target` on success, remove it on failure."""
    new, old = (target.with_name(f".{target.name}-{word}") for word in ("new", "old"))
    with storage_faults(target):
        _settle(old, target)
        _remove(new)
        new.mkdir(parents=True)
        try:
            yield new
            if target.exists():
                target.rename(old)
            new.rename(target)
        finally:
            _remove(new)
            _settle(old, target)


def _settle(old: Path, target: Path) -> None:
    """Drop the old folder if there is one in its place; put it back if there is none."""
    if target.exists() or not old.exists():
        _remove(old)
    else:
        old.rename(target)


def _remove(folder: Path) -> None:
    """Remove a folder that may be there."""
    if folder.exists():
        shutil.rmtree(folder)
