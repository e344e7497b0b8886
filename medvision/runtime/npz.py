"""Archives of arrays (.npz) with equal bytes for equal arrays, written and read row by row."""

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from medvision.runtime.files import writing

_EPOCH = (1980, 1, 1, 0, 0, 0)


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


def read_npz_rows(path: Path, name: str, *, rows: Sequence[int]) -> NDArray[np.generic]:
    """Read some rows of an array that `write_npz` wrote, without reading the others into memory.

    Args:
        path: The file.
        name: The array.
        rows: Numbers of rows, in any order.

    Returns:
        Array (len(rows), ...).
    """
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        first = stream.tell()
        n_bytes = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        held = np.empty((len(rows), *shape[1:]), dtype=dtype)
        for place in np.argsort(np.asarray(rows, dtype=np.int64), kind="stable"):
            stream.seek(first + rows[place] * n_bytes)
            held[place] = np.frombuffer(stream.read(n_bytes), dtype=dtype).reshape(shape[1:])
    return held


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
