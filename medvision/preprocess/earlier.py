"""The store as an earlier run left it: rows by key, each held to its digest before it is used."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError
from medvision.preprocess.rows import Row, parse_outcome
from medvision.runtime.files import hash_fast

ROW_COLUMNS = (
    *("shape", "dtype", "scale", "offset", "error_float16", "error_int16", "digest", "key"),
)
"""Columns of the index that say what a row's bytes are, beside where its array lies in space."""


class EarlierStore:
    """Rows of an earlier run; a store that is missing, or no store, holds none."""

    def __init__(self, index: Path, *, find_shard: Callable[[str], Path]) -> None:
        """Read the index of an earlier run.

        Args:
            index: Its table of rows.
            find_shard: Name of a shard, such as 2-of-4, to its file.
        """
        self._find_shard = find_shard
        self._rows: dict[str, tuple[Row, str, int]] = {}
        self._maps: dict[str, NDArray[np.generic] | None] = {}
        counts: dict[str, int] = {}
        for line in _read_lines(index):
            shard = line.get("shard") or ""
            place = counts[shard] = counts.get(shard, -1) + 1
            row = _parse_line(line)
            if row is not None:
                self._rows[row.key] = (row, shard, place)

    def read(self, key: str, *, image_id: str) -> tuple[Row, bytes] | None:
        """Return a row and its bytes; a missing or damaged one is none."""
        if key not in self._rows:
            return None
        row, shard, place = self._rows[key]
        array = self._open(shard)
        if array is None or place >= len(array):
            return None
        content = array[place].tobytes()
        if hash_fast(content) != row.digest or row.image_id != image_id:
            return None
        return row, content

    def _open(self, shard: str) -> NDArray[np.generic] | None:
        """Map one shard's file once; it stays mapped when another is renamed over it."""
        if shard not in self._maps:
            try:
                mapped = np.load(self._find_shard(shard), mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError):
                mapped = None
            self._maps[shard] = mapped
        return self._maps[shard]


def _read_lines(path: Path) -> list[dict[str, str]]:
    """Return the lines of an index, none where there is none."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t"))
    except (OSError, ValueError, csv.Error):
        return []


def _parse_line(line: Mapping[str, str]) -> Row | None:
    """Return the row that a line tells of, or none of a line that tells of none."""
    try:
        numbers = {
            name: float(line[name]) for name in ("scale", "offset", "error_float16", "error_int16")
        }
        texts = ("image_id", "key", "dtype", "digest", "source_shape")
        row = parse_outcome(
            {
                **{name: line[name] for name in (*texts, "source_affine", "tensor_affine")},
                **numbers,
                "shape": [int(length) for length in line["shape"].split("x")],
            }
        )
    except (KeyError, TypeError, ValueError, AttributeError, DataError):
        return None
    return row if isinstance(row, Row) else None
