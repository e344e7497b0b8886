"""Explained images beside the train images of their networks: the nearest, and the influential."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medvision.cli._checkpoints import Moment, read_checkpoints
from medvision.cli._learning import LearningData
from medvision.cli._novelty import TRAIN, pass_images
from medvision.cli._run import Step
from medvision.domain.influence import Ranked, rank_train
from medvision.domain.novelty import build_reference, choose_reference, compute_gaps
from medvision.domain.record import JsonValue
from medvision.domain.split import Assignment
from medvision.io.tables import Cell
from medvision.runtime.progress import track

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor, nn

    from medvision.explain.influence import LastLayer
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

_Features = NDArray[np.float32]
_Place = tuple[str, int, int]


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


@dataclass(frozen=True)
class _Fold:
    """A fold's explained images and the train images that they are held against."""

    train: Sequence[Assignment]
    cases: Sequence[Assignment]
    n_train: int


def find_influences(
    step: Step, data: LearningData, places: dict[str, _Place], *, device: "torch.device"
) -> Influences:
    """Look among each network's own train images, and nowhere else.

    Args:
        step: The running step; checkpoints that are read are registered with it.
        data: Images and folds.
        places: Explained image to (arm, fold, seed) of the network that explains it.
        device: Where to compute.

    Returns:
        Rows by image in the order of `places`, kind and rank.
    """
    section = step.study.explain
    if not section.influence:
        return Influences()
    rows: dict[str, list[dict[str, Cell]]] = {}
    networks: list[JsonValue] = []
    held = sorted(set(places.values()))
    for place in track(held, "looking for influential train images", total=len(held)):
        names = {name for name, own in places.items() if own == place}
        fold = _gather(data, place, names=names, n_most=section.influence_images)
        if not fold.train:
            continue
        found, facts = _ask_network(step, data, fold, place=place, device=device)
        rows |= found
        networks.append(facts)
    return Influences([row for name in places for row in rows.get(name, [])], networks)


def _gather(data: LearningData, place: _Place, *, names: set[str], n_most: int) -> _Fold:
    """Return a fold's train images, all or evenly among them, and the explained ones."""
    train = data.select(place[1], TRAIN)
    chosen = [train[n] for n in choose_reference(len(train), n_most=n_most)]
    cases = [item for item in data.select(place[1], "test") if item.image_id in names]
    return _Fold(chosen, cases, len(train))


def _ask_network(
    step: Step, data: LearningData, fold: _Fold, *, place: _Place, device: "torch.device"
) -> tuple[dict[str, list[dict[str, Cell]]], JsonValue]:
    """Return one network's rows by image, and what is said of it."""
    arm, number, seed = place
    network = _Pupil(data, fold, device)
    last, scale, _ = network.read(step.read(step.layout.model(arm, number, seed=seed)), rate=0.0)
    reference = build_reference(last.train, n_neighbours=1)
    distances = list(compute_gaps(reference, last.cases))
    moments, loss = read_checkpoints(step, step.layout.seed(arm, number, seed=seed))
    influence, reason = _trace(network, moments, loss=loss, scale=scale)
    n_most = step.study.explain.influence
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


def _trace(
    network: "_Pupil", moments: Sequence[Moment], *, loss: "Loss | None", scale: "_Scale"
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


_Scale = tuple[float, float] | None


@dataclass(frozen=True)
class _Pupil:
    """A training whose checkpoints are all shown the same images."""

    data: LearningData
    fold: _Fold
    device: "torch.device"

    def read(self, path: "Path", *, rate: float) -> "tuple[LastLayer, _Scale, float]":
        """Return a checkpoint's last layer, the scale of its values, and how far off linear it is.

        The last is the largest difference of its logits from those of the last layer on its
        features, as a share of the largest logit.
        """
        from medvision.explain.influence import LastLayer
        from medvision.learn.backbones import build_backbone, head_names
        from medvision.runtime.checkpoint import load_model

        model, meta = load_model(path, build=build_backbone)
        head = head_names(meta.backbone)[0]
        weight, bias = read_head(model, head)
        logits, train = self._show(model, self.fold.train, head=head)
        _, cases = self._show(model, self.fold.cases, head=head)
        linear = train.astype(np.float64) @ weight.T + bias
        error = np.abs(logits - linear).max() / max(1.0, float(np.abs(logits).max()))
        return LastLayer(weight, bias, rate, train, cases), meta.scale, float(error)

    def _show(
        self, model: "nn.Module", chosen: Sequence[Assignment], *, head: str
    ) -> tuple[_Features, _Features]:
        """Return logits (n, C) and features (n, P) of some images."""
        logits, features = pass_images(
            model,
            self.data,
            chosen,
            device=self.device,
            views=[lambda batch: batch],
            head=head,
        )
        return logits[0], np.empty((len(chosen), 0), np.float32) if features is None else features

    def encode(self, chosen: Sequence[Assignment], scale: _Scale) -> "Tensor":
        """Return labels as the loss takes them."""
        import torch

        from medvision.learn.tasks import standardise

        labels = torch.from_numpy(standardise(self.data.examples(chosen), scale).labels)
        return labels.double() if labels.is_floating_point() else labels


def read_head(model: "nn.Module", head: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read weight (C, P) and bias (C,) of the last layer, a convolution of one voxel too.

    Args:
        model: Network.
        head: Dotted name of the layer.
    """
    tensors = model.get_submodule(head).state_dict()
    weight = tensors["weight"].double().cpu().flatten(1).numpy()
    bias = tensors["bias"].double().cpu().numpy() if "bias" in tensors else np.zeros(len(weight))
    return weight, bias


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
