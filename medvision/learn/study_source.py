"""Another study's sealed model as a source like any other, described by its own header."""

import re
from dataclasses import asdict
from pathlib import Path

import yaml

from medvision.errors import WeightsError
from medvision.learn.registry import Input, Source
from medvision.learn.shelf import Receipt, judge_digest, place_file
from medvision.learn.weights_path import SAFE_SUFFIX, check_kind, find_weights
from medvision.runtime.checkpoint import parse_meta, read_header
from medvision.runtime.files import hash_file, write_text

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_RESERVED = ("none", "pretrain")


def add_study(name: str, path: Path, shelf: Path, *, pin: str | None) -> tuple[Source, Receipt]:
    """Place a model that this package trained on the shelf, with a description made of its header.

    Args:
        name: Name of the new source: small letters, digits, dot, dash, underscore.
        path: Another study's output folder, or its model.safetensors.
        shelf: Folder of the weights.
        pin: Digest that the user gave, or None.

    Returns:
        (source, receipt).

    Raises:
        WeightsError: The name is not one, or the file is no model of this package.
        StorageError: The shelf cannot be written, or its disk is full.
    """
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise WeightsError(
            f"weights: name must be of small letters, digits, dot, dash or underscore, got {name}."
        )
    file = find_weights(path)
    source = _describe(name, file, shelf=shelf)
    judge_digest(source, str(source.sha256), pin=pin)
    receipt = place_file(source, file, shelf, pin=pin)
    held = {key: value for key, value in asdict(source).items() if key != "name"}
    write_text(shelf / f"{name}.yaml", yaml.safe_dump(_as_lists(held), sort_keys=False))
    return source, receipt


def _describe(name: str, file: Path, *, shelf: Path) -> Source:
    """Make the description of a model of this package."""
    if check_kind(file) != SAFE_SUFFIX:
        raise WeightsError(
            f"weights: name must be one of `medvision weights list`, got {name} for a file that "
            f"says nothing of itself.",
            f"describe it in {shelf / f'{name}.yaml'}, as those that `weights show` prints.",
        )
    meta = parse_meta(read_header(file), where=file.name)
    return Source(
        name=name,
        title=f"model of another study, medvision {meta.medvision_version}",
        backbone=meta.backbone,
        dimensions=meta.spatial_dims,
        layout="medvision",
        file="model.safetensors",
        url=None,
        sha256=hash_file(file),
        sha256_prefix=None,
        licence=None,
        citation=None,
        input=Input(channels=meta.channels, scaling=None),
        norm=meta.form.norm,
        head=", ".join(meta.classes),
        notes="How images enter is in the file's own header.",
        facts="the file's own header",
    )


def _as_lists(value: object) -> object:
    """Return tuples as lists, since YAML knows no tuples."""
    if isinstance(value, dict):
        return {key: _as_lists(held) for key, held in value.items()}
    return [*value] if isinstance(value, tuple) else value
