"""Archives of arrays (.npz) with equal bytes for equal arrays, written row by row, read by map."""

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from medvision.runtime.files import writing

_EPOCH = (1980, 1, 1, 0, 0, 0)
_LENGTHS = 26
"""Place of the lengths of name and extra in a local header."""


@dataclass(frozen=True)
class Rows:
    """An array that is written row by row and never held whole.

    Args:
        shape: (N, ...).
        dtype: Of its values.
        rows: N arrays of the remaining shape.
    """

    shape: tuple[int, ...]
    dtype: DTypeLike
    rows: Iterable[NDArray[np.generic]]


def write_npz(path: Path, arrays: Mapping[str, Rows]) -> None:
    """Write arrays that `numpy.load` reads, uncompressed, without the time of the day.

    Args:
        path: The file; appears only when complete.
        arrays: Name to rows, written in the order given.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.

    Source:
        NEP 1 (the .npy format, version 1.0); ZIP, stored. Compression would make the bytes depend
        on the version of zlib.
    """
    with writing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            with archive.open(info, "w", force_zip64=True) as stream:
                _write_array(stream, array)


def map_npz_array(path: Path, name: str) -> NDArray[np.generic]:
    """Map an array that `write_npz` wrote into memory: rows are read when they are looked at.

    Args:
        path: The file.
        name: The array.

    Returns:
        The array, read-only.

    Source:
        APPNOTE 6.3.10, 4.3.7: what is stored begins after the local header, its name and extra.
    """
    with zipfile.ZipFile(path) as archive, path.open("rb") as stream:
        start = archive.getinfo(f"{name}.npy").header_offset
        stream.seek(start + _LENGTHS)
        n_name, n_extra = (int.from_bytes(stream.read(2), "little") for _ in range(2))
        stream.seek(start + _LENGTHS + 4 + n_name + n_extra)
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        if 0 in shape:
            return np.empty(shape, dtype=dtype)
        return np.memmap(path, dtype=dtype, mode="r", offset=stream.tell(), shape=shape)


def read_npz_names(path: Path, name: str) -> list[str]:
    """Read an array of texts, such as the ids of the rows of another.

    Args:
        path: The file.
        name: The array, (N,) of text.
    """
    with np.load(path, allow_pickle=False) as held:
        return [str(text) for text in held[name]]


def build_texts(texts: Sequence[str]) -> Rows:
    """Return texts as an array (N,) of fixed width."""
    width = max((len(text) for text in texts), default=1)
    return Rows((len(texts),), f"<U{max(width, 1)}", np.array(texts, dtype=f"<U{max(width, 1)}"))


def _write_array(stream: IO[bytes], array: Rows) -> None:
    """Write a header and the rows."""
    dtype = np.dtype(array.dtype)
    np.lib.format.write_array_header_1_0(
        stream,
        {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": array.shape,
        },
    )
    n_rows = 0
    for row in array.rows:
        stream.write(np.ascontiguousarray(row, dtype=dtype).tobytes())
        n_rows += 1
    if n_rows != array.shape[0]:
        raise ValueError(f"npz: rows must be {array.shape[0]}, got {n_rows}.")
