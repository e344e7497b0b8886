"""The records of a study, read strictly, and the graph of what each step read and wrote."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from medvision.audit.canonical import read_plain
from medvision.audit.manifest import is_digest, is_safe_path
from medvision.domain.record import SOURCE_PREFIX, JsonValue, Record
from medvision.errors import AuditError
from medvision.layout import STEPS

RECORD = "record.json"
_WITHIN: dict[str, tuple[str, ...]] = {
    "tune": ("/*/part-*",),
    **dict.fromkeys(("synthesise", "gate"), ("/fold-*",)),
    **dict.fromkeys(("train", "scorecard", "control", "ablate"), ("/*/fold-*",)),
    "predict": ("/*/fold-*", ""),
    "explain": ("/shard-*", ""),
}
"""Where a stage's records lie below its folder; those that are gathered before the one of all."""
_KEYS = {field.name for field in dataclasses.fields(Record)}


def find_record_paths(root: Path) -> list[str]:
    """Return the records below an output folder, in the order of the work.

    Args:
        root: Output folder of a study. The audit step's own record is not among the result.

    Returns:
        Paths below `root`, such as `train/transfer/fold-0/record.json`.
    """
    paths: list[Path] = []
    for step in STEPS[: STEPS.index("audit")]:
        for within in _WITHIN.get(step, ("",)):
            paths += sorted(root.glob(f"{step}{within}/{RECORD}"))
    return [path.relative_to(root).as_posix() for path in paths]


def is_record_path(path: str) -> bool:
    """Tell whether a path below the output folder is that of a step's record."""
    return path.endswith(f"/{RECORD}")


def parse_record(content: bytes, *, path: str) -> Record:
    """Read a record, trusting nothing in it.

    Args:
        content: The file's bytes.
        path: Its path below the output folder, which must fit the step it names.

    Raises:
        AuditError: It is no JSON, lacks a key or has one too many, names another step than its
            folder, or holds an unsafe path or something that is no digest.
    """
    value = read_plain(content, where=path)
    if not isinstance(value, dict) or set(value) != _KEYS:
        raise AuditError(
            f"{path}: record must have the keys {', '.join(sorted(_KEYS))}; got others."
        )
    step = path.removesuffix(f"/{RECORD}")
    if value["step"] != step:
        raise AuditError(f"{path}: step must be {step}, got {value['step']}.")
    reads, writes = value["reads"], value["writes"]
    if not _is_digest_table(reads) or not _is_digest_table(writes):
        raise AuditError(f"{path}: reads and writes must map safe paths to sha256, got otherwise.")
    if any(name.startswith(SOURCE_PREFIX) for name in writes):
        raise AuditError(f"{path}: writes must be files of the study, got a source.")
    return Record(
        step=step,
        version=str(value["version"]),
        parameters=_as_table(value["parameters"], path),
        reads=reads,
        writes=writes,
        seed=value["seed"] if isinstance(value["seed"], int) else None,
        device=str(value["device"]),
        software={k: str(v) for k, v in _as_table(value["software"], path).items()},
        facts=_as_table(value["facts"], path),
    )


def build_graph(
    records: Mapping[str, Record], *, required: tuple[str, ...]
) -> dict[str, JsonValue]:
    """Return the graph as plain JSON types: steps, reads and writes as triples.

    Args:
        records: Step name to record.
        required: Steps that the configuration asks for.
    """
    names = sorted(records)
    return {
        "required": [*sorted(required)],
        "steps": [*names],
        "reads": [[n, p, d] for n in names for p, d in sorted(records[n].reads.items())],
        "writes": [[n, p, d] for n in names for p, d in sorted(records[n].writes.items())],
    }


def _is_digest_table(value: JsonValue) -> TypeGuard[dict[str, str]]:
    """Tell whether a value maps safe paths (or source names) to digests."""
    return isinstance(value, dict) and all(
        (name.startswith(SOURCE_PREFIX) or is_safe_path(name)) and is_digest(digest)
        for name, digest in value.items()
    )


def _as_table(value: JsonValue, path: str) -> dict[str, JsonValue]:
    """Return a JSON object, or refuse what is none."""
    if not isinstance(value, dict):
        raise AuditError(f"{path}: parameters, software and facts must be objects, got others.")
    return value
