"""One ingested image measured in a process of its own: read once, nothing heavy imported."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medvision.domain.geometry import compute_spacing_mm
from medvision.domain.likeness.thumbnail import build_thumbnail
from medvision.domain.volume import NumberGrid
from medvision.errors import GeometryError, StaleOutputError
from medvision.io.nifti.read import NiftiImage, read_nifti
from medvision.io.reasons import RefusalError
from medvision.preprocess.quality.measure import Measures, measure_image
from medvision.preprocess.quality.picture import can_stand_upright, draw_picture, put_upright
from medvision.runtime.files import hash_file

VERSION = "1"
"""Of what is measured and how: another one makes every image be measured again."""

_OTHER_BYTES = "bytes are not those that ingestion wrote"
_FAULTS = (OSError, EOFError, ValueError, ArithmeticError, MemoryError, GeometryError)


class Item(NamedTuple):
    """An image to be measured.

    Args:
        image_id: Its pseudonym.
        path: The file.
        digest: sha256 that the file must have.
        is_hu: Its values are Hounsfield units.
        is_placed: Its place in space is known.
        is_inverted: Its high values are dark (MONOCHROME1).
    """

    image_id: str
    path: Path
    digest: str
    is_hu: bool
    is_placed: bool
    is_inverted: bool

    @property
    def key(self) -> str:
        """What decides the result, as one digest."""
        facts = [self.digest, self.is_hu, self.is_placed, self.is_inverted]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Measured:
    """What came of one image.

    Args:
        values: The measures; empty where it could not be read.
        dimensions: 2 or 3; 0 where it could not be read.
        thumbnail: Bytes of (64, 64) or (32, 32, 32) uint8.
        picture: Bytes of (96, 96) uint8.
        reason: Why it could not be read, or empty.
        note: What of it was looked at, where that is not all.
    """

    values: Measures
    dimensions: int = 0
    thumbnail: bytes = b""
    picture: bytes = b""
    reason: str = ""
    note: str = ""


def measure_file(item: Item) -> Measured:
    """Read an image and measure it; what cannot be read has a reason instead.

    Args:
        item: The image.

    Returns:
        The result. Reasons name no value of the file.
    """
    try:
        if hash_file(item.path) != item.digest:
            return Measured({}, reason=_OTHER_BYTES)
        return _measure(read_nifti(item.path), item)
    except RefusalError as error:
        return Measured({}, reason=error.reason)
    except StaleOutputError:
        return Measured({}, reason=_OTHER_BYTES)
    except FileNotFoundError:
        return Measured({}, reason="no such file")
    except _FAULTS as error:
        return Measured({}, reason=f"not readable ({type(error).__name__})")


def _measure(image: NiftiImage, item: Item) -> Measured:
    """Measure the first volume of an image, of colour its luminance."""
    array, note = _take_grid(image)
    if item.is_inverted:
        array = (float(array.max()) + float(array.min()) - array).astype(np.float32)
    if 0 in array.shape:
        return Measured({}, reason="no voxel")
    spacing_mm = compute_spacing_mm(image.affine)
    values = measure_image(array, spacing_mm=spacing_mm, is_hu=item.is_hu)
    is_upright = item.is_placed and can_stand_upright(array, image.affine)
    if is_upright:
        array, order = put_upright(array, image.affine)
        spacing_mm = (spacing_mm[order[0]], spacing_mm[order[1]], spacing_mm[order[2]])
    thumbnail = np.asarray(build_thumbnail(array, spacing_mm=spacing_mm), dtype=np.uint8)
    picture = draw_picture(array, spacing_mm=spacing_mm, is_upright=is_upright)
    return Measured(
        _round(values), thumbnail.ndim, thumbnail.tobytes(), picture.tobytes(), note=note
    )


def _take_grid(image: NiftiImage) -> tuple[NumberGrid, str]:
    """Return (I, J, K), and what of the image that is."""
    grid: NumberGrid = image.as_grid() if image.is_colour else image.array
    notes = ["luminance"] if image.is_colour else []
    if grid.ndim > 3:
        notes.append(f"first of {image.n_volumes} volumes")
        grid = grid.reshape((*grid.shape[:3], -1))[..., 0]
    return grid, ", ".join(notes)


def _round(values: Measures) -> Mapping[str, float | None]:
    """Keep nine digits, as tables hold them, so that the kept equals the new."""
    return {name: None if v is None else float(f"{v:.9g}") for name, v in values.items()}
