"""Sources of starting weights, each described once in a small file; read without torch."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from medvision.errors import WeightsError

CATALOGUE = Path(__file__).parent / "catalogue"
"""The descriptions that come with the package."""

SHELF_VARIABLE = "MEDVISION_WEIGHTS"

Scaling = Literal["range", "zscore"]


@dataclass(frozen=True)
class Input:
    """What a network was given when it was trained.

    Args:
        channels: Channels of its images.
        scaling: range, where intensities were brought to fixed bounds; zscore, where each image was
            brought to mean 0 and deviation 1; None where that is not known.
        range: Bounds of the intensities before mean and deviation, for range.
        mean: Per channel, taken from the intensities; None for none.
        sd: Per channel, divided by; None for none.
    """

    channels: int
    scaling: Scaling | None
    range: tuple[float, float] | None = None
    mean: tuple[float, ...] | None = None
    sd: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Source:
    """One file of starting weights; what is not known is None.

    Args:
        name: What `model.weights` says.
        title: One line for people.
        backbone: Network that it fits.
        dimensions: 2 or 3, of its kernels.
        layout: Whose names its tensors have.
        file: Name of the file.
        url: Where it is published.
        sha256: Published digest of the file.
        sha256_prefix: Its first digits, where only these are published.
        licence: Under which it is published.
        citation: What to cite.
        input: What the network expects.
        norm: folded, where BatchNorm was folded into scales.
        head: What its last layer told apart; that layer is never taken over.
        notes: What else must be known, or is not known.
        facts: Where the above is said.
    """

    name: str
    title: str
    backbone: str | None
    dimensions: int
    layout: str
    file: str
    url: str | None
    sha256: str | None
    sha256_prefix: str | None
    licence: str | None
    citation: str | None
    input: Input
    norm: Literal["usual", "folded"]
    head: str | None
    notes: str | None
    facts: str | None


def find_shelf(environment: Mapping[str, str] | None = None) -> Path:
    """Return the folder where weights files are kept.

    Args:
        environment: Variables to look in; the process's own when omitted.

    Returns:
        What `MEDVISION_WEIGHTS` names, else `medvision/weights` in the user's data folder.
    """
    held = os.environ if environment is None else environment
    if held.get(SHELF_VARIABLE):
        return Path(held[SHELF_VARIABLE]).expanduser()
    data = held.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "medvision" / "weights"


def read_sources(shelf: Path) -> dict[str, Source]:
    """Read all descriptions: the package's, then those on the shelf, which come before them.

    Args:
        shelf: Folder of the weights; its `*.yaml` and `*.json` are descriptions.

    Returns:
        Name to source, by name.

    Raises:
        WeightsError: A description cannot be read, or breaks a rule.
    """
    paths = [*CATALOGUE.glob("*.yaml"), *shelf.glob("*.yaml"), *shelf.glob("*.json")]
    sources = {source.name: source for source in (read_source(path) for path in paths)}
    return dict(sorted(sources.items()))


def get_source(name: str, shelf: Path) -> Source:
    """Return one source.

    Raises:
        WeightsError: There is none of this name.
    """
    sources = read_sources(shelf)
    if name in sources:
        return sources[name]
    raise WeightsError(
        f"weights: name must be one of {', '.join(sources)}, got {name}.",
        "`medvision weights list` shows them; a file of your own is named by its path.",
    )


def read_source(path: Path) -> Source:
    """Read one description.

    Raises:
        WeightsError: It cannot be read, lacks a key, or has one too many.
    """
    try:
        held = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _parse(held, name=path.stem)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, ValueError) as error:
        fault = " ".join(str(error).split())
        raise WeightsError(
            f"{path.name}: description must be of one source of weights, got {fault}.",
            f"compare with the descriptions in {CATALOGUE}.",
        ) from error


def _parse(held: object, *, name: str) -> Source:
    """Turn plain values into a source, strictly: a misspelt key would be lost in silence."""
    if not isinstance(held, dict):
        raise TypeError("no keys")
    values = cast(dict[str, object], held)
    wanted = {field.name for field in fields(Source)} - {"name"}
    if values.keys() != wanted:
        odd = sorted(map(str, values.keys() ^ wanted))
        raise ValueError(f"keys missing or unknown: {', '.join(odd)}")
    expected = _parse_input(values["input"])
    source = Source(**cast(dict[str, Any], {**values, "name": name, "input": expected}))
    _check(source)
    return source


def _parse_input(held: object) -> Input:
    """Turn plain values into an expected input."""
    if not isinstance(held, dict):
        raise TypeError("no keys below input")
    values = {
        key: tuple(map(float, value)) if isinstance(value, list) else value
        for key, value in held.items()
    }
    return Input(**cast(dict[str, Any], values))


def _check(source: Source) -> None:
    """Refuse values that would be taken for something else later."""
    expected = source.input
    rules = {
        "dimensions must be 2 or 3": source.dimensions in (2, 3),
        "file must be a plain name": Path(source.file).name == source.file,
        "norm must be usual or folded": source.norm in ("usual", "folded"),
        "sha256 must be 64 digits": source.sha256 is None or _is_hex(source.sha256, 64),
        "scaling must be range, zscore or null": expected.scaling in ("range", "zscore", None),
        "range must rise": expected.range is None or expected.range[0] < expected.range[1],
        "range must be given for scaling range": expected.scaling != "range" or expected.range,
        "mean and sd must be one per channel": _are_per_channel(
            (expected.mean, expected.sd), expected.channels
        ),
        "sd must be > 0": expected.sd is None or min(expected.sd) > 0,
    }
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        raise ValueError("; ".join(broken))


def _is_hex(text: object, length: int) -> bool:
    """Tell whether a text is a digest of this length."""
    return isinstance(text, str) and len(text) == length and set(text) <= set("0123456789abcdef")


def _are_per_channel(values: Sequence[tuple[float, ...] | None], channels: int) -> bool:
    """Tell whether each of these is absent or has one number per channel."""
    return all(held is None or len(held) == channels for held in values)
