"""`medvision explain`: attribute a recorded selection of test predictions, and check the maps."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision.cli._explained.desk import CONTROLS, MAPS
from medvision.cli._explained.influence import COLUMNS, Influences, join_influences
from medvision.cli._explained.peaks import COLUMNS as PEAK_COLUMNS
from medvision.cli._explained.shares import (
    KEPT,
    Piece,
    compute_piece,
    gather_pieces,
    read_brief,
    write_piece,
)
from medvision.cli._inputs import parse_shard
from medvision.cli._run import Step, check_upstream, open_step, study_command
from medvision.cli._steps import list_explained, list_trained
from medvision.cli._up_to_date import is_up_to_date
from medvision.config.model import Study
from medvision.errors import ConfigError
from medvision.io.tables import Cell, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

if TYPE_CHECKING:
    from medvision.explain.study import Outcome

_WHOLE = (1, 1)


@study_command(
    "explain",
    help="Attribute the planned test predictions with Captum, return the maps to the "
    "source images' geometry, and check them. What is up to date of a share is not computed again.",
    example="medvision explain --set explain.images=4",
)
@click.option(
    "--shard",
    metavar="K/N",
    help="Explain the K-th of N shares of the images, N being explain.shards; a run without "
    "gathers all.",
)
def command(study: Study, layout: Layout, *, shard: str | None) -> None:
    """Explain a share of the images, or what is left to do, and gather all."""
    if shard is not None:
        _explain_part(study, layout, share=_check_share(study, shard))
        return
    parts = list_explained(study)
    if parts:
        # First of all: what is missing is said before hours are spent on a share.
        for earlier in _list_upstream(study, layout):
            check_upstream(layout, study, earlier=earlier)
        _explain_missing(study, layout)
    with open_step("explain", study, upstream=(*_list_upstream(study, layout), *parts)) as step:
        _explain(step, parts)


def _check_share(study: Study, shard: str) -> tuple[int, int]:
    """Return the share that is asked for, which must be one of the study's."""
    share, total = parse_shard(shard), study.explain.shards
    if share[1] != total or total == 1:
        rule = f"be K/{total}, as explain.shards says" if total > 1 else "be left out"
        raise ConfigError(
            f"--shard: value must {rule}, got {shard}.",
            "set explain.shards to the number of shares.",
        )
    return share


def _list_upstream(study: Study, layout: Layout) -> tuple[str, ...]:
    """Return the steps that every share stands on."""
    return ("ingest", "cohort", "preprocess", "predict", "plan", *list_trained(study, layout))


def _explain_missing(study: Study, layout: Layout) -> None:
    """Explain the shares that are not up to date."""
    upstream, total = _list_upstream(study, layout), study.explain.shards
    for number, name in enumerate(list_explained(study), 1):
        if not is_up_to_date(layout, study, name, upstream=upstream):
            _explain_part(study, layout, share=(number, total))


def _explain_part(study: Study, layout: Layout, *, share: tuple[int, int]) -> None:
    """Explain a share of the images, and keep what was found until all are gathered."""
    name = layout.explain_step(*share)
    with open_step(name, study, upstream=_list_upstream(study, layout)) as step:
        brief = read_brief(step)
        _clear_maps(layout.step(name))
        piece = compute_piece(step, brief, share=share)
        write_piece(step.write(layout.step(name) / KEPT), piece)
        step.facts["n_images"] = len(piece.share.finished)


def _explain(step: Step, parts: Sequence[str]) -> None:
    """Put together what the shares found, or do everything here, and write it."""
    from medvision.explain.study import conclude

    layout = step.layout
    brief = read_brief(step)
    _clear_maps(layout.step("explain"))
    for folder in _list_others(layout, parts):
        shutil.rmtree(folder)
    pieces = gather_pieces(step, parts) if parts else [compute_piece(step, brief, share=_WHOLE)]
    outcome = conclude(brief, [piece.share for piece in pieces])
    order = [case.image_id for case in brief.selection.cases]
    _write(step, outcome, _join_influences(pieces, order), peaks=_join_peaks(pieces, order))


def _clear_maps(folder: Path) -> None:
    """Remove the maps of an earlier selection, which would be files that no record accounts for."""
    for name in (MAPS, CONTROLS):
        shutil.rmtree(folder / name, ignore_errors=True)


def _list_others(layout: Layout, parts: Sequence[str]) -> Iterator[Path]:
    """Yield the folders of shares of another division."""
    kept = {layout.step(name) for name in parts}
    for folder in sorted(layout.step("explain").glob("shard-*-of-*")):
        if folder not in kept:
            yield folder


def _join_peaks(pieces: Sequence[Piece], order: Sequence[str]) -> list[dict[str, Cell]]:
    """Return all peaks in the order of the selection."""
    places = {image_id: place for place, image_id in enumerate(order)}
    peaks = [row for piece in pieces for row in piece.peaks]
    return sorted(peaks, key=lambda row: places[str(row["image_id"])])


def _join_influences(pieces: Sequence[Piece], order: Sequence[str]) -> Influences:
    """Return the train images beside all cases, in the order of the selection."""
    return join_influences([piece.influences for piece in pieces], order)


def _write(
    step: Step, outcome: "Outcome", influences: Influences, *, peaks: list[dict[str, Cell]]
) -> None:
    """Write the tables and the summary."""
    from medvision.explain.tables import (
        ATTRIBUTION_COLUMNS,
        CASCADE_COLUMNS,
        CHECK_COLUMNS,
        SELECTION_COLUMNS,
        STABILITY_COLUMNS,
        VERDICT_COLUMNS,
    )

    layout = step.layout
    for path, rows, columns in (
        (layout.selection, outcome.selection, SELECTION_COLUMNS),
        (layout.attributions, outcome.attributions, ATTRIBUTION_COLUMNS),
        (layout.checks, outcome.checks, CHECK_COLUMNS),
        (layout.table("explain", "verdicts"), outcome.verdicts, VERDICT_COLUMNS),
        (layout.table("explain", "influence"), influences.rows, COLUMNS),
        (layout.table("explain", "cascade"), outcome.cascade, CASCADE_COLUMNS),
        (layout.table("explain", "stability"), outcome.stability, STABILITY_COLUMNS),
        (layout.table("explain", "peaks"), peaks, PEAK_COLUMNS),
    ):
        write_table(step.write(path), rows, columns=columns)
    told = influences.summarise(step.study.explain.influence)
    write_json(step.write(layout.explain_summary), outcome.summary | {"influence": told})
    step.facts |= outcome.facts
