"""What of an image lies around the body, described in a few numbers: its border, its background."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.preprocess.quality.planes import compute_otsu

Image = NDArray[np.float32]
"""(C, I, J[, K]) float32, as networks are given it."""

Description = NDArray[np.float64]
"""(F,) float64: the same numbers of every image, NaN where the image has no such part."""

LEAST_BACKGROUND = 0.02
"""Share of an image below which it counts as having no background."""

_SEGMENTS = 8
_CELLS = 6
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def describe_border(image: Image, *, share: float) -> Description:
    """Describe a frame along the edges of every plane.

    Of each side, cut into eight, the mean and the largest value; of the whole frame quantiles and
    standard deviation. So a mark in a corner shows, and so does a strip of padding.

    Args:
        image: (C, I, J[, K]); the frame lies at the ends of the first two axes.
        share: Width of the frame, as a share of the shorter of these; one pixel at least.

    Returns:
        (C x 70,) numbers.

    Source:
        none: own definition.
    """
    volume = image[..., np.newaxis] if image.ndim == 3 else image
    width = max(1, round(share * min(volume.shape[1:3])))
    sides = (
        volume[:, :width].swapaxes(1, 2),
        volume[:, -width:].swapaxes(1, 2),
        volume[:, :, :width],
        volume[:, :, -width:],
    )
    inner = np.zeros(volume.shape[1:3], dtype=bool)
    inner[width:-width, width:-width] = True
    found = []
    for channel in range(len(volume)):
        parts = [part for side in sides for part in np.array_split(side[channel], _SEGMENTS)]
        found += [_describe_parts(parts), _describe_values(volume[channel][~inner])]
    return np.concatenate(found)


def describe_background(image: Image) -> Description:
    """Describe what lies around the body, the body itself blanked.

    Of each cell of a 6 x 6 grid the mean and the largest value of its background, or those of all
    background where the cell has none, so that the outline of the body shows as little as can be;
    then quantiles and standard deviation.

    Args:
        image: (C, I, J[, K]).

    Returns:
        (C x 78,) numbers; NaN where less than `LEAST_BACKGROUND` of the image is background.

    Source:
        none: own definition; blanking what a network should look at, to see whether it can do
        without, is that of Maguolo and Nanni 2021, doi:10.1016/j.inffus.2021.04.008.
    """
    volume = image[..., np.newaxis] if image.ndim == 3 else image
    background = find_background(volume.mean(axis=0))
    if background.mean() < LEAST_BACKGROUND:
        return np.full(len(volume) * (2 * _CELLS**2 + len(_SHARES) + 1), np.nan)
    found = []
    for channel in volume:
        own = channel[background]
        cells = [
            values[inside]
            for row, inside_row in zip(
                np.array_split(channel, _CELLS), np.array_split(background, _CELLS), strict=True
            )
            for values, inside in zip(
                np.array_split(row, _CELLS, axis=1),
                np.array_split(inside_row, _CELLS, axis=1),
                strict=True,
            )
        ]
        found += [
            _describe_parts([cell if cell.size else own for cell in cells]),
            _describe_values(own),
        ]
    return np.concatenate(found)


def find_background(volume: Image) -> NDArray[np.bool_]:
    """Find what is not body, plane by plane.

    The body is the largest connected piece above Otsu's threshold, its holes filled and one pixel
    added around it; smaller bright pieces, such as letters beside it, are background.

    Args:
        volume: (I, J, K).

    Returns:
        (I, J, K) flags.

    Source:
        Threshold: Otsu 1979, doi:10.1109/TSMC.1979.4310076; the rest own definition.
    """
    bright = volume > compute_otsu(volume)
    body = np.zeros(volume.shape, dtype=bool)
    for k in range(volume.shape[2]):
        pieces, n_pieces = ndimage.label(bright[:, :, k])
        if n_pieces:
            largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
            filled = ndimage.binary_fill_holes(pieces == largest)
            body[:, :, k] = ndimage.binary_dilation(filled, np.ones((3, 3)))
    return ~body


def _describe_parts(parts: Sequence[Image]) -> Description:
    """Return the mean of each part, then the largest value of each; 0 of a part without pixels."""
    means = [float(part.mean()) if part.size else 0.0 for part in parts]
    peaks = [float(part.max()) if part.size else 0.0 for part in parts]
    return np.array([*means, *peaks])


def _describe_values(values: Image) -> Description:
    """Return quantiles and standard deviation."""
    return np.array([*np.quantile(values, _SHARES), float(values.std())])
