"""Images half-way through the pipeline, kept so that a change of what follows costs only that."""

import contextlib
import io
import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medvision.domain.volume import Volume
from medvision.errors import ConfigError
from medvision.preprocess.early import EARLY
from medvision.preprocess.plan import Plan, PlanStep
from medvision.runtime.files import PARTIAL_PREFIX, hash_fast, writing

_SPATIAL = {"Orientation", "Spacing"}
_ABANDONED_S = 24 * 3600


@dataclass(frozen=True)
class Origin:
    """Where an array comes from: its source's grid and affine, as the index writes them."""

    shape: str
    affine: str


def _is_being_written(path: Path) -> bool:
    """Tell whether a file is another process's unfinished one."""
    if not path.name.startswith(PARTIAL_PREFIX):
        return False
    try:
        return time.time() - path.stat().st_mtime < _ABANDONED_S
    except OSError:
        return True


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
    """A folder of arrays (C, I, J, K) float32 with their affines: a cache, no output."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is read or made."""
        self._folder = folder

    def read(self, key: str) -> tuple[Volume, Origin] | None:
        """Return what was kept, and its origin; nothing where it is missing or damaged."""
        try:
            digest, _, content = self._path(key).read_bytes().partition(b"\n")
        except OSError:
            return None
        if hash_fast(content).encode() != digest:
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
        stream = io.BytesIO()
        stream.write(json.dumps({"shape": origin.shape, "affine": origin.affine}).encode() + b"\n")
        np.save(stream, volume.affine)
        np.save(stream, volume.array)
        content = stream.getvalue()
        with writing(self._path(key)) as temporary, temporary.open("wb") as file:
            file.write(hash_fast(content).encode() + b"\n")
            file.write(content)

    def clear(self, *, needed: Collection[str]) -> None:
        """Remove what no image of the plan needs; a reader that loses an image computes it again.

        Files that are being written are left alone, unless a killed run left them a day ago.

        Args:
            needed: Keys of the images that stay.
        """
        names = {self._path(key).name for key in needed}
        for path in self._folder.glob("*.npy"):
            if path.name not in names and not _is_being_written(path):
                path.unlink(missing_ok=True)
        # A folder that another process still writes to stays.
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def _path(self, key: str) -> Path:
        """Return the file of a key."""
        return self._folder / f"{key}.npy"
