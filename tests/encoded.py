"""Images in any encoding with the raw pixels known, for tests of decoding."""

from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from typing import TypeVar

import numpy as np
import pydicom
from dicoms import CT, new_file, set_pixels
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRBigEndian

from medvision.domain.study import Frame, Instance
from medvision.io.pixels.read import Decoded, read_planes
from medvision.io.reasons import RefusalError

Pixels = NDArray[np.generic]

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
JPEG_2000_LOSSY = "1.2.840.10008.1.2.4.91"
HTJ2K = "1.2.840.10008.1.2.4.201"
RLE = "1.2.840.10008.1.2.5"
DEFLATED = "1.2.840.10008.1.2.1.99"
DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"
ENCAPSULATED_PLAIN = "1.2.840.10008.1.2.1.98"


def make_ramp(
    rows: int = 40, columns: int = 48, *, peak: int = 4095, dtype: str = "uint16"
) -> Pixels:
    """A smooth plane from 0 to `peak` with a little noise: like an image, unlike a constant."""
    y, x = np.mgrid[:rows, :columns]
    smooth = (np.sin(y / 5) * np.cos(x / 7) + 1) / 2
    noise = np.random.default_rng(rows * columns).random((rows, columns)) * 0.02
    plane = np.rint((smooth * 0.98 + noise) * peak)
    plane[0, 0], plane[-1, -1] = 0, peak
    return plane.astype(dtype)


def build_image(plane: Pixels, **values: object) -> FileDataset:
    """A CT image with pixels as they are; `values` are set last."""
    dataset = new_file(CT, "1.2.3.4.5")
    set_pixels(dataset, plane)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def set_frames(
    dataset: FileDataset, frames: Sequence[bytes], syntax: str, *, has_table: bool = True
) -> FileDataset:
    """Put encoded frames into an object."""
    dataset.PixelData = encapsulate(list(frames), has_bot=has_table)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    if len(frames) > 1:
        dataset.NumberOfFrames = len(frames)
    return dataset


def set_items(
    dataset: FileDataset, items: Sequence[bytes], syntax: str, *, table: Sequence[int] = ()
) -> FileDataset:
    """Put fragments into an object one by one, under an offset table that may be wrong."""
    packed = b"".join(offset.to_bytes(4, "little") for offset in table)
    items = [item + b"\0" * (len(item) % 2) for item in items]
    body = b"".join(
        b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item for item in (packed, *items)
    )
    dataset.PixelData = body
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    return dataset


def to_bytes(dataset: FileDataset) -> bytes:
    """The object as a file."""
    stream = BytesIO()
    syntax = dataset.file_meta.TransferSyntaxUID
    is_little = syntax != ExplicitVRBigEndian
    # A syntax that the library does not know is written only by force.
    is_known = syntax.is_transfer_syntax
    pydicom.dcmwrite(
        stream,
        dataset,
        little_endian=is_little,
        implicit_vr=False,
        force_encoding=not is_known,
        enforce_file_format=is_known,
    )
    return stream.getvalue()


def describe(dataset: Dataset, **values: object) -> Instance:
    """The instance that an object's header tells, as far as decoding heeds it."""
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    slope = float(dataset.get("RescaleSlope", 1) or 1)
    intercept = float(dataset.get("RescaleIntercept", 0) or 0)
    facts: dict[str, object] = {
        "file": "f",
        "path": "p",
        "subject": "s",
        "study_uid": "1",
        "series_uid": "2",
        "sop_uid": "3",
        "sop_class": CT,
        "modality": "CT",
        "image_type": ("ORIGINAL", "PRIMARY"),
        "frame_of_reference": "",
        "rows": int(dataset.Rows),
        "columns": int(dataset.Columns),
        "samples": int(dataset.get("SamplesPerPixel", 1)),
        "photometric": str(dataset.PhotometricInterpretation),
        "thickness_mm": None,
        "units": "none",
        "manufacturer": "",
        "frames": tuple(Frame(k, slope=slope, intercept=intercept) for k in range(count)),
    }
    return Instance(**{**facts, **values})  # type: ignore[arg-type]  # values by keyword


read_grey = partial(read_planes, colour="luminance")
"""read_planes for what has no colours."""

Result = TypeVar("Result")


def attempt(call: Callable[[], Result]) -> tuple[Result | None, str]:
    """What a call gives, or the reason of its refusal."""
    try:
        return call(), ""
    except RefusalError as refusal:
        return None, refusal.reason


def decode(dataset: FileDataset, *, colour: str = "luminance", **values: object) -> Decoded:
    """The planes of an object, through a whole file."""
    instance = describe(dataset, **values)
    return read_planes(to_bytes(dataset), instance, colour=colour)  # type: ignore[arg-type]
