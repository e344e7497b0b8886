"""The gate against leakage: near pairs found by their thumbnails, and the table of all pairs."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medvision.cli._run import Step
from medvision.domain.cohort import CohortImage
from medvision.domain.splits.leakage import LeakagePair, NearPair
from medvision.io.tables import write_table

if TYPE_CHECKING:
    from medvision.domain.likeness.room import Room
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
    archive = step.read(step.layout.thumbnails)
    return [pair for dims in ("2d", "3d") for pair in _search(step, archive, dims, held=held)]


def _search(step: Step, archive: Path, dims: str, *, held: set[str]) -> list[NearPair]:
    """Search the thumbnails of one kind, unless these were searched before."""
    from medvision.runtime.npz import read_npz_names
    from medvision.runtime.shared_room import SharedRoom
    from medvision.runtime.workers import clearing_up

    names = read_npz_names(archive, f"image_id_{dims}")
    rows = np.array([row for row, name in enumerate(names) if name in held], dtype=np.int64)
    if len(rows) < 2:
        return []
    section, path = step.study.cohort, step.layout.look_alikes(dims)
    with (
        clearing_up(),
        SharedRoom(archive, f"thumbnail_{dims}", workers=section.workers) as room,
    ):
        found = _find_look_alikes(room, rows, similarity=section.similarity, path=path)
    return [
        NearPair(
            names[rows[item.first]], names[rows[item.second]], item.similarity, item.alteration
        )
        for item in found
    ]


def _find_look_alikes(
    room: "Room", rows: NDArray[np.int64], *, similarity: float, path: Path
) -> list["LookAlike"]:
    """Return the look-alikes among thumbnails: those kept of an earlier run, or found now.

    The search is the one slow part of building a cohort, and it knows no label and no fold.
    """
    from medvision.cli._cohort.look_alikes_kept import keep, name_search, recall
    from medvision.domain.likeness.search import search_room

    key = name_search(room.arrays.thumbnails, rows, similarity=similarity)
    found = recall(path, key)
    if found is None:
        _log.info("looking for altered copies among %d images", len(rows))
        found = search_room(room, rows, similarity=similarity)
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
