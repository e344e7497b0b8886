"""What images are called in a BIDS dataset: entities in their order, runs and echoes numbered."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.record import JsonValue
from medvision.io.bids.suffix import Facts, Suffix

_PARTS = {"M": "mag", "P": "phase", "R": "real", "I": "imag"}


@dataclass(frozen=True)
class TreeImage:
    """An image on its way into the tree.

    Args:
        row: Its row of the manifest.
        sidecar: The JSON beside it.
        facts: What its suffix rests on.
        suffix: Where it stands.
    """

    row: Mapping[str, str]
    sidecar: Mapping[str, JsonValue]
    facts: Facts
    suffix: Suffix


def name_entries(entries: Sequence[TreeImage]) -> dict[str, str]:
    """Name images after their subject, study and suffix.

    Args:
        entries: In an order that file names cannot change.

    Returns:
        image_id to the path below the tree, without extension; images that would share one are
        numbered as runs.

    Source:
        BIDS 1.10, appendix "entity table".
    """
    echoes = _number_echoes(entries)
    stems = {entry.row["image_id"]: _build_stem(entry, echoes, run=0) for entry in entries}
    shared = Counter(stems.values())
    runs: Counter[str] = Counter()
    result = {}
    for entry in entries:
        image_id = entry.row["image_id"]
        stem = stems[image_id]
        runs[stem] += 1
        run = runs[stem] if shared[stem] > 1 else 0
        result[image_id] = _build_stem(entry, echoes, run=run)
    return result


def _number_echoes(entries: Sequence[TreeImage]) -> dict[tuple[str, float], int]:
    """Number the echo times of each series from 1."""
    times: defaultdict[str, set[float]] = defaultdict(set)
    for entry in entries:
        if "echo-time-ms" in entry.facts.part:
            times[entry.row["series"]].add(float(entry.facts.part["echo-time-ms"]))
    return {
        (series, time): number
        for series, held in times.items()
        for number, time in enumerate(sorted(held), start=1)
    }


def _build_stem(entry: TreeImage, echoes: Mapping[tuple[str, float], int], *, run: int) -> str:
    """Return an image's path below the tree, without extension."""
    subject = entry.row["subject"]
    session = f"ses-{hashlib.sha256(entry.row['study'].encode()).hexdigest()[:8]}"
    part, suffix = entry.facts.part, entry.suffix
    echo = echoes.get((entry.row["series"], float(part.get("echo-time-ms", "nan"))), 0)
    entities = (
        subject,
        session,
        f"task-{suffix.task}" if suffix.task else "",
        f"run-{run}" if run else "",
        f"echo-{echo}" if echo else "",
        f"part-{_PARTS[part['component']]}" if part.get("component") in _PARTS else "",
        suffix.name,
    )
    return f"{subject}/{session}/{suffix.folder}/{'_'.join(name for name in entities if name)}"
