"""The table of what the checks of the gate's networks measured, and back."""

from collections.abc import Mapping

from medvision.domain.synthesis.gauges import Gauge
from medvision.errors import DataError
from medvision.io.tables import Cell

TABLE = "saliency.tsv"
"""Name of the table, in the folder of the gate."""

COLUMNS = (
    *("image_id", "subject", "label", "network", "seed"),
    *("method", "check", "value", "chance"),
)


def write_gauge(gauge: Gauge) -> dict[str, Cell]:
    """Return a row of the table; figures are written so that they are read back to the bit.

    Args:
        gauge: One check of one map.
    """
    return {name: _write_cell(getattr(gauge, name)) for name in COLUMNS}


def _write_cell(value: str | float | None) -> Cell:
    """Return a cell; of what is not known an empty one."""
    return "" if value is None else repr(value) if isinstance(value, float) else value


def read_gauge(row: Mapping[str, str]) -> Gauge:
    """Return what a row of the table says.

    Args:
        row: Cells by column.

    Raises:
        DataError: A column is missing, or a figure is no number.
    """
    try:
        value, chance = (float(row[name]) if row[name] else None for name in ("value", "chance"))
        image_id, subject, label, network = (row[name] for name in COLUMNS[:4])
        return Gauge(
            *(image_id, subject, label, network, int(row["seed"])),
            *(row["method"], row["check"], value, chance),
        )
    except (KeyError, ValueError) as error:
        raise DataError(f"{TABLE}: row must have numbers in its columns, got {error}.") from error
