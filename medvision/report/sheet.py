"""The pictures of the contact sheet as files that a page can hold."""

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GreyPicture = NDArray[np.uint8]
"""(rows, columns) uint8."""


def encode_pictures(pictures: Mapping[str, GreyPicture]) -> dict[str, bytes]:
    """Encode grey pictures as PNG, without date or software in them.

    Args:
        pictures: By image_id.

    Returns:
        Bytes by image_id, in the same order.
    """
    return {name: _encode(picture) for name, picture in pictures.items()}


def _encode(picture: GreyPicture) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", optimize=False)
    return stream.getvalue()
