"""`medvision preprocess`: the cohort's images through one pipeline into one array store."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision.cli._extensions import (
    check_grey,
    declare_plugins,
    describe_passed_by,
    find_passed_by,
)
from medvision.cli._images import INVERTED, Images, choose_images, is_external, read_cohort
from medvision.cli._inputs import parse_shard
from medvision.cli._marks import write_mark
from medvision.cli._plugin_check import check_extensions
from medvision.cli._preview import list_candidates, write_previews
from medvision.cli._run import Step, open_step, study_command
from medvision.cli._store_tables import write_shards, write_tables
from medvision.config.model import Study
from medvision.config.preprocess import PreprocessSection
from medvision.domain.record import JsonValue
from medvision.domain.splits.kinds import list_present
from medvision.io.tables import Row
from medvision.layout import Layout

if TYPE_CHECKING:
    from medvision.preprocess.keys import Task
    from medvision.preprocess.plan import Plan
    from medvision.preprocess.recipe import Recipe
    from medvision.preprocess.store import Workshop

_INVERSION: JsonValue = {
    "name": "Invert",
    "parameters": {"images_flagged": INVERTED, "value": "maximum + minimum - value"},
}
"""The step before the pipeline; the index tells which images it concerns."""


@study_command(
    "preprocess",
    help="Compute the arrays that networks are trained on, one row per image of the cohort. Only "
    "what is new or changed since the last run is computed.",
    example="medvision preprocess --set preprocess.size='[96, 96, 96]'",
)
@click.option(
    "--shard",
    metavar="K/N",
    help="Compute the K-th of N parts; a run without writes the whole store.",
)
@click.option(
    "--preview",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only draw N images before and after, into preprocess/preview/; needs ingest alone.",
)
def command(study: Study, layout: Layout, *, shard: str | None, preview: int | None) -> None:
    """Preprocess the cohort's images, or one part of them, or show some."""
    check_extensions(study)
    if preview is not None:
        _show(study, layout, n_wanted=preview)
        return
    if shard is not None:
        _compute_part(study, layout, part=parse_shard(shard))
        return
    with open_step(
        "preprocess", study, upstream=("ingest", "cohort"), keeps=layout.step("preprocess")
    ) as step:
        step.read(layout.manifest)
        rows = read_cohort(step.layout)
        step.read(layout.cohort)
        _write_store(study, step, rows=rows)


def _show(study: Study, layout: Layout, *, n_wanted: int) -> None:
    """Draw a few images before and after, and say where the pictures are."""
    rows = list_candidates(layout)
    images = choose_images(study, layout, rows=rows)
    workshop, _, _ = prepare_store(study, layout, images=images)
    paths = write_previews(images, workshop.recipe, rows=rows, n_wanted=n_wanted)
    noun = "picture" if len(paths) == 1 else "pictures"
    click.echo(f"preprocess: {len(paths)} {noun} in {layout.array_folder('preview')}")
    for path in paths:
        click.echo(f"  {path.name}")


def _compute_part(study: Study, layout: Layout, *, part: tuple[int, int]) -> None:
    """Compute the rows of one shard into the journal, and leave a mark."""
    from medvision.preprocess.store import compute_shard

    number, total = part
    images = choose_images(study, layout, rows=read_cohort(layout))
    workshop, tasks, _ = prepare_store(study, layout, images=images)
    chosen = compute_shard(tasks, workshop, shard=number, n_shards=total)
    mark = layout.array_folder("shards") / f"{number}-of-{total}.json"
    write_mark(mark, {"images": len(chosen)}, study=study, step="preprocess")


def _write_store(study: Study, step: Step, *, rows: list[Row]) -> None:
    """Write the shards and their tables; what is left of other runs goes."""
    from medvision.preprocess.execute import build_executor
    from medvision.preprocess.store import check_classes_left, clear_needless

    layout = step.layout
    images = choose_images(study, layout, rows=rows)
    for row in rows:
        # Whoever computed a row held its image to this digest: not all are read once more here.
        path = layout.image(row["image_id"])
        step.read(path, digest=images.digest(path))
    workshop, tasks, steps = prepare_store(study, layout, images=images)
    declare_plugins(step)
    step.facts |= describe_passed_by(workshop.recipe)
    step.facts["executor"] = build_executor(workshop.recipe.plan).kind
    result = write_shards(step, layout, tasks=tasks, workshop=workshop)
    result = replace(result, rejections=(*images.rejections, *result.rejections))
    check_classes_left({row["image_id"]: _list_shown(study, row) for row in rows}, result)
    write_tables(step, result, images=images, plan=workshop.recipe.plan, steps=steps)
    clear_needless(tasks, workshop.recipe)
    for path in _list_others(layout, layout.array_shards(study.preprocess.shards)):
        path.unlink(missing_ok=True)


def _list_shown(study: Study, row: Row) -> tuple[str, ...]:
    """Return what must not be lost with an image: its class, or the external cohort."""
    return ("external cohort",) if is_external(row) else list_present(row["label"], study.data.task)


def _list_others(layout: Layout, shards: Sequence[Path]) -> list[Path]:
    """Return the shards of a store that was cut in another number of them."""
    found = layout.step("preprocess").glob(layout.array_shard("*").name)
    return sorted(set(found) - set(shards))


def prepare_store(
    study: Study, layout: Layout, *, images: Images, like: Images | None = None
) -> tuple["Workshop", list["Task"], list[JsonValue]]:
    """Return where rows come from, the images as tasks, and the steps for the record.

    Args:
        study: The configuration in force.
        layout: Where its files lie; rows that its store holds already are taken from there.
        images: Those to be stored.
        like: The images whose plan they go through, where that is not their own.

    Raises:
        ConfigError: The images ask for different scalings, or a window's name is unknown.
    """
    from medvision.preprocess.earlier import EarlierStore
    from medvision.preprocess.recipe import Recipe
    from medvision.preprocess.store import Workshop

    section = study.preprocess
    check_grey(study, images)
    plan = build_study_plan(study, like or images)
    recipe = Recipe(
        load=images.load,
        open_planes=images.open_planes,
        find_display=images.find_display,
        passed_by=find_passed_by(images, plan),
        plan=plan,
        dtype=section.dtype,
        max_rounding=section.max_rounding,
        keep_after=section.keep_after,
        journal=layout.array_folder("journal"),
        kept=layout.array_folder("kept"),
    )
    earlier = EarlierStore(layout.array_index, find_shard=layout.array_shard)
    tasks = _list_tasks(images, recipe)
    inversion = [_INVERSION] if images.inverted & set(images.kept) else []
    steps = [*inversion, *(step.as_dict() for step in plan.steps)]
    return Workshop(recipe, section.workers, earlier), tasks, steps


def build_study_plan(study: Study, images: Images) -> "Plan":
    """Return what every image of a study goes through.

    Args:
        study: The configuration in force.
        images: Those of the cohort.

    Raises:
        ConfigError: The images ask for different scalings, or a window's name is unknown.
    """
    return build_section_plan(study.preprocess, images)


def build_section_plan(section: PreprocessSection, images: Images) -> "Plan":
    """Return what every image goes through by one section of the configuration.

    Args:
        section: The settings.
        images: Those of the cohort: their modalities, headers' windows, and dimensions.

    Raises:
        ConfigError: The images ask for different scalings, or a window's name is unknown.
    """
    from medvision.preprocess.early import plan_early, prepend_steps
    from medvision.preprocess.modality import resolve_intensity
    from medvision.preprocess.plan import build_plan

    resolved = resolve_intensity(
        section.intensity, modalities=set(images.modality.values()), has_voi=bool(images.shown)
    )
    plan = build_plan(spatial_dims=images.spatial_dims, **(section.pipeline | resolved))
    return prepend_steps(plan, plan_early(spatial_dims=images.spatial_dims, **section.early))


def _list_tasks(images: Images, recipe: "Recipe") -> list["Task"]:
    """Name each image's row by the plan that it goes through, and by its header's window."""
    from medvision.preprocess.early import drop_steps
    from medvision.preprocess.keys import build_tasks
    from medvision.preprocess.voi import fill_plan_plainly, has_voi_step

    plan = recipe.plan
    shown = images.shown if has_voi_step(plan) else frozenset()
    groups: dict[tuple[bool, frozenset[str]], dict[str, JsonValue]] = defaultdict(dict)
    for name in images.kept:
        is_shown, passes = name in shown, frozenset(recipe.passes_by(name))
        groups[is_shown, passes][name] = images.describe(name, is_shown=is_shown)
    tasks: list[Task] = []
    for (is_shown, passes), sources in groups.items():
        own = drop_steps(plan if is_shown else fill_plan_plainly(plan), passes)
        # An image with a window of its own is not kept half-way.
        tasks += build_tasks(sources, own, keep_after=None if is_shown else recipe.keep_after)
    return sorted(tasks, key=lambda task: task.image_id)
