"""Whether a cohort is grey or coloured, and its images as arrays with the channels first."""

from collections.abc import Collection, Mapping

import numpy as np

from medvision.domain.volume import FloatVolume, NumberGrid
from medvision.preprocess.rejection import Rejection

N_COLOURS = 3


def choose_channels(
    colours: Mapping[str, bool], *, uncounted: Collection[str] = ()
) -> tuple[int, list[Rejection]]:
    """Decide between one channel and three for the whole cohort.

    The larger group is followed (grey where both are equal), the other is rejected: neither is
    turned into the other in silence.

    Args:
        colours: Image to whether it is red, green and blue.
        uncounted: Images that have no say, such as those of an external cohort.

    Returns:
        (channels, rejections): 1 or 3; one rejection per image of the smaller group.
    """
    silent = set(uncounted)
    counted = [colour for image_id, colour in colours.items() if image_id not in silent]
    is_coloured = 2 * sum(counted) > len(counted)
    words = ("grey", "colour") if is_coloured else ("colour", "grey")
    detail = f"a {words[0]} image in a cohort of mostly {words[1]} ones"
    others = sorted(image_id for image_id, colour in colours.items() if colour != is_coloured)
    rejections = [Rejection(image_id, "other-channels", detail) for image_id in others]
    return N_COLOURS if is_coloured else 1, rejections


def put_channels_first(array: NumberGrid, *, is_colour: bool, is_inverted: bool) -> FloatVolume:
    """Return an image as networks take it: channels first, bright where the body is dense.

    Args:
        array: (I, J, K), or (I, J, K, 3) of red, green and blue.
        is_colour: The last axis is red, green and blue.
        is_inverted: Low values are meant to be shown white (MONOCHROME1): each value becomes
            the image's maximum plus its minimum less the value, which keeps the range.

    Returns:
        Array (C, I, J, K) float32 of its own.

    Source:
        PS3.3 C.7.6.3.1.2, photometric interpretation MONOCHROME1.
    """
    channels = np.moveaxis(array, -1, 0) if is_colour else array[np.newaxis]
    volume: FloatVolume = np.array(channels, dtype=np.float32, order="C")
    if is_inverted and np.isfinite(volume).all():
        np.subtract(np.float32(volume.max()) + np.float32(volume.min()), volume, out=volume)
    return volume
