"""Rows over several memory-mapped arrays, read by number without decoding the rest."""

import contextlib
import mmap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RowBatch = NDArray[np.float32]
"""(B, C, I, J, K) float32 of volumes, (B, C, I, J) of 2D images."""


_INT16_STEPS = 65534
"""Steps between the least and the largest value of an image of 16-bit integers."""

_LEAST_BYTES_AT_ONCE = 1 << 20
"""Of a row, from which it is read in pages of 2 MiB; of smaller ones these would hold too many."""


def map_array(path: Path) -> NDArray[np.generic]:
    """Map a shard without reading it.

    Rows of a megabyte or more are asked for in large pages, where the system has any: a row then
    takes one or two faults and reads of the disk instead of hundreds.

    Args:
        path: A `.npy` file (n, C, I, J[, K]).

    Returns:
        The array, read-only.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It is no array.
    """
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    memory = mapped.base
    if isinstance(memory, mmap.mmap) and mapped[:1].nbytes >= _LEAST_BYTES_AT_ONCE:
        advice = getattr(mmap, "MADV_HUGEPAGE", None)
        # A wish; kernels without large pages refuse it.
        with contextlib.suppress(OSError):
            if advice is not None:
                memory.madvise(advice)
    # A view without memmap's own indexing, which costs microseconds a row.
    plain: NDArray[np.generic] = np.asarray(mapped)
    return plain


class StoredArrays:
    """All images of a store as one array (N, C, I, J[, K]), of which rows are read.

    Attributes:
        shape: Of all shards together.
        dtype: As they lie on disk: float32, float16 or int16.
        scales: Value = stored * scale + offset, (N,) float32; used for int16 only.
        offsets: See scales.
    """

    def __init__(
        self,
        shards: Sequence[NDArray[np.generic]],
        *,
        scales: NDArray[np.float32],
        offsets: NDArray[np.float32],
    ) -> None:
        """Put shards side by side.

        Args:
            shards: Arrays (n, C, I, J[, K]) of one type and row shape; at least one.
            scales: One per row over all shards.
            offsets: Likewise.
        """
        self._shards = tuple(shards)
        self._starts = np.cumsum([0, *(len(shard) for shard in shards)])
        self.shape: tuple[int, ...] = (int(self._starts[-1]), *shards[0].shape[1:])
        self.dtype = shards[0].dtype
        self.scales = scales
        self.offsets = offsets

    def __len__(self) -> int:
        return self.shape[0]

    def with_images(self, images: RowBatch) -> "StoredArrays":
        """Return the same images with further ones behind them, none of these copied twice.

        Args:
            images: (n, C, I, J[, K]) float32, kept in the store's own type.

        Raises:
            ValueError: They are of another shape.
        """
        if images.shape[1:] != self.shape[1:]:
            raise ValueError(f"images must be {self.shape[1:]} each, got {images.shape[1:]}")
        scales = np.ones(len(images), np.float32)
        offsets = np.zeros(len(images), np.float32)
        stored: NDArray[np.generic] = images.astype(self.dtype, copy=False)
        if self.dtype == np.int16 and len(images):
            low, high = (of(images.reshape(len(images), -1), axis=1) for of in (np.min, np.max))
            scales = np.where(high > low, (high - low) / _INT16_STEPS, 1).astype(np.float32)
            offsets = ((high + low) / 2).astype(np.float32)
            once = (-1, *[1] * (images.ndim - 1))
            steps = (images - offsets.reshape(once)) / scales.reshape(once)
            stored = np.rint(steps).clip(-_INT16_STEPS / 2, _INT16_STEPS / 2).astype(np.int16)
        return StoredArrays(
            (*self._shards, stored),
            scales=np.concatenate([self.scales, scales]),
            offsets=np.concatenate([self.offsets, offsets]),
        )

    def __getitem__(self, row: int) -> RowBatch:
        """Return one row (C, I, J[, K]) float32, a copy."""
        only: RowBatch = self.read_rows([row])[0]
        return only

    def read_rows(self, rows: Sequence[int] | NDArray[np.int64]) -> RowBatch:
        """Return rows as float32, a copy.

        Args:
            rows: Indices along N, 0 or more, (B,).

        Returns:
            (B, C, I, J[, K]) float32.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        stored = np.empty((len(chosen), *self.shape[1:]), dtype=self.dtype)
        self.copy_rows(chosen, out=stored)
        values: RowBatch = stored.astype(np.float32, copy=False)
        if self.dtype == np.int16:
            once = (-1, *[1] * (values.ndim - 1))
            values *= self.scales[chosen].reshape(once)
            values += self.offsets[chosen].reshape(once)
        return values

    def copy_rows(self, rows: NDArray[np.int64], *, out: NDArray[np.generic]) -> None:
        """Copy rows as they are stored into a batch made before.

        Args:
            rows: Indices along N, 0 or more, (B,).
            out: (B, C, I, J[, K]) of the store's type; overwritten.
        """
        homes = np.searchsorted(self._starts, rows, side="right") - 1
        for place, (row, home) in enumerate(zip(rows.tolist(), homes.tolist(), strict=True)):
            out[place] = self._shards[home][row - int(self._starts[home])]
