"""Explained images beside the train images of their networks: the nearest, and the influential."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from medvision.cli._novelty import TRAIN
from medvision.cli._run import Step
from medvision.cli._training.checkpoints import Moment, read_checkpoints
from medvision.cli._training.learning import LearningData
from medvision.cli._training.pupil import Fold, Pupil, Scale
from medvision.domain.explanation.influence import Ranked, rank_train
from medvision.domain.novelty.distance import build_reference, choose_reference, compute_gaps
from medvision.domain.record import JsonValue
from medvision.domain.split import Assignment
from medvision.errors import DataError
from medvision.io.tables import Cell
from medvision.runtime.progress import track

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor

    from medvision.learn.losses import Loss

COLUMNS = (
    *("image_id", "kind", "rank", "train_image_id", "train_subject", "train_label"),
    *("score", "n_checkpoints"),
)
LIMITS = (
    "The nearest train images are the nearest in what the network's last layer is given: the "
    "network holds them alike, which is no likeness of disease.",
    "Influence is of the last layer alone, at the checkpoints named, of images as they are stored: "
    "what a step of gradient descent on one train image would have moved. The optimiser scales "
    "steps otherwise, augmentation changes images, and the other layers learn too.",
    "That leaving an image out would change the prediction was not tried.",
)
_TOLERANCE = 1e-3

Place = tuple[str, int, int]
"""Arm, fold and seed of a network."""

Find = Callable[[Place, str], "Path | None"]
"""Return a file of a training's own folder by its name; None where there is none."""

MODEL = "model.safetensors"


@dataclass(frozen=True)
class Bounds:
    """Train subjects of each kind that are named, and train images that are looked at, at most."""

    n_most: int
    n_images: int


@dataclass(frozen=True)
class Influences:
    """Rows of the table, and what is said of each network."""

    rows: list[dict[str, Cell]] = field(default_factory=list)
    networks: list[JsonValue] = field(default_factory=list)

    def summarise(self, n_most: int) -> JsonValue:
        """Return what the summary of the explanations says of it.

        Args:
            n_most: Train subjects of each kind that were asked for.
        """
        limits: JsonValue = list(LIMITS)
        return {"subjects": n_most, "networks": self.networks, "limits": limits}


def join_influences(found: Sequence[Influences], order: Sequence[str]) -> Influences:
    """Put together what several jobs found, each of networks of its own.

    Args:
        found: Of each job.
        order: Explained images in the order of the selection.
    """
    rows = [row for each in found for row in each.rows]
    places = {image_id: place for place, image_id in enumerate(order)}
    networks = [network for each in found for network in each.networks]
    return Influences(
        sorted(rows, key=lambda row: places[str(row["image_id"])]),
        sorted(networks, key=_read_place),
    )


def _read_place(network: JsonValue) -> tuple[str, int, int]:
    """Return arm, fold and seed of what is said of a network."""
    held = cast(Mapping[str, JsonValue], network)
    return str(held["arm"]), int(str(held["fold"])), int(str(held["seed"]))


def find_influences(
    step: Step,
    data: LearningData,
    places: dict[str, Place],
    *,
    device: "torch.device",
    share: tuple[int, int] = (1, 1),
) -> Influences:
    """Look among each network's own train images, and nowhere else.

    Args:
        step: The running step; checkpoints that are read are registered with it.
        data: Images and folds.
        places: Explained image to (arm, fold, seed) of the network that explains it.
        device: Where to compute.
        share: (k, n): the k-th network and every n-th after it, each with all of its images: they
            are shown to it in batches, on which the last digits depend.

    Returns:
        Rows by image in the order of `places`, kind and rank.
    """
    layout = step.layout
    number, total = share
    held = sorted(set(places.values()))[number - 1 :: total]
    places = {name: place for name, place in places.items() if place in held}

    def find(place: Place, name: str) -> "Path | None":
        path = layout.seed(place[0], place[1], seed=place[2]) / name
        return step.read(path) if path.is_file() else None

    section = step.study.explain
    bounds = Bounds(section.influence, section.influence_images)
    return trace_influences(data, places, find=find, bounds=bounds, device=device)


def trace_influences(
    data: LearningData,
    places: Mapping[str, Place],
    *,
    find: Find,
    bounds: Bounds,
    device: "torch.device",
) -> Influences:
    """Look among each network's own train images, and nowhere else.

    Args:
        data: Images and folds.
        places: Explained image to (arm, fold, seed) of the network that explains it.
        find: Returns a file of a training's own folder.
        bounds: How many are looked at and named.
        device: Where to compute.

    Returns:
        Rows by image in the order of `places`, kind and rank.

    Raises:
        MedvisionError: A file is missing or cannot be read.
    """
    if not bounds.n_most:
        return Influences()
    rows: dict[str, list[dict[str, Cell]]] = {}
    networks: list[JsonValue] = []
    held = sorted(set(places.values()))
    for place in track(held, "looking for influential train images", total=len(held)):
        names = {name for name, own in places.items() if own == place}
        fold = gather_fold(data, place, names=names, n_most=bounds.n_images)
        if not fold.train:
            continue
        found, facts = _ask_network(
            data, fold, place=place, find=find, n_most=bounds.n_most, device=device
        )
        rows |= found
        networks.append(facts)
    return Influences([row for name in places for row in rows.get(name, [])], networks)


def gather_fold(data: LearningData, place: Place, *, names: set[str], n_most: int) -> Fold:
    """Return a fold's train images, all or evenly among them, and the explained ones.

    Args:
        data: Images and folds.
        place: Arm, fold and seed of the network.
        names: Explained images.
        n_most: Train images at most.
    """
    train = data.select(place[1], TRAIN)
    chosen = [train[n] for n in choose_reference(len(train), n_most=n_most)]
    cases = [item for item in data.select(place[1], "test") if item.image_id in names]
    return Fold(chosen, cases, len(train))


def _ask_network(
    data: LearningData,
    fold: Fold,
    *,
    place: Place,
    find: Find,
    n_most: int,
    device: "torch.device",
) -> tuple[dict[str, list[dict[str, Cell]]], JsonValue]:
    """Return one network's rows by image, and what is said of it."""
    arm, number, seed = place
    network = Pupil(data, fold, device)
    last, scale, _ = network.read(_find_model(find, place), rate=0.0)
    reference = build_reference(last.train, n_neighbours=1)
    distances = list(compute_gaps(reference, last.cases))
    moments, loss = read_checkpoints(lambda name: find(place, name))
    influence, reason = _trace(network, moments, loss=loss, scale=scale)
    rows = {
        case.image_id: _list_rows(
            case.image_id,
            rank_train(
                distances[n],
                None if influence is None else influence[n],
                subjects=[item.subject for item in fold.train],
                n_most=n_most,
            ),
            train=fold.train,
            n_checkpoints=0 if influence is None else len(moments),
        )
        for n, case in enumerate(fold.cases)
    }
    facts: JsonValue = {
        "arm": arm,
        "fold": number,
        "seed": seed,
        "n_train": fold.n_train,
        "n_compared": len(fold.train),
        "checkpoints": [
            {"epoch": each.epoch, "learning_rate": each.learning_rate} for each in moments
        ],
        "reason": reason,
    }
    return rows, facts


def _find_model(find: Find, place: Place) -> "Path":
    """Return the file of a network."""
    path = find(place, MODEL)
    if path is None:
        arm, fold, seed = place
        raise DataError(f"{arm}, fold {fold}, seed {seed}: {MODEL} must be there, got none.")
    return path


def _trace(
    network: Pupil, moments: Sequence[Moment], *, loss: "Loss | None", scale: Scale | None
) -> tuple[NDArray[np.float64] | None, str | None]:
    """Return the influence (N, M) over the checkpoints, or why it is not known."""
    from medvision.explain.influence import compute_influence
    from medvision.learn.losses import compute_losses

    if loss is None:
        return None, "no checkpoints were kept: train.keep_checkpoints, or too few epochs"
    known = loss
    layers = []
    for moment in moments:
        layer, _, error = network.read(moment.path, rate=moment.learning_rate)
        if error > _TOLERANCE:
            return None, "the network's last layer is not linear in its features"
        layers.append(layer)

    def sum_losses(logits: "Tensor", labels: "Tensor") -> "Tensor":
        return compute_losses(logits, labels, known).sum()

    train, cases = (
        network.encode(network.fold.train, scale),
        network.encode(network.fold.cases, scale),
    )
    return compute_influence(layers, train_labels=train, case_labels=cases, loss=sum_losses), None


def _list_rows(
    image_id: str, ranked: Sequence[Ranked], *, train: Sequence[Assignment], n_checkpoints: int
) -> list[dict[str, Cell]]:
    """Return the rows of one explained image."""
    return [
        {
            "image_id": image_id,
            "kind": own.kind,
            "rank": own.rank,
            "train_image_id": train[own.position].image_id,
            "train_subject": train[own.position].subject,
            "train_label": train[own.position].label,
            "score": float(f"{own.score:.9g}"),
            "n_checkpoints": 0 if own.kind == "nearest" else n_checkpoints,
        }
        for own in ranked
    ]
