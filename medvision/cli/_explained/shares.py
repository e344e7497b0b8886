"""A share of the explained images: computed by a job, kept until all are gathered, read again."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medvision.cli._cohort.summary import read_classes
from medvision.cli._explained.desk import CONTROLS, MAPS, open_desk
from medvision.cli._explained.influence import Influences, Place, find_influences
from medvision.cli._explained.planning import check_plan
from medvision.cli._run import Step, read_record
from medvision.cli._software import list_software
from medvision.cli._training.learning import LearningData, prepare_device, read_learning_data
from medvision.cli.predict import PREDICTION_COLUMNS
from medvision.domain.record import JsonValue, Record
from medvision.domain.synthesis.synthetic import check_real
from medvision.errors import StaleOutputError
from medvision.io.tables import Cell, read_table
from medvision.runtime.files import link_file
from medvision.runtime.machine import describe_machine
from medvision.runtime.npz import Rows, write_npz

if TYPE_CHECKING:
    import torch

    from medvision.explain.study import Brief, Share

KEPT = "cases.npz"
"""What a share found, below its own folder."""

_TOLD = "told"
_OF_BRIEF = ("influence", "influence_images", "shards")
"""Settings that the methods are not given."""


@dataclass(frozen=True)
class Piece:
    """What a job gives to be gathered.

    Args:
        share: What it found of its cases.
        peaks: Where each of its maps is largest.
        influences: The train images beside all cases of its share of the networks.
    """

    share: "Share"
    peaks: list[dict[str, Cell]]
    influences: Influences


def read_brief(step: Step) -> "Brief":
    """Return what is explained and how, which must be what was planned.

    Args:
        step: The running step; what is read is registered with it.

    Raises:
        StaleOutputError: The plan does not fit the configuration, the predictions or the models.
        ExplanationError: There is no test prediction, or no such finding or class.
    """
    from medvision.explain.study import draw_brief

    check_plan(step)
    layout = step.layout
    step.seed = step.study.explain.seed
    predictions = read_table(step.read(layout.predictions), required=PREDICTION_COLUMNS)
    check_real(predictions, where="predict/predictions.tsv")
    values = dict(step.study.explain)
    for name in _OF_BRIEF:
        del values[name]
    return draw_brief(predictions, read_classes(step.read(layout.cohort_summary)), **values)


def compute_piece(step: Step, brief: "Brief", *, share: tuple[int, int]) -> Piece:
    """Explain a share of the images; the maps are written below the step's own folder.

    Args:
        step: The running step; what is read and written is registered with it.
        brief: What is explained and how.
        share: (k, n): the k-th of n shares of the images, and of the networks whose train images
            are looked at.
    """
    from medvision.explain.study import explain_share

    device = prepare_device(step)
    data = read_learning_data(step)
    desk = open_desk(step, data)
    hands = desk.lend_hands(device, is_exclusive=brief.selection.task != "multilabel")
    found = explain_share(brief, hands=hands, share=share)
    influences = _find_influences(step, data, brief, share=share, device=device)
    step.facts["machine"] = describe_machine()
    return Piece(found, desk.peaks, influences)


def _find_influences(
    step: Step,
    data: LearningData,
    brief: "Brief",
    *,
    share: tuple[int, int],
    device: "torch.device",
) -> Influences:
    """Look for the train images that stand beside each explained one."""
    from medvision.explain.case import name_model
    from medvision.explain.network import reference_precision

    places: dict[str, Place] = {case.image_id: name_model(case) for case in brief.selection.cases}
    with reference_precision():
        return find_influences(step, data, places, device=device, share=share)


def write_piece(path: Path, piece: Piece) -> None:
    """Write what a job found as one file of arrays; no code is in it.

    Args:
        path: The file; appears only when complete.
        piece: What it found.
    """
    from medvision.explain.stored import store_share

    value, grids = store_share(piece.share)
    whole = {"share": value, "peaks": piece.peaks, "influences": asdict(piece.influences)}
    told = np.frombuffer(json.dumps(whole, default=_make_plain).encode(), dtype=np.uint8)
    arrays = {_TOLD: Rows((1, len(told)), told.dtype, [told])}
    arrays |= {f"grid-{n}": Rows(grid.shape, grid.dtype, grid) for n, grid in enumerate(grids)}
    write_npz(path, arrays)


def read_piece(path: Path) -> Piece:
    """Read what a job found.

    Args:
        path: As `write_piece` wrote it.

    Raises:
        StaleOutputError: The file is of something else.
    """
    from medvision.explain.stored import load_share

    try:
        with np.load(path, allow_pickle=False) as held:
            whole: dict[str, Any] = json.loads(held[_TOLD].tobytes())
            share = load_share(whole["share"], lambda number: held[f"grid-{number}"])
            return Piece(share, whole["peaks"], Influences(**whole["influences"]))
    except (LookupError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise StaleOutputError(
            f"{path.parent.name}/{path.name}: file must hold what a share of the explanations "
            f"found, got {type(error).__name__}.",
            "delete its folder and run `medvision explain` again.",
        ) from error


def _make_plain(value: object) -> JsonValue:
    """Return a number of numpy's as Python's own."""
    if isinstance(value, np.generic):
        plain: JsonValue = value.item()
        return plain
    raise TypeError(f"no JSON for {type(value).__name__}")


def gather_pieces(step: Step, parts: Sequence[str]) -> list[Piece]:
    """Read what all shares found, and give their maps a second name below this step's folder.

    Args:
        step: The step of all; what is read and written is registered with it.
        parts: Steps of the shares, in order.

    Raises:
        StaleOutputError: A share has no record, or its file is of something else.
    """
    pieces, records = [], []
    for name in parts:
        record = read_record(step.layout, name)
        if record is None:
            raise StaleOutputError(
                f"{name}: share must stay as it is while all are gathered, got no record of it.",
                "let no other job run on it, and run `medvision explain` again.",
            )
        path = step.layout.step(name) / KEPT
        pieces.append(read_piece(step.read(path)))
        _gather_maps(step, record)
        records.append(record)
    _note_machines(step, records)
    return pieces


def _gather_maps(step: Step, record: Record) -> None:
    """Give the maps of a share their place among those of all."""
    root = step.layout.root
    for path, digest in record.writes.items():
        within = path.removeprefix(f"{record.step}/")
        if within.startswith((f"{MAPS}/", f"{CONTROLS}/")):
            target = step.write(step.layout.step(step.name) / within, digest=digest)
            link_file(step.read(root / path, digest=digest), target)


def _note_machines(step: Step, records: Sequence[Record]) -> None:
    """Say where the maps were made; of no machine, where they were made on several kinds."""
    devices = sorted({record.device for record in records})
    step.device = ", ".join(devices)
    software = list_software()
    machines = [record.facts.get("machine") for record in records]
    is_one = all(held == machines[0] for held in machines)
    if is_one and all(record.software == software for record in records):
        step.facts["machine"] = machines[0]
