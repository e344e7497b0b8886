"""Pictures of samples, as PNG and in TensorBoard; TensorBoard's files are for the eyes only."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medvision.runtime.files import write_bytes
from medvision.synthesis.course import Cell

Sheet = NDArray[np.uint8]
"""(rows, columns) grey levels, rows from top to bottom."""

_GAP = 2
_LEAST_SIDE = 64
_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Board:
    """Where a training can be watched.

    Args:
        add_row: Takes a row of the history.
        add_sheet: Takes a name, a step and a picture.
    """

    add_row: Callable[[Mapping[str, Cell]], None]
    add_sheet: Callable[[str, int, Sheet], None]


@contextmanager
def open_board(folder: Path) -> Iterator[Board]:
    """Yield what adds to TensorBoard's event files.

    The files are no part of the record, since they hold the time and the machine's name.

    Args:
        folder: Where the event files go; a resumed run adds a further one.
    """
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def add_row(row: Mapping[str, Cell]) -> None:
        for name, value in row.items():
            if name != "step" and value is not None:
                writer.add_scalar(name, value, int(row["step"] or 0))
        writer.flush()

    def add_sheet(name: str, step: int, sheet: Sheet) -> None:
        writer.add_image(name, sheet, step, dataformats="HW")
        writer.flush()

    try:
        yield Board(add_row, add_sheet)
    finally:
        writer.close()


def render_sheet(images: NDArray[np.float32], *, flip_axes: Sequence[int]) -> Sheet:
    """Draw images beside one another, a row for each class; of volumes the middle plane.

    Args:
        images: (classes, n, C, I, J[, K]); the first channel is drawn.
        flip_axes: Axes (0 for I, 1 for J) that are turned round, so that people see them as they
            are used to.

    Returns:
        Grey levels from the 0.5th to the 99.5th percentile of all; columns of an image are i, rows
        are j. Small images are enlarged by whole numbers.
    """
    planes = images[:, :, 0]
    if planes.ndim == 5:
        planes = planes[..., planes.shape[-1] // 2]
    planes = np.flip(planes, axis=tuple(axis + 2 for axis in flip_axes)).swapaxes(2, 3)
    low, high = np.percentile(planes, _PERCENTILES)
    grey = np.clip((planes - low) / max(high - low, 1e-9), 0, 1) * 255
    factor = max(1, -(-_LEAST_SIDE // max(planes.shape[2:])))
    grey = grey.repeat(factor, axis=2).repeat(factor, axis=3)
    padded = np.pad(grey, ((0, 0), (0, 0), (0, _GAP), (0, _GAP)))
    sheet = padded.transpose(0, 2, 1, 3).reshape(padded.shape[0] * padded.shape[2], -1)
    rounded: Sheet = np.rint(sheet).astype(np.uint8)
    return rounded


def write_sheet(path: Path, sheet: Sheet) -> None:
    """Write a picture as PNG; equal pictures give equal bytes.

    Args:
        path: `.png` file.
        sheet: Grey levels.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    content = io.BytesIO()
    Image.fromarray(sheet).save(content, format="PNG")
    write_bytes(path, content.getvalue())
