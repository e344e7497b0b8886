"""What is kept of every thumbnail while look-alikes are searched: coarse detail and points."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from medvision.domain.likeness.describe import Descriptors, Window, describe, describe_windows
from medvision.domain.likeness.detail import bring_out_coarse, fill_field, halve
from medvision.domain.likeness.index import FITTED, Axes, fit_axes
from medvision.domain.likeness.room import Arrays, CoarseStack, Room

_FEW = 256
"""Thumbnails that are brought out at a time."""

_CHUNK, _WINDOWS = 1024, 16
"""Thumbnails, and windows of them, that are described at a time."""


def build_catalogue(room: Room, windows: Sequence[Window]) -> None:
    """Describe each window of each thumbnail: makes coarse, points and, of volumes, described.

    Images are described by their coarse detail, volumes as they are at half the size: of so few
    voxels, what is taken out as local mean depends on where the volume ends, and so a crop would
    be described otherwise than the same part of the whole.

    Args:
        room: Has thumbnails and rows.
        windows: Parts of a thumbnail, the whole first.
    """
    n_images, shape = len(room.arrays.rows), room.arrays.thumbnails.shape[1:]
    for name in ("coarse", "described")[: len(shape) - 1]:
        room.make(name, (n_images, *(side // 2 for side in shape)))
    step = max(1, n_images // FITTED)
    work = partial(_bring_out, window=windows[0], step=step)
    whole = list(room.spread(work, range(0, n_images, _FEW)))
    axes = fit_axes(np.concatenate(whole))
    room.make("points", (len(windows), n_images, axes.matrix.shape[1]))
    starts, firsts = range(0, n_images, _CHUNK), range(0, len(windows), _WINDOWS)
    tasks = ((start, first) for start in starts for first in firsts)
    for _ in room.spread(partial(_project, windows=windows, axes=axes), tasks):
        pass


def _bring_out(arrays: Arrays, start: int, *, window: Window, step: int) -> Descriptors:
    """Fill coarse and described of some; return the whole described of every so many of all."""
    part = slice(start, start + _FEW)
    half = halve(fill_field(arrays.thumbnails[arrays.rows[part]]))
    arrays.coarse[part] = bring_out_coarse(half)
    if half.ndim == 4:
        arrays.described[part] = half
    fitted = _choose_described(arrays)[part][-start % step :: step]
    return describe(fitted.astype(np.float32), window)


def _choose_described(arrays: Arrays) -> CoarseStack:
    """Return what is described of thumbnails: the coarse detail of images."""
    return arrays.described if arrays.thumbnails.ndim == 4 else arrays.coarse


def _project(
    arrays: Arrays, task: tuple[int, int], *, windows: Sequence[Window], axes: Axes
) -> None:
    """Fill the points of some windows of some thumbnails."""
    start, first = task
    part = slice(start, start + _CHUNK)
    stack = _choose_described(arrays)[part].astype(np.float32)
    described: Iterator[Descriptors] = describe_windows(stack, windows[first : first + _WINDOWS])
    for number, descriptors in enumerate(described, first):
        arrays.points[number, part] = axes.project(descriptors)
