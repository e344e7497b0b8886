"""What is kept of every thumbnail while look-alikes are searched: coarse detail and points."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.describe import Window, describe, describe_windows
from medvision.domain.likeness.detail import bring_out_coarse, fill_field, halve
from medvision.domain.likeness.index import Points, fit_axes
from medvision.domain.likeness.second_look import CoarseStack

_CHUNK = 1024


@dataclass(frozen=True)
class Catalogue:
    """Thumbnails prepared for the search.

    Args:
        coarse: Coarse detail of each.
        points: (windows × N, axes): the description of each window of each, by window.
    """

    coarse: CoarseStack
    points: Points


def build_catalogue(thumbnails: NDArray[np.uint8], windows: list[Window]) -> Catalogue:
    """Describe each window of each thumbnail.

    Images are described by their coarse detail, volumes as they are at half the size: of so few
    voxels, what is taken out as local mean depends on where the volume ends, and so a crop would
    be described otherwise than the same part of the whole.

    Args:
        thumbnails: (N, 64, 64) or (N, 32, 32, 32) uint8.
        windows: Parts of a thumbnail, the whole first.
    """
    side = thumbnails.shape[1] // 2
    coarse = np.empty((len(thumbnails), *(side,) * (thumbnails.ndim - 1)), dtype=np.float16)
    parts = [slice(start, start + _CHUNK) for start in range(0, len(thumbnails), _CHUNK)]
    described = coarse if thumbnails.ndim == 3 else np.empty_like(coarse)
    for part in parts:
        half = halve(fill_field(thumbnails[part]))
        described[part] = half  # of images the next line overwrites it: both are one array
        coarse[part] = bring_out_coarse(half)
    whole = [describe(described[part].astype(np.float32), windows[0]) for part in parts]
    axes = fit_axes(np.concatenate(whole))
    points = np.empty((len(windows), len(thumbnails), axes.matrix.shape[1]), dtype=np.float32)
    for part in parts:
        stack = described[part].astype(np.float32)
        for number, described_part in enumerate(describe_windows(stack, windows)):
            points[number, part] = axes.project(described_part)
    return Catalogue(coarse, points.reshape(-1, points.shape[2]))
