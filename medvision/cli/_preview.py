"""Pictures of a few images before and after preprocessing, drawn without the whole step."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medvision.cli._images import Images
from medvision.domain.explanation.examples import Candidate, choose_examples
from medvision.domain.record import JsonValue
from medvision.io.tables import Row, read_table
from medvision.layout import Layout
from medvision.runtime.files import writing

if TYPE_CHECKING:
    from medvision.preprocess.plan import Plan
    from medvision.preprocess.recipe import Recipe

_UNIT = {"ScaleIntensityRange", "ScaleIntensityRangePercentiles", "VOILUT"}
_HOW = {"mode", "padding_mode", "dtype", "b_min", "b_max", "clip", "margin", "digest"}
"""Parameters that are the same in every study."""

_log = logging.getLogger(__name__)


def list_candidates(layout: Layout) -> list[Row]:
    """Return the images that may be shown: the cohort's, or all where there is no cohort yet.

    Raises:
        DataError: Nothing is ingested.
    """
    if layout.cohort.is_file():
        rows = read_table(layout.cohort, required=("image_id", "label", "shape"))
    else:
        rows = read_table(layout.manifest, required=("image_id", "shape"))
        rows = [row | {"label": ""} for row in rows if row["shape"].count("x") == 2]
    return sorted(rows, key=lambda row: row["image_id"])


def write_previews(
    images: Images, recipe: "Recipe", *, rows: Sequence[Row], n_wanted: int
) -> list[Path]:
    """Draw a few images before and after the plan.

    Args:
        images: Those that fit together.
        recipe: How they are read, and what they go through.
        rows: As `list_candidates` returns them.
        n_wanted: How many; pictures of another run are removed.

    Returns:
        The files. An image that the plan refuses is logged with its reason, and has none.

    Raises:
        StaleOutputError: An image has other bytes than ingestion wrote.
        StorageError: The folder cannot be written.
    """
    labels = {row["image_id"]: row["label"] for row in rows}
    subjects = {row["image_id"]: row.get("subject") or row["image_id"] for row in rows}
    chosen = choose_examples(
        [Candidate(name, subjects[name], labels[name]) for name in images.kept], n_wanted
    )
    folder = images.layout.array_folder("preview")
    for path in folder.glob("*.png"):
        path.unlink()
    placed = {
        row["image_id"]
        for row in read_table(images.layout.manifest)
        if row.get("geometry", "full") == "full"
    }
    paths = []
    for image_id in chosen:
        title = f"{image_id}   {labels[image_id]}".rstrip()
        first = ["Invert (MONOCHROME1)"] if image_id in images.inverted else []
        png = _draw(image_id, recipe, title=title, first=first, has_geometry=image_id in placed)
        if png is not None:
            paths.append(folder / f"{image_id}.png")
            with writing(paths[-1]) as temporary:
                temporary.write_bytes(png)
    return paths


def _draw(
    image_id: str, recipe: "Recipe", *, title: str, first: list[str], has_geometry: bool
) -> bytes | None:
    """Draw one image, or say why it cannot be."""
    from medvision.domain.volume import Volume
    from medvision.preprocess.recipe import run_one
    from medvision.preprocess.rejection import UnusableImageError
    from medvision.report.preview import Shown, choose_limits, draw_preview

    try:
        source, result, plan = run_one(image_id, recipe)
    except UnusableImageError as error:
        _log.warning("%s is left out: %s", image_id, error.message)
        return None
    is_unit = any(step.name in _UNIT for step in plan.steps)
    before = Volume(source.array, source.affine)
    sides = (
        Shown("Source", before, choose_limits(before, is_unit=False)),
        Shown("Result", result, choose_limits(result, is_unit=is_unit)),
    )
    steps = [*first, *_describe_steps(plan)]
    return draw_preview(title, sides, steps=steps, has_geometry=has_geometry)


def _describe_steps(plan: "Plan") -> list[str]:
    """Return a line for each step: its name, and its parameters as far as studies differ."""
    return [
        " ".join(
            [step.name]
            + [
                f"{name} {_format(value)}"
                for name, value in step.parameters.items()
                if name not in _HOW and value not in (None, "")
            ]
        )
        for step in plan.steps
    ]


def _format(value: JsonValue) -> str:
    """Return a parameter in few words."""
    if isinstance(value, dict):
        if "Function" in value:
            from medvision.domain.voi import decode_voi

            return str(decode_voi(value))
        return ", ".join(f"{name} {_format(held)}" for name, held in value.items())
    if isinstance(value, list):
        return " × ".join(map(_format, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
