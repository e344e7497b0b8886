"""Drawn images held against real ones: features and pictures read, and the gate's verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medvision.cli._novelty import pass_images
from medvision.cli._synthetic.mix import Drawn, mix_images
from medvision.cli._training.fitting import Job, Trained
from medvision.cli._training.learning import LearningData
from medvision.config.gate import GateSection
from medvision.domain.geometry import compute_spacing_mm
from medvision.domain.likeness.thumbnail import build_thumbnail
from medvision.domain.split import Assignment
from medvision.domain.synthesis.alterations import pool_images
from medvision.domain.synthesis.criterion import Verdict
from medvision.domain.synthesis.fidelity import Agreement
from medvision.domain.synthesis.gate import Pictures, judge_generator
from medvision.domain.synthesis.sample import Rules, Sample, Space

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from medvision.domain.synthesis.alterations import Images
    from medvision.learn.extractor import Extractor

BACKBONE, FIXED = "backbone", "fixed"
_AT_ONCE = 64
"""Images read before they are made small."""


@dataclass(frozen=True)
class Judged:
    """What was said of drawn images, and by which networks.

    Args:
        verdict: Criteria, images refused one by one, open or shut.
        networks: Of each space the network: `backbone` is also the classifier.
    """

    verdict: Verdict
    networks: Mapping[str, "Extractor"]


@dataclass(frozen=True)
class _Sides:
    """Who is compared, by position in one order.

    Args:
        data: The study's images with the drawn ones.
        sides: Train, validation and synthetic images.
        groups: Subject to what is dealt as one.
        device: Where to compute.
    """

    data: LearningData
    sides: tuple[list[Assignment], list[Assignment], list[Assignment]]
    groups: Mapping[str, str]
    device: "torch.device"


def describe_rules(section: GateSection) -> Rules:
    """Return how the gate judges, of the configuration's values.

    Args:
        section: Of the gate.
    """
    return Rules(
        n_repeats=section.repeats,
        level=section.level,
        confidence=section.confidence,
        n_neighbours=section.neighbours,
        similarity=section.similarity,
        seed=section.seed,
    )


def judge_drawn(
    job: Job, plain: Trained, drawn: Drawn, *, extractor: "Extractor", groups: Mapping[str, str]
) -> Judged:
    """Ask every criterion of the gate that needs no further training.

    Args:
        job: The fold, whose train images are those that the generator has learnt from.
        plain: The network that `fit_seed` trained on them, real images alone.
        drawn: The images to be judged, at least one.
        extractor: The fixed network of `open_extractor`.
        groups: Subject to the group of subjects that are one, where it is not itself.

    Raises:
        DataError: Features are not finite, or there are no drawn images.
    """
    from medvision.learn.extractor import make_extractor

    plain.model.load_state_dict(plain.fit.tensors)
    backbone = job.settings.model.backbone
    name = f"{backbone}, trained on the fold's real images alone"
    own = make_extractor(plain.model, backbone=backbone, name=name)
    data = mix_images(job.data, drawn, fold=job.fold)
    held = job.data
    sides = (
        held.select(job.fold, "train"),
        held.select(job.fold, "validation"),
        list(data.assignments[len(held.assignments) :]),
    )
    # With drawn images behind them, the study's own rows are where they were.
    compared = _Sides(data, sides, groups, job.device)
    trained, logits = _read_space(compared, own, name=BACKBONE)
    fixed, _ = _read_space(compared, extractor, name=FIXED)
    found = [logit.argmax(axis=1).astype(np.intp) for logit in logits]
    agreement = Agreement(
        f"{own.name} (sha256 {own.digest[:12]})",
        found[1],
        trained.validation.labels,
        trained.validation.clusters,
        found[2],
        trained.synthetic.labels,
    )
    verdict = judge_generator(
        (trained, fixed),
        _read_pictures(compared),
        agreement=agreement,
        classes=data.classes,
        rules=describe_rules(job.step.study.gate),
    )
    return Judged(verdict, {BACKBONE: own, FIXED: extractor})


def _read_space(
    compared: _Sides, network: "Extractor", *, name: str
) -> "tuple[Space, list[NDArray[np.float32]]]":
    """Return all images in the features of one network, and its logits of each side."""
    held = [_pass(compared, network, chosen) for chosen in compared.sides]
    width = held[0][1].shape[1]
    samples = [
        Sample(
            features.reshape(-1, width).astype(np.float64),
            np.array([compared.data.classes.index(item.label) for item in chosen], dtype=np.intp),
            _number(compared, chosen),
        )
        for (_, features), chosen in zip(held, compared.sides, strict=True)
    ]
    source = f"{network.name}, sha256 {network.digest}"
    space = Space(name, source, name == BACKBONE, *samples)
    return space, [logits for logits, _ in held]


def _pass(
    compared: _Sides, network: "Extractor", chosen: Sequence[Assignment]
) -> "tuple[NDArray[np.float32], NDArray[np.float32]]":
    """Return (logits, features) of some images; none of no images."""
    n_classes = len(compared.data.classes)
    if not chosen:
        return np.empty((0, n_classes), np.float32), np.empty((0, 0), np.float32)
    logits, features = pass_images(
        network.model,
        compared.data,
        chosen,
        device=compared.device,
        views=[lambda batch: batch],
        head=network.head,
    )
    # Never None where a head is named.
    return logits[0], np.asarray(features, dtype=np.float32)


def _number(compared: _Sides, chosen: Sequence[Assignment]) -> "NDArray[np.intp]":
    """Return whom each image is of, as numbers; a synthetic image is a subject of its own."""
    names = [compared.groups.get(item.subject) or item.subject for item in chosen]
    _, index = np.unique(names, return_inverse=True)
    return index.reshape(-1).astype(np.intp)


def _read_pictures(compared: _Sides) -> Pictures:
    """Read the images themselves, made small as they are compared, and their thumbnails."""
    store = compared.data.store
    first = compared.sides[0][0].image_id
    spacing = compute_spacing_mm(store.tensor_affine(first))
    train, validation, made = (_read_small(compared, chosen, spacing) for chosen in compared.sides)
    return Pictures(train[0], validation[0], made[0], train[1], made[1])


def _read_small(
    compared: _Sides, chosen: Sequence[Assignment], spacing_mm: tuple[float, float, float]
) -> "tuple[Images, NDArray[np.uint8]]":
    """Return images made small, and thumbnails of the mean of their channels."""
    store, rows = compared.data.store, compared.data.store.rows()
    own = [rows[item.image_id] for item in chosen]
    small, thumbnails = [], []
    for start in range(0, len(own), _AT_ONCE):
        held = store.array.read_rows(own[start : start + _AT_ONCE])
        small.append(pool_images(held))
        for image in held.mean(axis=1):
            grid = image[..., None] if store.spatial_dims == 2 else image
            thumbnails.append(build_thumbnail(grid, spacing_mm=spacing_mm))
    if not own:
        empty = pool_images(np.zeros((1, *store.array.shape[1:]), np.float32))[:0]
        return empty, np.empty((0,), np.uint8)
    return np.concatenate(small), np.stack(thumbnails)
