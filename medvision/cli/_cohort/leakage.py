"""The gate against leakage: near pairs found by their thumbnails, and the table of all pairs."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from medvision.cli._run import Step
from medvision.domain.cohort import CohortImage
from medvision.domain.splits.leakage import LeakagePair, NearPair
from medvision.io.tables import write_table

if TYPE_CHECKING:
    from medvision.domain.likeness.search import LookAlike

_log = logging.getLogger(__name__)

LEAKAGE_COLUMNS = (
    *("kind", "image_a", "image_b", "subject_a", "subject_b", "label_a", "label_b"),
    *("split_a", "split_b", "action", "similarity", "alteration"),
)


def find_near_pairs(step: Step, images: Sequence[CohortImage]) -> list[NearPair]:
    """Find the images of a cohort that show the same, one of them altered.

    Args:
        step: The running step; the thumbnails of the step `measure` are registered with it.
        images: The cohort.

    Returns:
        Pairs of 2D images, then of volumes, in order of the thumbnails; none where the search is
        off.
    """
    if step.study.cohort.near_duplicates == "off":
        return []
    held = {image.image_id for image in images}
    with np.load(step.read(step.layout.thumbnails), allow_pickle=False) as stored:
        return [pair for dims in ("2d", "3d") for pair in _search(step, stored, dims, held=held)]


def _search(step: Step, stored: NpzFile, dims: str, *, held: set[str]) -> list[NearPair]:
    """Search the thumbnails of one kind, unless these were searched before."""
    names = stored[f"image_id_{dims}"].tolist()
    rows = [row for row, name in enumerate(names) if name in held]
    if len(rows) < 2:
        return []
    thumbnails = stored[f"thumbnail_{dims}"][rows]
    path = step.layout.look_alikes(dims)
    found = _find_look_alikes(thumbnails, similarity=step.study.cohort.similarity, path=path)
    return [
        NearPair(
            names[rows[item.first]], names[rows[item.second]], item.similarity, item.alteration
        )
        for item in found
    ]


def _find_look_alikes(
    thumbnails: NDArray[np.uint8], *, similarity: float, path: Path
) -> list["LookAlike"]:
    """Return the look-alikes among thumbnails: those kept of an earlier run, or found now.

    The search is the one slow part of building a cohort, and it knows no label and no fold.
    """
    from medvision.cli._cohort.look_alikes_kept import keep, name_search, recall
    from medvision.domain.likeness.search import find_look_alikes

    key = name_search(thumbnails, similarity=similarity)
    found = recall(path, key)
    if found is None:
        _log.info("looking for altered copies among %d images", len(thumbnails))
        found = find_look_alikes(thumbnails, similarity=similarity)
        keep(path, key, found)
    return found


def write_leakage(step: Step, pairs: Iterable[LeakagePair]) -> None:
    """Write the table of leaking pairs."""
    rows = [
        {
            "kind": pair.kind,
            "image_a": pair.image_a.image_id,
            "image_b": pair.image_b.image_id,
            "subject_a": pair.image_a.subject,
            "subject_b": pair.image_b.subject,
            "label_a": pair.image_a.label,
            "label_b": pair.image_b.label,
            "split_a": pair.image_a.given_split,
            "split_b": pair.image_b.given_split,
            "action": pair.action,
            "similarity": None if pair.similarity is None else round(pair.similarity, 4),
            "alteration": pair.alteration,
        }
        for pair in pairs
    ]
    write_table(step.write(step.layout.leakage), rows, columns=LEAKAGE_COLUMNS)
