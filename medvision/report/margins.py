"""How each method fares beside the edge map, a centre prior and chance: told, and not judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from medvision.report.numbers import as_number
from medvision.report.sources import JsonObject, Sources
from medvision.report.words import CHECKS, METHODS, is_control, say

UNITS: Mapping[str, tuple[str, str]] = {
    "deletion": ("share of random orders beaten", "logit"),
    "insertion": ("share of random orders beaten", "logit"),
    "pointing": ("mm from the lesion", "mm"),
}
"""Check to what its figure counts, and the unit of its margin; other figures are shares."""


@dataclass(frozen=True)
class MarginRow:
    """One method under one check: mean over images, beside those of what knows less.

    Args:
        check: Its code.
        check_words: Its name.
        method: Its code.
        words: Its name.
        unit: What the figures count; "" of a share.
        n: Images.
        statistic: Mean figure of the method.
        low: Lower end of its interval; None of fewer than two images.
        high: Upper end.
        chance: Mean figure expected by chance; None where there is none, as of the next two.
        edge_map: Mean figure of the edge map.
        centre_prior: Mean figure of the middle of the image.
        margin: Mean margin over the edge map, above 0 where the method is better.
        margin_low: Lower end of its interval.
        margin_high: Upper end.
        margin_unit: Its unit; "" of a share.
    """

    check: str
    check_words: str
    method: str
    words: str
    unit: str
    n: int
    statistic: float | None
    low: float | None
    high: float | None
    chance: float | None
    edge_map: float | None
    centre_prior: float | None
    margin: float | None
    margin_low: float | None
    margin_high: float | None
    margin_unit: str


def build_margins(sources: Sources) -> tuple[MarginRow, ...]:
    """Gather the margins of all methods; controls have their own rows elsewhere.

    Args:
        sources: The document `explain_summary`.

    Returns:
        Check by check, methods in the order of the summary.
    """
    methods = cast(Mapping[str, JsonObject], sources.document("explain_summary").get("methods", {}))
    rows = [
        _build_row(check, method, cast(JsonObject, values))
        for method, held in methods.items()
        if not is_control(method)
        for check, values in cast(JsonObject, held.get("margins") or {}).items()
    ]
    order = list(dict.fromkeys(row.check for row in rows))
    return tuple(sorted(rows, key=lambda row: order.index(row.check)))


def _build_row(check: str, method: str, values: JsonObject) -> MarginRow:
    """Return one method under one check."""
    unit, margin_unit = UNITS.get(check, ("", ""))
    if check == "pointing":
        # Chance is there the share of places that are in the lesion, and no distance.
        values = {**values, "chance": None}
    return MarginRow(
        check=check,
        check_words=say(check, CHECKS),
        method=method,
        words=say(method, METHODS),
        unit=unit,
        n=int(cast(int, values["n"])),
        **_read(values, ("statistic", "low", "high", "chance", "edge_map", "centre_prior")),
        margin=as_number(values["edge_margin"]),
        margin_low=as_number(values["edge_margin_low"]),
        margin_high=as_number(values["edge_margin_high"]),
        margin_unit=margin_unit,
    )


def _read(values: JsonObject, names: Sequence[str]) -> dict[str, float | None]:
    """Return some figures by their names."""
    return {name: as_number(values[name]) for name in names}
