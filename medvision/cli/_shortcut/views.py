"""What the probes of the shortcut audit are shown: facts of headers and labels, parts of images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from medvision.cli._run import Step
from medvision.cli._training.learning import open_store
from medvision.domain.record import JsonValue
from medvision.domain.shortcut.encode import Features, Probe
from medvision.errors import ConfigError
from medvision.io.tables import Row, read_table
from medvision.preprocess.surroundings import Image, describe_background, describe_border
from medvision.runtime.files import read_json
from medvision.runtime.progress import track

SHOWN_COLUMNS = ("probe", "shown", "n_images", "n_values", "state")

Facts = dict[str, list[str]]
"""Name of a fact to its text for each image."""

_SCANNER = ("Manufacturer", "MagneticFieldStrength")
_SIZE = ("SliceThickness", "SpacingBetweenSlices")
_ACQUISITION = (
    *("EchoTime", "EchoTrainLength", "ExposureTime", "FlipAngle", "FrameDuration", "ImageType"),
    *("InversionTime", "KVP", "NumberOfAverages", "PixelBandwidth", "RepetitionTime"),
    *("XRayExposure", "XRayTubeCurrent", "DecayCorrection", "ImageLaterality"),
    *("InPlanePhaseEncodingDirectionDICOM", "MRAcquisitionType", "PatientPosition"),
    *("ScanOptions", "ScanningSequence", "SequenceVariant", "ViewPosition"),
)
_FORMAT = ("source", "modality", "orientation", "units", "geometry", "n_volumes", "flags")
_WELL_KNOWN = frozenset(
    {
        *("site", "hospital", "centre", "center", "institution", "clinic", "scanner"),
        *("manufacturer", "vendor", "device", "protocol", "view"),
    }
)
"""Columns of labels that are looked at where none is named."""

_OWN = frozenset(
    {
        *("image_id", "subject", "group", "label", "shape", "spacing_mm", "modality"),
        *("pixel_digest", "mask", "given_split"),
    }
)
_LEAST_PICTURES = 0.5
"""Share of the images that must have a background for it to be judged."""


@dataclass(frozen=True)
class View:
    """One probe, and what it was shown.

    Args:
        probe: Name, facts and description of every image.
        shown: The facts that it holds, in words.
        state: asked; or why it was not: absent, constant, no-background.
    """

    probe: Probe
    shown: str
    state: str

    def describe(self) -> Row:
        """Return its row of `shortcuts/shown.tsv`."""
        n_images = len(self.probe.picture)
        values = (self.probe.name, self.shown, n_images, self.probe.n_values, self.state)
        return dict(zip(SHOWN_COLUMNS, map(str, values), strict=True))


def build_views(step: Step, image_ids: Sequence[str]) -> list[View]:
    """Gather what every probe is shown.

    Args:
        step: The running step; what is read is registered with it.
        image_ids: The images, in the order of the probes' rows.

    Raises:
        ConfigError: A column is named that the labels have not.
        DataError: A file is missing or cannot be read.
    """
    section = step.study.shortcuts
    headers = _read_headers(step, image_ids) if set(section.probes) & {*_HEADERS, "headers"} else {}
    wanted: dict[str, Facts] = {name: headers[name] for name in _HEADERS if name in section.probes}
    if "headers" in section.probes:
        wanted["headers"] = {key: held for facts in headers.values() for key, held in facts.items()}
    wanted |= _read_columns(step, image_ids, asked=section.columns)
    n_images = len(image_ids)
    views = [_view_facts(name, facts, n_images) for name, facts in wanted.items()]
    return views + _view_pictures(step, image_ids)


_HEADERS = ("scanner", "acquisition", "size", "format")


def _read_headers(step: Step, image_ids: Sequence[str]) -> dict[str, Facts]:
    """Read the facts of headers: from the manifest, and from the file beside each image."""
    layout = step.layout
    manifest = {row["image_id"]: row for row in read_table(step.read(layout.manifest))}
    rows = [manifest[name] for name in image_ids]
    sidecars = [
        cast(dict[str, JsonValue], read_json(step.read(layout.sidecar(name))))
        for name in track(image_ids, "reading headers")
    ]
    return {
        "scanner": _list_sidecars(sidecars, _SCANNER),
        "acquisition": _list_sidecars(sidecars, _ACQUISITION),
        "size": _list_sizes(rows) | _list_sidecars(sidecars, _SIZE),
        "format": {name: [row.get(name, "") for row in rows] for name in _FORMAT},
    }


def _list_sidecars(sidecars: Sequence[Mapping[str, JsonValue]], keys: Sequence[str]) -> Facts:
    """Return the facts that some image's sidecar knows."""
    facts = {key: [_write(held.get(key)) for held in sidecars] for key in keys}
    return {key: cells for key, cells in facts.items() if any(cells)}


def _write(value: JsonValue) -> str:
    """Return a sidecar's value as text."""
    if isinstance(value, list):
        return "_".join(map(str, value))
    return "" if value is None else str(value)


def _list_sizes(rows: Sequence[Row]) -> Facts:
    """Return voxels and spacing along each axis, and the number of files."""
    facts: Facts = {"n_files": [row.get("n_files", "") for row in rows]}
    for column, name in (("shape", "voxels"), ("spacing_mm", "spacing")):
        parts = [[*row.get(column, "").split("x"), "", "", ""][:3] for row in rows]
        facts |= {f"{name}_{axis}": [part[n] for part in parts] for n, axis in enumerate("ijk")}
    return facts


def _read_columns(
    step: Step, image_ids: Sequence[str], *, asked: Sequence[str] | None
) -> dict[str, Facts]:
    """Return the columns of the labels that are asked for, or are named like a site or scanner."""
    cohort = {row["image_id"]: row for row in read_table(step.read(step.layout.cohort))}
    held = [name for name in next(iter(cohort.values()), {}) if name not in _OWN]
    chosen = [name for name in held if name.lower() in _WELL_KNOWN] if asked is None else asked
    for name in chosen:
        if name not in held:
            raise ConfigError(
                f"shortcuts.columns: must name columns of the labels, got {name}.",
                "cohort/cohort.tsv has the columns that were kept, the user's last.",
            )
    return {f"column {name}": {name: [cohort[each][name] for each in image_ids]} for name in chosen}


def _view_facts(name: str, facts: Facts, n_images: int) -> View:
    """Return the view of facts, and whether there is anything in it."""
    probe = Probe(name, facts, np.empty((n_images, 0)))
    varying = [key for key, cells in facts.items() if len(set(cells)) > 1]
    known = any(any(cells) for cells in facts.values())
    state = "asked" if varying else "constant" if known else "absent"
    return View(probe, ", ".join(varying or facts), state)


def _view_pictures(step: Step, image_ids: Sequence[str]) -> list[View]:
    """Describe parts of every picture."""
    section = step.study.shortcuts
    makers: dict[str, Callable[[Image], Features]] = {
        "background": describe_background,
        "border": lambda image: describe_border(image, share=section.border),
    }
    chosen = {name: maker for name, maker in makers.items() if name in section.probes}
    if not chosen:
        return []
    store = open_store(step)
    rows = store.rows()
    found: dict[str, list[Features]] = {name: [] for name in chosen}
    for image_id in track(image_ids, "describing pictures"):
        image = store.array[rows[image_id]]
        for name, maker in chosen.items():
            found[name].append(maker(image))
    return [_view_picture(name, np.array(held)) for name, held in found.items()]


def _view_picture(name: str, picture: Features) -> View:
    """Return the view of a part of the picture, and whether there is anything in it."""
    probe = Probe(name, {}, picture)
    share = float((~np.isnan(picture).any(axis=1)).mean())
    if share < _LEAST_PICTURES:
        state = "no-background"
    else:
        state = "asked" if probe.n_values > 1 else "constant"
    return View(probe, f"part of {share:.0%} of the images", state)
