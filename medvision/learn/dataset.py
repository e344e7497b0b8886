"""Batches straight from memory-mapped arrays, by row, without worker processes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Concatenate, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvision.runtime.shards import StoredArrays

Imbalance = Literal["none", "weights", "sampling"]

Transform = Callable[Concatenate[Tensor, torch.Generator, ...], Tensor]
"""(images (B, C, I, J[, K]), generator) -> changed images of the same shape.

Where several processes divide a step's images, it is also given `share`, a `Share`: it draws for
the whole step, and changes those images of it that are at hand."""

Labels = NDArray[np.int64] | NDArray[np.float32]
"""(n,) int64 classes, (n, findings) float32 findings, or (n,) float32 values."""

_TORCH_TYPES = {"float16": torch.float16, "int16": torch.int16, "float32": torch.float32}


@dataclass(frozen=True)
class Examples:
    """Some images of an array, with their labels.

    Args:
        arrays: All images, (N, C, I, J) or (N, C, I, J, K): a store's, or float32 in memory.
        rows: Which of them, (n,) int64, indices along N.
        labels: Class index of each, (n,) int64; findings (n, findings) float32, NaN where they are
            not known; or values (n,) float32, in standard deviations where they are trained on.
        subjects: Subject of each, n names; only errors show them.
    """

    arrays: NDArray[np.float32] | StoredArrays
    rows: NDArray[np.int64]
    labels: Labels
    subjects: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Share:
    """Which images of a step are at hand.

    Args:
        rows: Their positions in the step, (B,).
        n_images: All images of the step.
    """

    rows: tuple[int, ...]
    n_images: int


Select = Callable[[int], tuple[int, ...]]
"""Number of a step's images -> positions of those to be read."""


@dataclass(frozen=True)
class Batch:
    """A step's images, or a share of them, and all of the step's labels.

    Args:
        images: Images at hand, (B, C, I, J[, K]) float32.
        labels: Labels of all images of the step, (N,) or (N, findings); N = B where all are at
            hand.
        subjects: Subject of each image of the step, N names.
        share: Which of them are at hand.
    """

    images: Tensor
    labels: Tensor
    subjects: tuple[str, ...]
    share: Share


def draw_order(
    labels: Labels, *, imbalance: Imbalance, generator: torch.Generator
) -> NDArray[np.int64]:
    """Draw the order in which an epoch visits its images.

    Args:
        labels: Class index of each image, (n,); sampling takes no others.
        imbalance: sampling draws with replacement, every class equally often on average; the
            others visit each image once.
        generator: Source of the randomness; it moves on.

    Returns:
        Positions in `labels`, (n,).
    """
    if imbalance != "sampling":
        return torch.randperm(len(labels), generator=generator).numpy()
    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights = torch.from_numpy(1.0 / counts[index])
    drawn: NDArray[np.int64] = torch.multinomial(
        weights, len(labels), replacement=True, generator=generator
    ).numpy()
    return drawn


def iterate_batches(
    examples: Examples,
    order: NDArray[np.int64],
    *,
    batch_size: int,
    first: int = 0,
    every: int = 1,
    select: Select | None = None,
) -> Iterator[Batch]:
    """Yield the images in the given order.

    A last batch of one image joins the batch before it: BatchNorm has no variance of one.

    Args:
        examples: Where the images come from.
        order: Positions in `examples`, (m,).
        batch_size: Images in a batch, at least 2.
        first: Number of the first batch that is yielded; those before it are not read.
        every: Distance from one yielded batch to the next; the others are not read.
        select: Chooses which images of each batch are read; all when omitted.
    """
    room = _make_room(examples.arrays, batch_size + 1)
    for chosen in split_order(order, batch_size)[first::every]:
        rows = tuple(range(len(chosen))) if select is None else select(len(chosen))
        yield Batch(
            read_images(examples.arrays, examples.rows[chosen[list(rows)]], room=room),
            torch.from_numpy(examples.labels[chosen]),
            tuple(examples.subjects[n] for n in chosen),
            Share(rows, len(chosen)),
        )


def read_images(
    arrays: NDArray[np.float32] | StoredArrays, rows: NDArray[np.int64], *, room: Tensor | None
) -> Tensor:
    """Return rows as a new batch, the same floats that `StoredArrays.read_rows` returns.

    Rows are copied as they are stored and converted at once in torch, which takes a third of the
    time that numpy takes for float16.

    Args:
        arrays: All images.
        rows: Which of them, (B,), indices along N.
        room: At least (B, C, I, J[, K]) of the store's type, overwritten; None makes it anew.

    Returns:
        (B, C, I, J[, K]) float32, which shares no memory with `room`.
    """
    if not isinstance(arrays, StoredArrays):
        return torch.from_numpy(np.ascontiguousarray(arrays[rows], dtype=np.float32))
    if room is None or arrays.dtype == np.float32:
        room = torch.empty((len(rows), *arrays.shape[1:]), dtype=_TORCH_TYPES[arrays.dtype.name])
    stored = room[: len(rows)]
    arrays.copy_rows(rows, out=stored.numpy())
    images = stored.to(torch.float32)
    if stored.dtype == torch.int16:
        once = (-1, *[1] * (images.ndim - 1))
        images *= torch.from_numpy(arrays.scales[rows]).reshape(once)
        images += torch.from_numpy(arrays.offsets[rows]).reshape(once)
    return images


def _make_room(arrays: NDArray[np.float32] | StoredArrays, n_images: int) -> Tensor | None:
    """Return where stored rows are copied to, once for all batches; floats need no conversion."""
    if not isinstance(arrays, StoredArrays) or arrays.dtype == np.float32:
        return None
    return torch.empty((n_images, *arrays.shape[1:]), dtype=_TORCH_TYPES[arrays.dtype.name])


def count_batches(n_images: int, batch_size: int) -> int:
    """Return how many batches `iterate_batches` yields."""
    return len(split_order(np.arange(n_images), batch_size))


def split_order(order: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Cut an order into batches, none of them of one image unless there is only one.

    Args:
        order: Positions, (m,).
        batch_size: Images in a batch, at least 2.

    Returns:
        The positions of each batch, one after another.
    """
    starts = list(range(0, len(order), batch_size))
    if len(starts) > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    return [order[start:end] for start, end in zip(starts, [*starts[1:], len(order)], strict=True)]
