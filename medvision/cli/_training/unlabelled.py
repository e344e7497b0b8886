"""The images that a network may learn from without labels: chosen, preprocessed, listed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from medvision.cli._images import Images, choose_images, is_colour, is_external, read_cohort
from medvision.cli._run import Step
from medvision.cli._store_tables import write_shards, write_tables
from medvision.cli.preprocess import prepare_store
from medvision.config.model import Study
from medvision.domain.split import FOLD_COLUMNS
from medvision.domain.splits.untested import check_untested, find_tested
from medvision.domain.volume import parse_shape
from medvision.errors import CohortError
from medvision.io.tables import Cell, Row, read_table, write_table
from medvision.layout import Layout
from medvision.runtime.arrays import read_array_store

if TYPE_CHECKING:
    from medvision.learn.dataset import Examples

IMAGE_COLUMNS = ("image_id", "subject", "is_labelled", "use")
"""Columns of `pretrain/images.tsv`; use is learnt-from, tested, other-kind or refused."""

LEARNT_FROM = "learnt-from"


@dataclass(frozen=True)
class Archive:
    """What earlier steps say of the archive's images.

    Args:
        manifest: One row per ingested image.
        folds: One row per image and fold.
        cohort: Rows of the labelled images.
        candidates: Manifest rows of the images of the cohort and of those without a label.
    """

    manifest: list[Row]
    folds: list[Row]
    cohort: list[Row]
    candidates: list[Row]


def read_archive(step: Step) -> Archive:
    """Read who is in the archive, who is labelled and who is tested, registered as read."""
    layout = step.layout
    manifest = read_table(step.read(layout.manifest), required=("image_id", "subject", "shape"))
    folds = read_table(step.read(layout.folds), required=FOLD_COLUMNS)
    unmatched = read_table(step.read(layout.unmatched), required=("kind", "id"))
    cohort = read_cohort(layout)
    step.read(layout.cohort)
    names = {row["image_id"] for row in cohort}
    names |= {row["id"] for row in unmatched if row["kind"] == "image-without-label"}
    candidates = sorted(
        (row for row in manifest if row["image_id"] in names), key=lambda row: row["image_id"]
    )
    return Archive(manifest, folds, cohort, candidates)


def choose_uses(study: Study, archive: Archive, *, like: Images) -> dict[str, str]:
    """Decide for each candidate whether it is learnt from, or why it is not.

    Args:
        study: The configuration in force.
        archive: What earlier steps say.
        like: The cohort's images, whose kind the others must be of.

    Returns:
        Image id to learnt-from, tested or other-kind.
    """
    tested = find_tested(archive.manifest, folds=_list_barred(study, archive.folds))
    uses = {}
    for row in archive.candidates:
        name = row["image_id"]
        if name in tested:
            uses[name] = "tested"
        else:
            uses[name] = LEARNT_FROM if _is_alike(study, row, like=like) else "other-kind"
    return uses


def _list_barred(study: Study, folds: Sequence[Row]) -> list[Row]:
    """Return the rows of the folds that may keep people out; all but those of tests, if asked."""
    may_be_tested = study.pretrain.subjects == "all"
    return [row for row in folds if not (may_be_tested and row["split"] == "test")]


def _is_alike(study: Study, row: Row, *, like: Images) -> bool:
    """Tell whether an image can go through the cohort's own pipeline."""
    is_flat = parse_shape(row["shape"])[2] == 1
    # Asked for as volumes, images one voxel thick are volumes.
    fits = like.spatial_dims == (2 if is_flat else 3) or (is_flat and study.data.dimensions == 3)
    modalities = set(like.modality.values())
    if not fits or row.get("modality", "unknown") not in modalities:
        return False
    return is_colour(like.layout, row["image_id"]) == (like.channels > 1)


def write_unlabelled_store(step: Step) -> "Examples":
    """Choose and preprocess the images to learn from, and list every candidate with its use.

    They lie in a store of their own below `pretrain/`, which no later step opens: nothing of it
    can enter folds, training or evaluation. Rows that the study's store holds are copied.

    Args:
        step: The running step; what is read and written is registered with it.

    Returns:
        The images; their labels are all 0.

    Raises:
        CohortError: Nothing is left, or a test subject's image was among those chosen.
        DataError: No image can be preprocessed.
    """
    study, layout = step.study, step.layout
    archive = read_archive(step)
    like = choose_images(
        study, layout, rows=[row for row in archive.cohort if not is_external(row)]
    )
    uses = choose_uses(study, archive, like=like)
    used = [row for row in archive.candidates if uses[row["image_id"]] == LEARNT_FROM]
    names = [row["image_id"] for row in used]
    check_untested(names, manifest=archive.manifest, folds=_list_barred(study, archive.folds))
    _check_any(used, uses)
    stored = _write_store(step, used, like=like)
    uses |= {row["image_id"]: "refused" for row in used if row["image_id"] not in stored}
    _write_uses(step, archive, uses)
    return _open_examples(step, archive)


def _check_any(used: Sequence[Row], uses: dict[str, str]) -> None:
    """Refuse to learn from nothing, and say why nothing is left."""
    if used:
        return
    n_tested = sum(use == "tested" for use in uses.values())
    raise CohortError(
        f"pretrain.subjects: there must be images of subjects in no test set, got none of "
        f"{len(uses)} ({n_tested} of test subjects).",
        "with plain folds everybody labelled is tested: set cohort.held_out, give a split, or add "
        "images of other subjects without labels; pretrain.subjects all takes everybody.",
    )


def _store_layout(layout: Layout) -> Layout:
    """Return where the store of pretraining lies: as the study's own, below `pretrain/`."""
    return replace(layout, root=layout.step("pretrain"))


def _write_store(step: Step, used: list[Row], *, like: Images) -> set[str]:
    """Write the arrays and their tables, and return which images they hold."""
    study, layout, own = step.study, step.layout, _store_layout(step.layout)
    images = choose_images(study, layout, rows=used)
    workshop, tasks, steps = prepare_store(study, layout, images=images, like=like)
    recipe = replace(
        workshop.recipe,
        journal=layout.step("pretrain") / "resume" / "journal",
        kept=layout.step("pretrain") / "resume" / "kept",
    )
    for name in images.kept:
        step.read(layout.image(name))
    result = write_shards(step, own, tasks=tasks, workshop=replace(workshop, recipe=recipe))
    # The same step, whose tables go where its own store lies.
    write_tables(replace(step, layout=own), result, images=images, plan=recipe.plan, steps=steps)
    return {stored.row.image_id for stored in result.rows}


def _write_uses(step: Step, archive: Archive, uses: dict[str, str]) -> None:
    """List every candidate, and count them for the record."""
    labelled = {row["image_id"] for row in archive.cohort}
    rows: list[dict[str, Cell]] = [
        {
            "image_id": row["image_id"],
            "subject": row["subject"],
            "is_labelled": row["image_id"] in labelled,
            "use": uses[row["image_id"]],
        }
        for row in archive.candidates
    ]
    write_table(step.write(step.layout.table("pretrain", "images")), rows, columns=IMAGE_COLUMNS)
    learnt = [row for row in rows if row["use"] == LEARNT_FROM]
    step.facts |= {
        "n_learnt_from": len(learnt),
        "n_unlabelled": sum(not row["is_labelled"] for row in learnt),
        "n_tested_left_out": sum(use == "tested" for use in uses.values()),
    }


def _open_examples(step: Step, archive: Archive) -> "Examples":
    """Map the store of pretraining."""
    from medvision.learn.dataset import Examples

    own = _store_layout(step.layout)
    shards = own.array_shards(step.study.preprocess.shards)
    store = read_array_store(shards, own.array_index, own.array_meta)
    subjects = {row["image_id"]: row["subject"] for row in archive.candidates}
    n_images = len(store.image_ids)
    return Examples(
        arrays=store.array,
        rows=np.arange(n_images, dtype=np.int64),
        labels=np.zeros(n_images, dtype=np.int64),
        subjects=tuple(subjects[name] for name in store.image_ids),
    )


def check_pretraining(step: Step) -> None:
    """Refuse starting weights that have seen a test subject, before a network is built on them.

    Args:
        step: A running training; what is read is registered with it.

    Raises:
        CohortError: An image learnt from is of a test subject, and nobody asked for that.
    """
    section = step.study.pretrain
    if section.task == "phantom":
        return
    rows = read_table(step.read(step.layout.table("pretrain", "images")), required=IMAGE_COLUMNS)
    folds = read_table(step.read(step.layout.folds), required=FOLD_COLUMNS)
    used = [row["image_id"] for row in rows if row["use"] == LEARNT_FROM]
    check_untested(used, manifest=rows, folds=_list_barred(step.study, folds))
