"""`medvision measure`: quality, thumbnail and picture of every ingested image, each read once."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision.cli._inputs import parse_shard
from medvision.cli._marks import write_mark
from medvision.cli._run import Step, check_upstream, open_step, study_command
from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.io.tables import Cell, Row, read_columns, write_table
from medvision.layout import Layout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from medvision.cli._measures_kept import Kept
    from medvision.cli._measuring import Item

THUMBNAILS = {2: (64, 64), 3: (32, 32, 32)}
"""Dimensions of an image to the shape of its thumbnail."""

_PICTURE = (96, 96)
_KEY_DIGITS = 12  # Hexadecimal, of an image's key: they decide its shard.

_REQUIRED = ("image_id", "units", "geometry", "flags", "image_digest")

_log = logging.getLogger(__name__)


@study_command(
    "measure",
    help="Measure the quality of every ingested image, each read once; needs no labels. What was "
    "measured is kept: a later run reads only new images.",
    example="medvision measure --set ingest.workers=4",
)
@click.option(
    "--shard",
    metavar="K/N",
    help="Measure the K-th of N parts of the images; a run without gathers all parts.",
)
def command(study: Study, layout: Layout, *, shard: str | None) -> None:
    """Measure what is new, and write the tables of all; or measure one part."""
    if shard is not None:
        _measure_part(study, layout, part=parse_shard(shard))
        return
    with open_step("measure", study, upstream=("ingest",)) as step:
        _measure(step)


def _measure(step: Step) -> None:
    """Bring what is kept up to date, and write it in the order of the images."""
    from medvision.cli._measures_kept import Kept

    layout = step.layout
    items = _list_items(layout, step.read(layout.manifest))
    with Kept(_find_kept_file(layout)) as kept:
        kept.adopt(sorted(_find_shards(layout).glob("*.sqlite")))
        reasons = _measure_new(items, kept, workers=step.study.ingest.workers)
        sound = [item for item in items if item.image_id not in reasons]
        for item in sound:
            step.read(item.path, digest=item.digest)
        _write_table(step, items, kept=kept, reasons=reasons)
        _write_pictures(step, sound, kept)
    step.facts |= {"n_images": len(items), "n_unreadable": len(reasons)}
    if reasons:
        _log.warning("%d images could not be read: see measure/measures.tsv.", len(reasons))


def _measure_part(study: Study, layout: Layout, *, part: tuple[int, int]) -> None:
    """Measure what is new of a shard's images, keep it beside the others', and leave a mark."""
    from medvision.cli._measures_kept import Kept, find_kept

    check_upstream(layout, study, earlier="ingest")
    number, total = part
    items = _list_items(layout, layout.manifest, part=part)
    known = find_kept(_find_kept_file(layout))
    new = [item for item in items if item.key not in known]
    folder = _find_shards(layout)
    with Kept(folder / f"{number}-of-{total}.sqlite") as kept:
        _measure_new(new, kept, workers=study.ingest.workers)
    facts: dict[str, JsonValue] = {"images": len(items), "new": len(new)}
    write_mark(folder / f"{number}-of-{total}.json", facts, study=study, step="measure")


def _find_kept_file(layout: Layout) -> Path:
    """Return where measures are kept between runs."""
    return layout.step("measure") / "kept.sqlite"


def _find_shards(layout: Layout) -> Path:
    """Return the folder of what shards keep until it is gathered, and of their marks."""
    return layout.step("measure") / "shards"


def _list_items(layout: Layout, manifest: Path, *, part: tuple[int, int] = (1, 1)) -> list["Item"]:
    """Return the images of a part as they are measured, sorted; rows of others are not held."""
    number, total = part
    items = (_build_item(row, layout) for row in read_columns(manifest, _REQUIRED))
    chosen = (item for item in items if int(item.key[:_KEY_DIGITS], 16) % total == number - 1)
    return sorted(chosen, key=lambda item: item.image_id)


def _build_item(row: Row, layout: Layout) -> "Item":
    """Return what decides how an image is measured."""
    from medvision.cli._measuring import Item

    return Item(
        image_id=row["image_id"],
        path=layout.image(row["image_id"]),
        digest=row["image_digest"],
        is_hu=row["units"] == "HU",
        is_placed=row["geometry"] == "full",
        is_inverted="monochrome1" in row["flags"].split(","),
    )


def _measure_new(items: Sequence["Item"], kept: "Kept", *, workers: int) -> dict[str, str]:
    """Measure what is not kept; return image to reason of those that could not be read."""
    from medvision.cli._measuring import measure_file
    from medvision.io.ingest.pool import map_in_order
    from medvision.runtime.progress import track

    known = kept.find_keys()
    kept.forget(known - {item.key for item in items})
    new = [item for item in items if item.key not in known]
    reasons = {}
    # One worker works here: starting a process costs more than a few images.
    results = map_in_order(measure_file, new, workers=workers, is_apart=workers > 1)
    for item, measured in track(results, "measuring images", total=len(new)):
        reason = "ended its process" if measured is None else measured.reason
        if measured is None or reason:
            reasons[item.image_id] = reason
        else:
            kept.put(item.key, measured)
    return reasons


def _write_table(
    step: Step, items: Sequence["Item"], *, kept: "Kept", reasons: dict[str, str]
) -> None:
    """Write one row per image."""
    from medvision.preprocess.quality.measure import MEASURES

    def list_rows() -> Iterator[dict[str, Cell]]:
        for item in items:
            if item.image_id in reasons:
                yield {"image_id": item.image_id, "reason": reasons[item.image_id]}
                continue
            held = kept.read(item.key)
            facts: dict[str, Cell] = {"dimensions": held.dimensions, "note": held.note}
            yield {"image_id": item.image_id, **facts, **held.values}

    columns = ("image_id", "dimensions", "reason", "note", *MEASURES)
    write_table(step.write(step.layout.table("measure", "measures")), list_rows(), columns=columns)


def _write_pictures(step: Step, items: Sequence["Item"], kept: "Kept") -> None:
    """Write thumbnails by their dimensions, and pictures."""
    from medvision.runtime.npz import Rows, build_texts, write_npz

    sized = {item.image_id: kept.read(item.key).dimensions for item in items}
    arrays = {}
    for dimensions, shape in THUMBNAILS.items():
        of_size = [item for item in items if sized[item.image_id] == dimensions]
        rows = _list_arrays(of_size, kept, name="thumbnail", shape=shape)
        arrays[f"image_id_{dimensions}d"] = build_texts([item.image_id for item in of_size])
        arrays[f"thumbnail_{dimensions}d"] = Rows((len(of_size), *shape), "u1", rows)
    write_npz(step.write(step.layout.thumbnails), arrays)
    pictures = _list_arrays(items, kept, name="picture", shape=_PICTURE)
    write_npz(
        step.write(step.layout.pictures),
        {
            "image_id": build_texts([item.image_id for item in items]),
            "picture": Rows((len(items), *_PICTURE), "u1", pictures),
        },
    )


def _list_arrays(
    items: Sequence["Item"], kept: "Kept", *, name: str, shape: tuple[int, ...]
) -> Iterator["NDArray[np.uint8]"]:
    """Yield what is kept of each image as an array."""
    import numpy as np

    for item in items:
        content: bytes = getattr(kept.read(item.key), name)
        yield np.frombuffer(content, dtype=np.uint8).reshape(shape)
