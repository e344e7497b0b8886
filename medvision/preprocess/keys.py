"""Names by content: an image and a pipeline, or the first steps of one, make a digest."""

import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medvision.domain.record import JsonValue
from medvision.preprocess.kept import split_plan
from medvision.preprocess.plan import Plan
from medvision.runtime.files import hash_bytes, hash_fast

_FORM = 1
"""Raised when the same key would come to mean other bytes."""

_LIBRARIES = ("numpy", "torch", "monai")


@dataclass(frozen=True)
class Task:
    """One image that is to become a row.

    Args:
        image_id: The image.
        key: Digest of the image and of the whole pipeline.
        kept_key: Digest of the image and of the pipeline up to where images are kept.
    """

    image_id: str
    key: str
    kept_key: str


def build_tasks(
    sources: Mapping[str, JsonValue], plan: Plan, *, keep_after: str | None
) -> list[Task]:
    """Name each image's row, and what is kept of it half-way.

    Args:
        sources: Image to all that its array depends on before the plan: digest of its file, flags.
        plan: What it goes through.
        keep_after: Name of the step after which images are kept, or None.

    Raises:
        ConfigError: `keep_after` names no step that images can be kept after.
    """
    versions: JsonValue = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    first = split_plan(plan, after=keep_after)[0].digest if keep_after else ""
    return [
        Task(
            image_id,
            _digest([_FORM, source, plan.digest, versions]),
            _digest([_FORM, source, first, versions]),
        )
        for image_id, source in sources.items()
    ]


def choose_shard(image_id: str, *, n_shards: int) -> int:
    """Return the shard of an image, from 1, which no other image has a say in."""
    return int(hash_bytes(image_id.encode())[:12], 16) % n_shards + 1


def group_by_shard(image_ids: Iterable[str], *, n_shards: int) -> list[list[str]]:
    """Return the images of each shard, sorted by id; a shard may be empty."""
    groups: list[list[str]] = [[] for _ in range(n_shards)]
    for image_id in sorted(image_ids):
        groups[choose_shard(image_id, n_shards=n_shards) - 1].append(image_id)
    return groups


def _digest(value: JsonValue) -> str:
    """Return the BLAKE3 digest of a value's JSON."""
    return hash_fast(json.dumps(value, sort_keys=True).encode())
