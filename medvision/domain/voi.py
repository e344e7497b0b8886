"""How a header asks for values to be shown: a window, or a table of values of interest (VOI)."""

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from medvision.domain.record import JsonValue
from medvision.errors import DataError

Values = NDArray[np.generic]
"""Modality values of any shape."""

TABLE = "TABLE"
"""Stands where a window names its function: entries are looked up instead."""


@dataclass(frozen=True)
class Voi:
    """What turns modality values into the range that is shown.

    Args:
        function: LINEAR, LINEAR_EXACT, SIGMOID, or TABLE.
        centre: Modality value in the middle of a window.
        width: Extent of a window in modality values.
        first: Modality value of a table's first entry.
        bits: Bits of an entry, 1 to 16: 2**bits - 1 is shown white.
        entries: A table's entries, little endian words of 16 bits.

    Source:
        PS3.3 C.11.2.
    """

    function: str
    centre: float = 0.0
    width: float = 1.0
    first: int = 0
    bits: int = 16
    entries: bytes = b""

    def __str__(self) -> str:
        """Return a few words for a table cell."""
        if self.function == TABLE:
            return f"TABLE {len(self.entries) // 2} entries of {self.bits} bits from {self.first}"
        return f"{self.function} {self.centre:.9g} {self.width:.9g}"


def check_voi(voi: Voi) -> None:
    """Refuse a window or a table that has no meaning.

    Raises:
        DataError: The function is unknown, the width too small, or the table empty.

    Source:
        PS3.3 C.11.2.1.2.1 (a width of at least 1) and C.11.2.1.3 (a width above 0).
    """
    if voi.function not in _FUNCTIONS:
        known = ", ".join(_FUNCTIONS)
        raise DataError(f"voi: function must be one of {known}, got another.")
    if voi.function == TABLE:
        if not voi.entries or len(voi.entries) % 2 or not 1 <= voi.bits <= 16:
            raise DataError(f"voi: table must have entries of 1 to 16 bits, got {voi}.")
        return
    is_wide = voi.width >= 1 if voi.function == "LINEAR" else voi.width > 0
    if not (is_wide and math.isfinite(voi.width) and math.isfinite(voi.centre)):
        rule = "at least 1" if voi.function == "LINEAR" else "above 0"
        raise DataError(f"voi: width of {voi.function} must be {rule}, got {voi.width:.9g}.")


def apply_voi(values: Values, voi: Voi) -> NDArray[np.float32]:
    """Show modality values: 0 is black, 1 is white.

    Args:
        values: Any shape; not changed. For a table they are rounded to whole numbers.
        voi: One that `check_voi` lets pass.

    Returns:
        Same shape, float32, within [0, 1].

    Source:
        PS3.3 C.11.2.1.2 and C.11.2.1.3.
    """
    shown: NDArray[np.float32] = _FUNCTIONS[voi.function](values.astype(np.float64), voi).astype(
        np.float32
    )
    return shown


def encode_voi(voi: Voi) -> dict[str, JsonValue]:
    """Return a window or a table as plain JSON types; entries are base64."""
    if voi.function == TABLE:
        entries = base64.b64encode(voi.entries).decode()
        return {"Function": TABLE, "First": voi.first, "Bits": voi.bits, "Entries": entries}
    return {"Function": voi.function, "Centre": voi.centre, "Width": voi.width}


def decode_voi(value: JsonValue) -> Voi:
    """Return what `encode_voi` wrote.

    Raises:
        DataError: The value is of another form, or has no meaning.
    """
    try:
        held = cast("Mapping[str, JsonValue]", value)
        if held["Function"] == TABLE:
            entries = base64.b64decode(str(held["Entries"]), validate=True)
            first, bits = cast(int, held["First"]), cast(int, held["Bits"])
            voi = Voi(TABLE, first=int(first), bits=int(bits), entries=entries)
        else:
            centre, width = cast(float, held["Centre"]), cast(float, held["Width"])
            voi = Voi(str(held["Function"]), centre=float(centre), width=float(width))
    except (TypeError, KeyError, ValueError, binascii.Error) as error:
        raise DataError(f"voi: entry must be a window or a table, got {error!r}.") from error
    check_voi(voi)
    return voi


def _show_linear(values: NDArray[np.float64], voi: Voi) -> NDArray[np.float64]:
    """C.11.2.1.2.1: whole numbers, of which `width` are between black and white."""
    if voi.width == 1:
        step: NDArray[np.float64] = (values > voi.centre - 0.5).astype(np.float64)
        return step
    shown: NDArray[np.float64] = (values - (voi.centre - 0.5)) / (voi.width - 1) + 0.5
    return np.clip(shown, 0.0, 1.0)


def _show_exact(values: NDArray[np.float64], voi: Voi) -> NDArray[np.float64]:
    """C.11.2.1.3.2: from centre - width/2 to centre + width/2."""
    shown: NDArray[np.float64] = (values - voi.centre) / voi.width + 0.5
    return np.clip(shown, 0.0, 1.0)


def _show_sigmoid(values: NDArray[np.float64], voi: Voi) -> NDArray[np.float64]:
    """C.11.2.1.3.1: a logistic curve; far from the centre its exponential would overflow."""
    exponent = np.clip(-4 * (values - voi.centre) / voi.width, -700, 700)
    shown: NDArray[np.float64] = 1 / (1 + np.exp(exponent))
    return shown


def _look_up(values: NDArray[np.float64], voi: Voi) -> NDArray[np.float64]:
    """C.11.2.1.1: values below the first entry take it, values above the last take that."""
    entries = np.frombuffer(voi.entries, "<u2")
    # NaN has no place in a table; such an image is refused by its own check.
    places = np.nan_to_num(np.rint(values) - voi.first)
    table = entries / float(2**voi.bits - 1)
    shown: NDArray[np.float64] = table[np.clip(places, 0, len(table) - 1).astype(np.int64)]
    return np.where(np.isfinite(values), np.minimum(shown, 1.0), values)


_FUNCTIONS = {
    "LINEAR": _show_linear,
    "LINEAR_EXACT": _show_exact,
    "SIGMOID": _show_sigmoid,
    TABLE: _look_up,
}
