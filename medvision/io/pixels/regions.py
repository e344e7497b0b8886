"""Identifying text in pixels: which images risk it, and rules that blank its places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import yaml

from medvision.domain.study import Instance
from medvision.domain.volume import NumberGrid
from medvision.errors import ConfigError, DataError
from medvision.io.reasons import RefusalError

Region = tuple[int, int, int, int]
"""(row, column, height, width) in pixels; row and column of the first pixel, from 0."""

BLANKED = "regions-blanked"
_RISKS = ("burned-in-annotation", "burned-in-risk")
_TEXTS = ("modality", "manufacturer", "sop_class")
_SIZES = ("rows", "columns")
_MAX_BYTES = 1 << 20
_HINT = "see docs/how-to/burned-in-text.md for the form of the rules."


@dataclass(frozen=True)
class RegionRule:
    """Where images of one kind have text; what is None matches all.

    Args:
        regions: At least one.
        modality: Such as US.
        manufacturer: Controlled name such as GE.
        sop_class: UID.
        rows: Pixels along a column.
        columns: Pixels along a row.
    """

    regions: tuple[Region, ...]
    modality: str | None = None
    manufacturer: str | None = None
    sop_class: str | None = None
    rows: int | None = None
    columns: int | None = None

    def matches(self, instance: Instance) -> bool:
        """Say whether an instance is of the rule's kind."""
        return all(
            wanted is None or str(wanted).casefold() == str(getattr(instance, name)).casefold()
            for name in (*_TEXTS, *_SIZES)
            for wanted in (getattr(self, name),)
        )


def read_rules(path: Path) -> tuple[RegionRule, ...]:
    """Read the rules by which regions are blanked.

    The file is a YAML list; each rule has `match` (one or more of modality, manufacturer,
    sop_class, rows, columns) and `regions` (a list of [row, column, height, width]).

    Args:
        path: The file, of at most 1 MB.

    Raises:
        DataError: The file cannot be read.
        ConfigError: The file is no such list; the message says which rule breaks what.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path}: rules must have 1 MB at most, got more.", _HINT)
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path}: region rules must be readable, got {type(error).__name__}.",
            "check ingest.blank_regions.",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: rules must be YAML, got {type(error).__name__}.", _HINT
        ) from error
    if not isinstance(content, list) or not content:
        raise ConfigError(f"{path}: rules must be a list, got {_name(content)}.", _HINT)
    return tuple(
        _read_rule(rule, where=f"{path}: rule {number}") for number, rule in enumerate(content, 1)
    )


def _name(value: object) -> str:
    """Describe a value of the wrong kind."""
    return "nothing" if value in (None, [], {}) else f"{type(value).__name__} {str(value)[:60]!r}"


def _read_rule(rule: object, *, where: str) -> RegionRule:
    """Check one rule."""
    if not isinstance(rule, Mapping) or set(rule) != {"match", "regions"}:
        raise ConfigError(f"{where}: must have match and regions, got {_name(rule)}.", _HINT)
    match, regions = rule["match"], rule["regions"]
    if not isinstance(match, Mapping) or not match:
        raise ConfigError(f"{where}: match must name an attribute, got {_name(match)}.", _HINT)
    unknown = sorted(str(key) for key in set(match) - {*_TEXTS, *_SIZES})
    if unknown:
        raise ConfigError(
            f"{where}: match must be of {', '.join((*_TEXTS, *_SIZES))}, got {unknown[0]}.", _HINT
        )
    for name in _SIZES:
        if name in match and not _is_count(match[name], least=1):
            raise ConfigError(f"{where}: {name} must be above 0, got {match[name]!r}.", _HINT)
    for name in _TEXTS:
        if name in match and not (isinstance(match[name], str) and match[name]):
            raise ConfigError(f"{where}: {name} must be a text, got {match[name]!r}.", _HINT)
    if not isinstance(regions, Sequence) or isinstance(regions, str) or not regions:
        raise ConfigError(f"{where}: regions must be a list, got {_name(regions)}.", _HINT)
    return RegionRule(tuple(_read_region(region, where=where) for region in regions), **match)


def _read_region(region: object, *, where: str) -> Region:
    """Check one region."""
    if isinstance(region, list) and len(region) == 4:
        row, column, height, width = region
        starts = all(_is_count(value, least=0) for value in (row, column))
        if starts and all(_is_count(value, least=1) for value in (height, width)):
            return row, column, height, width
    raise ConfigError(
        f"{where}: region must be [row, column, height, width] from 0 on, got {_name(region)}.",
        _HINT,
    )


def _is_count(value: object, *, least: int) -> bool:
    """Say whether a value is a whole number of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def find_regions(rules: Sequence[RegionRule], instance: Instance) -> tuple[Region, ...]:
    """Return the regions of all rules that match an instance, each once."""
    found = [region for rule in rules if rule.matches(instance) for region in rule.regions]
    return tuple(dict.fromkeys(found))


def blank(values: NumberGrid, regions: Sequence[Region]) -> NumberGrid:
    """Fill regions with the least value of the image.

    Args:
        values: (I, J, ...): columns first, rows second, then slices, volumes and colours.
        regions: Where; the same on every plane.

    Returns:
        A new array.

    Raises:
        RefusalError: `burned-in-risk`: a region does not lie within the image, so that the rule
            is not one for it.
    """
    n_columns, n_rows = values.shape[:2]
    blanked = values.copy(order="K")
    least = np.nanmin(values)
    for row, column, height, width in regions:
        if row + height > n_rows or column + width > n_columns:
            raise RefusalError(
                "burned-in-risk",
                f"blanked region must lie within {n_rows} rows and {n_columns} columns, "
                f"got {row + height} and {column + width}",
            )
        blanked[column : column + width, row : row + height] = least
    return blanked


def check_burned_in(
    instance: Instance, *, burned_in: Literal["refuse", "flag"], is_blanked: bool
) -> tuple[str, ...]:
    """Decide on an image that may have identifying text in its pixels.

    Args:
        instance: Its flags tell the risk: burned-in-annotation where the header says so,
            burned-in-risk where the kind of image makes it likely.
        burned_in: What to do with it.
        is_blanked: A rule blanks regions of it.

    Returns:
        Codes to flag: regions-blanked where a rule applies, else the risks.

    Raises:
        RefusalError: `burned-in-annotation` or `burned-in-risk`.
    """
    risks = tuple(code for code in _RISKS if code in instance.flags)
    if is_blanked:
        return (*risks, BLANKED)
    if not risks or burned_in == "flag":
        return risks
    if risks[0] == "burned-in-annotation":
        raise RefusalError(risks[0], "BurnedInAnnotation must be NO, got YES")
    raise RefusalError(
        "burned-in-risk",
        f"BurnedInAnnotation must be NO for this kind of image ({instance.modality}), got none",
    )
