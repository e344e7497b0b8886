"""The pixels of a DICOM file as modality values: decoded, masked, made grey, rescaled."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medvision.domain.study import Frame, Instance
from medvision.io.dicom.file import read_dataset
from medvision.io.quiet import silence_decoder, silence_readers
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

Plane = NDArray[np.number]
"""(rows, columns): int64 where the modality values are whole numbers, else float32."""

Stored = NDArray[np.number]
"""(frames, rows, columns) or (frames, rows, columns, samples), as decoded."""

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = (
    "RGB",
    "PALETTE COLOR",
    "YBR_FULL",
    "YBR_FULL_422",
    "YBR_PARTIAL_420",
    "YBR_ICT",
    "YBR_RCT",
)
_LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Weights of R, G, B (ITU-R BT.601)."""


@dataclass(frozen=True)
class Decoded:
    """Modality values of every frame of a file, and what is worth flagging."""

    planes: tuple[Plane, ...]
    flags: tuple[str, ...]


def read_planes(path: Path, instance: Instance) -> Decoded:
    """Decode a DICOM file's pixels to modality values.

    Args:
        path: The file.
        instance: Its translated header.

    Returns:
        One plane (rows, columns) per frame.

    Raises:
        RefusalError: The pixels cannot be had exactly as the standard means them.
    """
    silence_decoder()
    with silence_readers():
        dataset = read_dataset(path)
        _check_decoder(str(dataset.file_meta.TransferSyntaxUID))
        stored = _decode(dataset, instance)
        if instance.photometric in COLOUR:
            grey = _compute_luminance(dataset, stored, photometric=instance.photometric)
            return Decoded(tuple(grey), ("colour-to-luminance",))
        stored, flags = _clear_high_bits(dataset, stored)
        if instance.photometric == "MONOCHROME1":
            flags.append("monochrome1")
        if "ModalityLUTSequence" in dataset:
            looked_up = _apply_modality_table(dataset, stored)
            return Decoded(tuple(looked_up.astype(np.int64)), (*flags, "modality-lut"))
    planes = tuple(rescale(stored[frame.index], frame) for frame in instance.frames)
    return Decoded(planes, tuple(flags))


def _check_decoder(syntax: str) -> None:
    """Refuse a transfer syntax that nothing here decodes."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    try:
        is_available = get_decoder(UID(syntax)).is_available
    except NotImplementedError:
        is_available = False
    if not is_available:
        # Only registered names go into the message: the UID is text of the file.
        name = UID(syntax).name if UID(syntax).type == "Transfer Syntax" else "unregistered"
        raise RefusalError("no-decoder", f"transfer syntax must have a decoder, got {name}")


def _decode(dataset: "Dataset", instance: Instance) -> Stored:
    """Decode all frames and check that they have the shape which the header states."""
    from pydicom.pixels.utils import pixel_array

    try:
        # Unused bits are cleared below, where it is noticed that they were not empty.
        array: Stored = pixel_array(dataset, correct_unused_bits=False)
    except Exception as error:  # noqa: BLE001 - decoders raise what they meet; any bytes need a verdict
        if "does not support" in str(error):
            raise RefusalError(
                "no-decoder", "this form of the transfer syntax must have a decoder, got none"
            ) from None
        raise RefusalError(
            "undecodable", f"pixels must be decodable, got {type(error).__name__}"
        ) from None
    shape: tuple[int, ...] = (len(instance.frames), instance.rows, instance.columns)
    if instance.samples > 1:
        shape = (*shape, instance.samples)
    if array.size != int(np.prod(shape)):
        raise RefusalError("undecodable", f"pixels must have shape {shape}, got {array.shape}")
    return array.reshape(shape)


def _compute_luminance(
    dataset: "Dataset", stored: Stored, *, photometric: str
) -> NDArray[np.float32]:
    """Turn colour frames into luminance (frames, rows, columns) float32."""
    from pydicom.pixels.processing import apply_color_lut

    if photometric == "PALETTE COLOR":
        try:
            stored = np.stack([apply_color_lut(plane, dataset) for plane in stored])
        except Exception as error:  # noqa: BLE001 - pydicom raises what it meets in a broken table
            raise RefusalError(
                "undecodable", f"palette must be usable, got {type(error).__name__}"
            ) from None
    grey: NDArray[np.float32] = (stored[..., :3] @ _LUMINANCE).astype(np.float32)
    return grey


def _clear_high_bits(dataset: "Dataset", stored: Stored) -> tuple[Stored, list[str]]:
    """Keep the stored bits alone, and extend their sign.

    Source:
        PS3.5 8.1.1: bits beyond the stored ones carry no part of the value.
    """
    if not np.issubdtype(stored.dtype, np.integer):
        return stored, []
    bits = int(dataset.BitsStored)
    if bits >= int(dataset.BitsAllocated):
        return stored, []
    cleared = stored.astype(np.int64) & ((1 << bits) - 1)
    if int(dataset.get("PixelRepresentation", 0) or 0) == 1:
        cleared = np.where(cleared >> (bits - 1), cleared - (1 << bits), cleared)
    changed = not np.array_equal(cleared, stored)
    native: Stored = cleared.astype(stored.dtype)
    return native, ["high-bits-cleared"] if changed else []


def _apply_modality_table(dataset: "Dataset", stored: Stored) -> NDArray[np.integer]:
    """Look modality values up (PS3.3 C.11.1.1.1)."""
    from pydicom.pixels.processing import apply_modality_lut

    try:
        result: NDArray[np.integer] = apply_modality_lut(stored, dataset)
    except Exception as error:  # noqa: BLE001 - pydicom raises what it meets in a broken table
        raise RefusalError(
            "undecodable", f"modality table must be usable, got {type(error).__name__}"
        ) from None
    return result


def rescale(stored: Stored, frame: Frame) -> Plane:
    """Turn stored values into modality values, exactly where they are whole numbers.

    Args:
        stored: One plane (rows, columns).
        frame: Gives slope and intercept.

    Returns:
        int64 where stored values, slope and intercept are whole; float32 otherwise.

    Source:
        PS3.3 C.11.1.1.2: value = slope * stored + intercept.
    """
    is_whole = frame.slope.is_integer() and frame.intercept.is_integer()
    if is_whole and np.issubdtype(stored.dtype, np.integer):
        whole: Plane = stored.astype(np.int64) * int(frame.slope) + int(frame.intercept)
        return whole
    real: Plane = (stored.astype(np.float64) * frame.slope + frame.intercept).astype(np.float32)
    return real
