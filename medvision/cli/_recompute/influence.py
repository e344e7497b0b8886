"""Level 4 of an audit, for a sample: which train images stand beside the explained ones."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import isclose
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from medvision.audit.findings import Check as Answered
from medvision.audit.findings import Finding
from medvision.cli._recompute.answers import skip
from medvision.cli._recompute.attributions import describe_software
from medvision.cli._recompute.compared import compare_values
from medvision.cli._recompute.images import PluginError
from medvision.cli._recompute.request import Answer, MissingSourceError, draw_pairs
from medvision.cli._recompute.scene import Scene, name_model
from medvision.cli._recompute.told import INDEX, INFLUENCE, SUMMARY
from medvision.domain.labels.rows import Task
from medvision.domain.record import JsonValue
from medvision.domain.split import build_assignments
from medvision.errors import AuditError, MedvisionError
from medvision.io.tables import Cell, Row, read_table
from medvision.runtime.files import read_json
from medvision.runtime.progress import track

if TYPE_CHECKING:
    from medvision.cli._explained.influence import Bounds, Influences, Place
    from medvision.cli._training.learning import LearningData
    from medvision.runtime.shards import StoredArrays

NAME = "influence"
QUESTION = "Are the train images beside the sampled cases the nearest and the influential ones?"

TOLERANCE = 1e-3
"""Of a score as a share of it, or of the largest of its image and kind where it is smaller."""

_RULES = {True: ("there, computed again", "no row"), False: ("absent, computed again", "a row")}
_SAME = ("train_image_id", "train_subject", "train_label", "n_checkpoints")

Key = tuple[str, str, str]
"""Image, kind and rank."""


def check_influence(scene: Scene) -> Answered:
    """Show the train images of the sampled cases' networks to all checkpoints again.

    Every train image that the run looked at is preprocessed again from its source, those of the
    networks of sampled cases; they lie in a file for the time being, and not in memory.

    Args:
        scene: The bundle's explanations, and what the auditor handed over.

    Raises:
        MedvisionError: A table of the bundle cannot be read.
    """
    from medvision.cli._explained.influence import Bounds

    bounds = Bounds(scene.section.influence, scene.section.influence_images)
    if not bounds.n_most:
        return skip(NAME, QUESTION, "explain.influence is 0: the run looked for none")
    answer = Answer([], [], describe_software(scene.record))
    images = {image_id for image_id, _ in draw_pairs(scene.request)}
    places = {name: name_model(case) for name, case in scene.cases.items() if name in images}
    with _open_data(scene) as data:
        for place in sorted(set(places.values())):
            own = {name: held for name, held in places.items() if held == place}
            if _fill(scene, data, own, bounds=bounds, answer=answer):
                found = _trace_again(scene, data, own, bounds=bounds)
                answer.findings += _compare(scene, own, found)
                answer.notes.append(_describe(found))
    return answer.as_check(NAME, QUESTION)


@contextmanager
def _open_data(scene: Scene) -> "Iterator[LearningData]":
    """Yield folds and labels of the bundle, and room for arrays, on the disk and empty."""
    from medvision.cli._training.learning import LearningData
    from medvision.runtime.arrays import ArrayStore

    locate = scene.request.locate
    summary = cast(Mapping[str, JsonValue], read_json(locate("cohort/summary.json")))
    meta = cast(Mapping[str, JsonValue], read_json(locate("preprocess/meta.json")))
    names = tuple(row["image_id"] for row in read_table(locate(INDEX)))
    shape = (len(names), *cast(list[int], meta["shape"])[1:])
    with TemporaryDirectory(prefix="medvision-audit-") as folder:
        path = Path(folder) / "arrays.npy"
        arrays: NDArray[np.float32] = np.lib.format.open_memmap(
            path, mode="w+", dtype=np.float32, shape=shape
        )
        store = ArrayStore(
            cast("StoredArrays", arrays), names, cast(int, meta["spatial_dims"]), {}, {}, {}
        )
        yield LearningData(
            store=store,
            assignments=tuple(build_assignments(read_table(locate("cohort/folds.tsv")))),
            classes=tuple(cast(list[str], summary["classes"])),
            task=cast(Task, summary.get("task", "classification")),
        )


def _fill(
    scene: Scene,
    data: "LearningData",
    own: "Mapping[str, Place]",
    *,
    bounds: "Bounds",
    answer: Answer,
) -> bool:
    """Preprocess again what a network is shown, and say whether that could be done."""
    from medvision.cli._explained.influence import gather_fold

    place = next(iter(own.values()))
    fold = gather_fold(data, place, names=set(own), n_most=bounds.n_images)
    names = [item.image_id for item in (*fold.train, *fold.cases)]
    arrays, rows = cast("NDArray[np.float32]", data.store.array), data.store.rows()
    for name in track(names, "preparing train images", total=len(names)):
        try:
            arrays[rows[name]] = scene.prepare_once(name).array
        except (MissingSourceError, PluginError) as error:
            answer.missed.append(error.message.removesuffix("."))
            return False
        except MedvisionError as error:
            answer.findings.append(Finding(name, "source image", "the manifest's", error.message))
            return False
    return True


def _trace_again(
    scene: Scene, data: "LearningData", own: "Mapping[str, Place]", *, bounds: "Bounds"
) -> "Influences":
    """Look among the train images of one network again."""
    import torch

    from medvision.cli._explained.influence import trace_influences
    from medvision.explain.network import reference_precision

    def find(place: "Place", name: str) -> Path | None:
        arm, fold, seed = place
        try:
            return scene.request.locate(f"train/{arm}/fold-{fold}/seed-{seed}/{name}")
        except AuditError:
            return None

    with reference_precision():
        return trace_influences(data, own, find=find, bounds=bounds, device=torch.device("cpu"))


def _describe(found: "Influences") -> str:
    """Return how much was looked at, in words."""
    told = [cast(Mapping[str, JsonValue], network) for network in found.networks]
    return ", ".join(
        f"{each['n_compared']} train images of fold {each['fold']} before "
        f"{1 + len(cast(list[JsonValue], each['checkpoints']))} networks"
        for each in told
    )


def _compare(scene: Scene, own: "Mapping[str, Place]", found: "Influences") -> list[Finding]:
    """Hold rows and what is said of a network against the bundle's."""
    held = {
        _name(row): row
        for row in read_table(scene.request.locate(INFLUENCE))
        if row["image_id"] in own
    }
    wanted = {_name(row): row for row in found.rows}
    findings = [
        Finding(f"{INFLUENCE} {' '.join(key)}", "row", *_RULES[key in wanted])
        for key in sorted(wanted.keys() ^ held.keys())
    ]
    for key in sorted(wanted.keys() & held.keys()):
        largest = max(abs(_read(row)) for name, row in wanted.items() if name[:2] == key[:2])
        findings += _compare_row(key, wanted[key], held[key], largest=largest)
    return findings + _compare_networks(scene, found)


def _name(row: "Mapping[str, Cell]") -> Key:
    """Return what tells one row from another."""
    return str(row["image_id"]), str(row["kind"]), str(row["rank"])


def _read(row: "Mapping[str, Cell]") -> float:
    """Return a row's score."""
    return float(str(row["score"]))


def _compare_row(
    key: Key, wanted: "Mapping[str, Cell]", held: Row, *, largest: float
) -> list[Finding]:
    """Hold image, subject, label and score of one row."""
    where = f"{INFLUENCE} {' '.join(key)}"
    findings = [
        Finding(where, name, f"{wanted[name]}, computed again", held[name])
        for name in _SAME
        if str(wanted[name]) != held[name]
    ]
    one, other = _read(wanted), _read(held)
    if not isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE * largest):
        findings.append(Finding(where, "score", f"{one:.6g}, computed again", f"{other:.6g}"))
    return findings


def _compare_networks(scene: Scene, found: "Influences") -> list[Finding]:
    """Hold what the summary says of the networks against what was done with them."""
    summary = cast(Mapping[str, JsonValue], read_json(scene.request.locate(SUMMARY)))
    told = cast(Mapping[str, Sequence[Mapping[str, JsonValue]]], summary["influence"])
    held = {_place(network): network for network in told["networks"]}
    findings = []
    for network in found.networks:
        wanted = cast(Mapping[str, JsonValue], network)
        place = f"influence.networks of fold {wanted['fold']}"
        found_faults = compare_values(
            place, wanted=dict(wanted), held=dict(held.get(_place(wanted), {}))
        )
        findings += [replace(fault, where=SUMMARY) for fault in found_faults]
    return findings


def _place(network: Mapping[str, JsonValue]) -> tuple[JsonValue, ...]:
    """Return arm, fold and seed."""
    return network["arm"], network["fold"], network["seed"]
