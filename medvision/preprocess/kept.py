"""Images half-way through the pipeline, kept so that a change of what follows costs only that."""

import contextlib
import io
import json
import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from medvision.domain.volume import Volume
from medvision.errors import ConfigError
from medvision.preprocess.early import EARLY
from medvision.preprocess.entries import Place, append_entry, list_entries, read_entry
from medvision.preprocess.plan import Plan, PlanStep
from medvision.runtime.alone import lock, open_alone
from medvision.runtime.files import PARTIAL_PREFIX, storage_faults, writing

_SPATIAL = {"Orientation", "Spacing"}
_ABANDONED_S = 24 * 3600
_PLAN_DIGITS = 12
_SUFFIX = ".kept"
_NAME = re.compile(rf"[0-9a-f]*-([0-9]+)-of-([0-9]+)(?:\.[0-9]+)?{re.escape(_SUFFIX)}")
"""Of a file: digest of its plan, the shard that it was written for, and which of several it is."""


@dataclass(frozen=True)
class Origin:
    """Where an array comes from: its source's grid and affine, as the index writes them."""

    shape: str
    affine: str


def split_plan(plan: Plan, *, after: str) -> tuple[Plan, Plan]:
    """Cut a plan behind the step of a name, in two that lead to the same floats.

    Args:
        plan: The whole.
        after: Name of the last step of the first part; no later step may move voxels, but for
            the crop and the size that follow the scaling.

    Returns:
        (first, rest).

    Raises:
        ConfigError: There is no such step, or images are still moved after it.
    """
    names = [step.name for step in plan.steps]
    last = max((n for n, step in enumerate(plan.steps) if _is_spatial(step)), default=-1)
    fit = names[max(last, 0) : -1]
    if after not in fit:
        raise ConfigError(
            f"preprocess.keep_after: step must be one of {', '.join(fit)}, got {after}.",
            "or null, which keeps nothing.",
        )
    cut = len(names) - names[::-1].index(after)
    return (
        Plan(plan.spatial_dims, plan.steps[:cut]),
        Plan(plan.spatial_dims, plan.steps[cut:]),
    )


def _is_spatial(step: PlanStep) -> bool:
    """Tell whether a step is part of the one sampling."""
    return step.name in {*_SPATIAL, *EARLY} or step.parameters.get("units") == "source"


class KeptImages:
    """Arrays (C, I, J, K) float32 with their affines in a few files: a cache, no output.

    A process appends to the first file of its shard that no other has open; what it keeps later
    runs read, and the next process goes on behind it.

    Args:
        folder: Where the files lie; nothing is read or made before it is needed.
        plan: Digest of the steps before images are kept; files of other plans are left alone.
        part: Number of a shard, from 1, and how many there are; those of the other shards of this
            division are not read. None reads all.
    """

    def __init__(
        self, folder: Path, *, plan: str = "", part: tuple[int, int] | None = None
    ) -> None:
        self._folder, self._plan, self._part = folder, plan[:_PLAN_DIGITS], part
        self._stream: BinaryIO | None = None
        self._path = folder
        self._places: dict[str, list[Place]] | None = None

    def read(self, key: str) -> tuple[Volume, Origin] | None:
        """Return what was kept, and its origin; nothing where it is missing or damaged."""
        places = self._list_known().get(key, [])
        content = next((held for place in places if (held := read_entry(place)) is not None), None)
        if content is None:
            return None
        head, _, arrays = content.partition(b"\n")
        stream = io.BytesIO(arrays)
        affine = np.load(stream, allow_pickle=False)
        return Volume(np.load(stream, allow_pickle=False), affine), Origin(**json.loads(head))

    def keep(self, key: str, volume: Volume, *, origin: Origin) -> None:
        """Keep an image as it is now.

        Args:
            key: Digest of the source and of the steps so far.
            volume: (C, I, J, K) float32; not changed.
            origin: Where it comes from.

        Raises:
            StorageError: The folder cannot be written, or its disk is full.
        """
        body = io.BytesIO()
        body.write(json.dumps({"shape": origin.shape, "affine": origin.affine}).encode() + b"\n")
        np.save(body, volume.affine)
        np.save(body, volume.array)
        with storage_faults(self._folder / "entry"):
            stream = self._open()
            place = append_entry(self._path, stream, key=key, body=body.getvalue())
        self._list_known().setdefault(key, []).append(place)

    def close(self) -> None:
        """Let go of this process's own file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def clear(self, *, needed: Collection[str]) -> None:
        """Remove what no image of the plan needs; a reader that loses an image computes it again.

        Files that another process has open are left alone.

        Args:
            needed: Keys of the images that stay.

        Raises:
            StorageError: The folder cannot be written, or its disk is full.
        """
        self.close()
        self._places = None
        with storage_faults(self._folder / "entry"):
            for path in sorted(self._folder.glob("*")):
                _clear_file(path, needed)
        # A folder that another process still writes to stays.
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def _list_known(self) -> dict[str, list[Place]]:
        """Return key to places of what was kept before this process looked, and of its own."""
        if self._places is None:
            self._places = {}
            for path in sorted(self._folder.glob(f"{self._plan}-*{_SUFFIX}")):
                if self._concerns(path):
                    for key, place in _read_places(path):
                        self._places.setdefault(key, []).append(place)
        return self._places

    def _concerns(self, path: Path) -> bool:
        """Tell whether a file may hold what is sought: it is no other shard's of this division."""
        match = _NAME.fullmatch(path.name)
        if self._part is None or match is None:
            return match is not None
        number, total = int(match[1]), int(match[2])
        return total != self._part[1] or number == self._part[0]

    def _open(self) -> BinaryIO:
        """Return a file that no other process writes to, at the end of its whole entries."""
        shard, number = "{}-of-{}".format(*(self._part or (1, 1))), 0
        while self._stream is None:
            number += 1
            again = "" if number == 1 else f".{number}"
            self._path = self._folder / f"{self._plan}-{shard}{again}{_SUFFIX}"
            self._folder.mkdir(parents=True, exist_ok=True)
            # Another process may clear the folder meanwhile.
            with contextlib.suppress(FileNotFoundError):
                self._stream = open_alone(self._path)
        # Only now is nobody else about to add to it.
        entries = list_entries(self._path, self._stream)
        self._stream.truncate(max((place.end for _, place in entries), default=0))
        return self._stream


def _read_places(path: Path) -> list[tuple[str, Place]]:
    """Return key and place of the entries of a file; of one that is gone, none."""
    try:
        with path.open("rb", buffering=0) as stream:
            return list(list_entries(path, cast(BinaryIO, stream)))
    except OSError:
        return []


def _clear_file(path: Path, needed: Collection[str]) -> None:
    """Remove a file of which nothing is needed, and write one anew of which a part is not."""
    if path.name.startswith(PARTIAL_PREFIX):
        if _is_abandoned(path):
            path.unlink(missing_ok=True)
        return
    try:
        stream = cast(BinaryIO, path.open("r+b", buffering=0))
    except FileNotFoundError:
        return
    with stream:
        if lock(stream) is False:
            return
        held = _read_places(path) if _NAME.fullmatch(path.name) else []
        wanted = [(key, place) for key, place in held if key in needed]
        if not wanted:
            path.unlink(missing_ok=True)
        elif len(wanted) < len(held):
            _rewrite(path, wanted)


def _rewrite(path: Path, wanted: Sequence[tuple[str, Place]]) -> None:
    """Write a file anew with some of its entries, those that are damaged left out."""
    with writing(path) as temporary, temporary.open("wb", buffering=0) as stream:
        for key, place in wanted:
            body = read_entry(place)
            if body is not None:
                append_entry(path, cast(BinaryIO, stream), key=key, body=body)


def _is_abandoned(path: Path) -> bool:
    """Tell whether an unfinished file is of a killed run, and no other process's work."""
    try:
        return time.time() - path.stat().st_mtime >= _ABANDONED_S
    except OSError:
        return False
