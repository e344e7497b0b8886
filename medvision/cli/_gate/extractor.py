"""The fixed network of the gate: weights that the configuration names, or random ones."""

from pathlib import Path
from typing import TYPE_CHECKING

from medvision.cli._run import Step
from medvision.cli._training.learning import LearningData
from medvision.cli._training.starting import find_form
from medvision.errors import ConfigError, WeightsError
from medvision.learn.registry import Source, find_shelf
from medvision.learn.weights_path import SAFE_SUFFIX, check_kind, resolve_weights
from medvision.runtime.seeds import derive_seed

if TYPE_CHECKING:
    from medvision.learn.extractor import Extractor

_FIELD = "gate.extractor"


def open_extractor(step: Step, data: LearningData) -> "Extractor":
    """Build the network whose features no image of the study has shaped.

    Args:
        step: The running step; a file of weights is registered with it.
        data: Says what images enter.

    Raises:
        ConfigError: Weights are named and the images are volumes, or do not fit the weights.
        WeightsError: The file is missing, of an unknown network, or does not fit it.
    """
    from medvision.learn.extractor import build_random

    section, store = step.study.gate, data.store
    if section.extractor == "none":
        seed = derive_seed("gate-extractor", section.seed)
        return build_random(spatial_dims=store.spatial_dims, channels=data.channels, seed=seed)
    if store.spatial_dims != 2:
        raise ConfigError(
            f"{_FIELD}: value must be none for volumes, got {section.extractor}.",
            "published networks see images; for volumes a network with random weights serves.",
        )
    try:
        extractor = _load(step, data, weights=section.extractor)
    except (ConfigError, WeightsError) as error:
        # What finds and reads weights speaks of the study's own network.
        message, hint = (
            text.replace("model.weights", _FIELD) for text in (error.message, error.hint)
        )
        raise type(error)(message, hint) from error
    _check_size(extractor, data)
    return extractor


def _check_size(extractor: "Extractor", data: LearningData) -> None:
    """Refuse images that the network makes vanish, before a training is spent."""
    import torch

    shape = data.store.array.shape[1:]
    try:
        with torch.no_grad():
            extractor.model(torch.zeros(1, *shape))
    except RuntimeError as error:
        found = "x".join(map(str, shape[1:]))
        raise ConfigError(
            f"{_FIELD}: images must be large enough for {extractor.name}, got {found}.",
            "set gate.extractor to none, or preprocess.size to more.",
        ) from error


def _load(step: Step, data: LearningData, *, weights: str) -> "Extractor":
    """Load the network that the weights are of."""
    from medvision.learn.extractor import build_pretrained
    from medvision.learn.sources import read_weights

    path, source = resolve_weights(weights, find_shelf())
    backbone = _name_backbone(path, source)
    step.source("extractor", path)
    return build_pretrained(
        backbone,
        read_weights(path),
        form=find_form(step, data, path=path, source=source),
        channels=data.channels,
        name=f"{backbone} with the weights {source.name if source else 'of a file'}",
    )


def _name_backbone(path: Path, source: Source | None) -> str:
    """Tell which network a file's weights are of."""
    from medvision.runtime.checkpoint import parse_meta, read_header

    if source is not None and source.backbone is not None:
        return source.backbone
    if check_kind(path) == SAFE_SUFFIX:
        return parse_meta(read_header(path), where=path.name).backbone
    raise WeightsError(
        f"{_FIELD}: weights must be of a known network, got {path.name}.",
        "describe the file on the shelf (`medvision weights show NAME` shows how one is "
        "described), or set gate.extractor to none.",
    )
