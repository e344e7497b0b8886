"""What an image has lost at the ends of its scale and at the edges of its field."""

import numpy as np
from scipy import ndimage

from medvision.preprocess.quality.planes import Mask, Planes


def measure_clipping(planes: Planes) -> tuple[float, float]:
    """Return the shares of pixels that lie at the lowest and at the highest value.

    At the lowest value only pixels of the body count, its holes filled: around it, the lowest value
    is air, padding or a background set to zero, and no loss. At the highest value nothing counts
    where only a single pixel a plane has it, as any unclipped image must.

    Args:
        planes: What is looked at.

    Returns:
        (low, high), each from 0 to 1. Of an image that has fewer than three values, 0 and 0: a
        mask is not clipped.

    Source:
        none: own definition.
    """
    values = planes.values
    low, high = values.min(), values.max()
    at_low, at_high = values <= low, values >= high
    if (at_low | at_high).all():
        return 0.0, 0.0
    inside = at_low & _fill(planes.foreground)
    n_high = at_high.sum() if at_high.sum() > values.shape[2] else 0
    return float(inside.mean()), float(n_high / values.size)


def measure_single_value(planes: Planes) -> float:
    """Return the share of pixels that have the commonest value, where it is above one half.

    Args:
        planes: What is looked at.

    Returns:
        Share of the pixels equal to their median, which is the commonest value if any has more
        than half of them.

    Source:
        none: own definition.
    """
    return float((planes.values == np.median(planes.values)).mean())


def measure_truncation(planes: Planes) -> float:
    """Return the share of the border of the field that the body touches.

    Args:
        planes: What is looked at; the border is that of each plane, or of the round field within
            the padding of a CT.

    Returns:
        From 0, a body within its field, to 1, one that fills it.

    Source:
        none: own definition.
    """
    cross = ndimage.generate_binary_structure(2, 1)[:, :, np.newaxis]
    border = planes.field & ~ndimage.binary_erosion(planes.field, cross, border_value=0)
    return float(planes.foreground[border].mean()) if border.any() else 0.0


def _fill(mask: Mask) -> Mask:
    """Return a mask with its holes filled, plane by plane."""
    filled = np.empty_like(mask)
    for k in range(mask.shape[2]):
        filled[:, :, k] = ndimage.binary_fill_holes(mask[:, :, k])
    return filled
