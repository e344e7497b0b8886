"""The pictures and volumes of the explained cases, read for the report."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from medvision.cli._run import Step
from medvision.domain.record import JsonValue
from medvision.io.tables import Row, read_table
from medvision.layout import Layout
from medvision.runtime.files import read_json, write_bytes, write_json
from medvision.runtime.packs import has_file

if TYPE_CHECKING:
    from medvision.domain.volume import FloatGrid
    from medvision.report.case import CaseGrids, CaseView
    from medvision.report.explanation import Case
    from medvision.report.facts import Facts
    from medvision.report.viewer import Viewer


def build_views(step: Step, facts: "Facts") -> tuple[dict[str, "CaseView"], "Viewer"]:
    """Render the images of the explained cases, as many as a page may hold.

    Args:
        step: The report's own; what it reads is recorded.
        facts: Which cases there are.

    Returns:
        (pictures by image_id, volumes of those that fit).
    """
    from medvision.report.case import build_case_view
    from medvision.report.page import MAX_CASES
    from medvision.report.viewer import ViewerRoom, read_library
    from medvision.runtime.progress import track

    manifest = {row["image_id"]: row for row in read_table(step.layout.manifest)}
    room = ViewerRoom(step.study.report.viewer_mb, library=read_library())
    views = {}
    for case in track(facts.explanation.cases[:MAX_CASES], "rendering cases"):
        grids = _read_grids(step, manifest[case.image_id], case=case)
        views[case.image_id] = build_case_view(case.image_id, grids)
        room.add(case.image_id, grids, window=views[case.image_id].facts.window)
    return views, room.close()


def write_layers(step: Step, views: "Mapping[str, CaseView]") -> None:
    """Keep what each case's pictures were drawn on, so that an audit can draw them again.

    Args:
        step: The report's own; what is written is recorded.
        views: Pictures by image_id, in the order of their figures.
    """
    from medvision.report.key_layers import keep_layers

    folder = step.layout.step("report") / "layers"
    # Layers of an earlier run would be files that no record accounts for.
    shutil.rmtree(folder, ignore_errors=True)
    for number, view in enumerate(views.values(), 1):
        kept, name = keep_layers(view), f"case-{number:02d}"
        write_json(step.write(folder / f"{name}.json"), kept.parameters)
        write_bytes(step.write(folder / f"{name}-image.png"), kept.image)
        if kept.mask is not None:
            write_bytes(step.write(folder / f"{name}-mask.png"), kept.mask)


def _read_window(layout: Layout) -> tuple[float, float] | None:
    """Return the window that preprocessing scaled by, None for another scaling."""
    meta = cast(dict[str, list[dict[str, JsonValue]]], read_json(layout.array_meta))
    for step in meta["steps"]:
        if step["name"] == "ScaleIntensityRange":
            held = cast(dict[str, float], step["parameters"])
            return held["a_min"], held["a_max"]
    return None


def _read_grids(step: Step, row: Row, *, case: "Case") -> "CaseGrids":
    """Read an image, its maps and its mask, all on the image's own grid."""
    import numpy as np

    from medvision.io.nifti.read import read_nifti
    from medvision.report.case import CaseGrids

    layout, image_id = step.layout, row["image_id"]

    def read_grid(path: Path) -> "FloatGrid":
        return np.asarray(read_nifti(step.read(path)).array, dtype=np.float32)

    image = read_nifti(step.read(layout.image(image_id)))
    mask, folder = layout.mask(image_id), layout.step("explain") / "controls" / image_id
    return CaseGrids(
        image=image.as_grid(),
        affine=image.affine,
        maps={
            held.method: read_grid(layout.attribution(image_id, held.method))
            for held in case.methods
        },
        mask=read_grid(mask) if has_file(mask) else None,
        has_geometry=row["geometry"] == "full",
        window=_read_window(layout),
        units="" if row["units"] == "none" else row["units"],
        controls={
            held.method: read_grid(path)
            for held in case.controls
            if (path := folder / f"{held.method}.nii.gz").is_file()
        },
    )
