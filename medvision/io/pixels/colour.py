"""Colour frames into luminance, or into RGB of 8 bits."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medvision.io.pixels.description import Description
from medvision.io.pixels.palette import Palette, read_palette
from medvision.io.pixels.rasters import Raster
from medvision.io.reasons import RefusalError

GREY = ("MONOCHROME1", "MONOCHROME2")
YBR = ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420")
DIRECT = ("RGB", *YBR, "YBR_ICT", "YBR_RCT")
PALETTE = "PALETTE COLOR"
COLOUR = (*DIRECT, PALETTE)

TO_LUMINANCE = "colour-to-luminance"
REDUCED = "colour-reduced"

_LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Weights of R, G, B (ITU-R BT.601)."""

_YBR_TO_RGB = np.array([[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]])
"""Rows give R, G, B from Y, CB, CR with their middle taken off (PS3.3 C.7.6.3.1.2)."""


@dataclass(frozen=True)
class Painter:
    """Turns the colour frames of one file into planes.

    Args:
        description: The pixels, with the palette's attributes.
    """

    description: Description

    @cached_property
    def palette(self) -> Palette:
        """The file's palette, read once."""
        layout = self.description.layout
        return read_palette(
            self.description.dataset,
            is_big_endian=layout.is_big_endian,
            is_signed=layout.is_signed,
        )

    def compute_luminance(self, raster: Raster) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        """Turn a frame into luminance (rows, columns) float32, on the scale of its samples.

        Raises:
            RefusalError: `undecodable` or `photometric-not-supported`.
        """
        flags = (*raster.flags, TO_LUMINANCE)
        if raster.photometric == PALETTE:
            levels = (self.palette.entries @ _LUMINANCE).astype(np.float32)
            return levels[self.palette.find_rows(_see_whole(raster))], flags
        samples = self._check_samples(raster)
        if raster.photometric in YBR:
            luminance = samples[..., 0].astype(np.float32)
            if raster.photometric.startswith("YBR_PARTIAL"):
                luminance = np.clip((luminance - 16) * np.float32(255 / 219), 0, 255)
            return luminance, flags
        return (samples @ _LUMINANCE).astype(np.float32), flags

    def compute_rgb(self, raster: Raster) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        """Turn a frame into RGB (rows, columns, 3) of 8 bits.

        Raises:
            RefusalError: `undecodable` or `photometric-not-supported`.
        """
        if raster.photometric == PALETTE:
            entries, flags = _reduce(self.palette.entries, self.palette.bits)
            return entries[self.palette.find_rows(_see_whole(raster))], (*raster.flags, *flags)
        samples = self._check_samples(raster)
        if raster.photometric in YBR:
            is_partial = raster.photometric.startswith("YBR_PARTIAL")
            return _convert_ybr(samples, is_partial=is_partial), raster.flags
        rgb, flags = _reduce(samples, self.description.layout.bits_stored)
        return np.ascontiguousarray(rgb), (*raster.flags, *flags)

    def _check_samples(self, raster: Raster) -> NDArray[np.unsignedinteger]:
        """Return a frame's three samples, and refuse what is none."""
        values = _see_whole(raster)
        layout = self.description.layout
        if raster.photometric not in DIRECT or values.ndim != 3 or layout.is_signed:
            raise RefusalError(
                "photometric-not-supported", f"colour must have 3 samples, got {values.ndim - 2}"
            )
        if raster.photometric in YBR and values.dtype != np.uint8:
            raise RefusalError(
                "photometric-not-supported", f"YBR must have 8 bits, got {layout.bits_stored}"
            )
        return values


def _see_whole(raster: Raster) -> NDArray[np.unsignedinteger]:
    """Return a frame's samples, and refuse real numbers."""
    if not np.issubdtype(raster.values.dtype, np.integer):
        raise RefusalError("photometric-not-supported", "colour must be whole, got real numbers")
    whole: NDArray[np.unsignedinteger] = raster.values  # type: ignore[assignment]  # just checked
    return whole


def _reduce(
    samples: NDArray[np.unsignedinteger], bits: int
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Keep the eight highest of the stored bits."""
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False), ()
    if bits <= 8:
        return (samples & 0xFF).astype(np.uint8), ()
    return (samples >> (bits - 8)).astype(np.uint8), (REDUCED,)


def _convert_ybr(samples: NDArray[np.unsignedinteger], *, is_partial: bool) -> NDArray[np.uint8]:
    """Turn Y, CB, CR of 8 bits into RGB, rounded and clipped.

    Source:
        PS3.3 C.7.6.3.1.2, ITU-R BT.601: partial range has Y from 16 to 235, colours to 240.
    """
    channels = samples.astype(np.float32)
    channels[..., 1:] -= 128
    if is_partial:
        channels[..., 0] = (channels[..., 0] - 16) * np.float32(255 / 219)
        channels[..., 1:] *= np.float32(255 / 224)
    rgb = np.rint(channels @ _YBR_TO_RGB.T.astype(np.float32))
    return np.clip(rgb, 0, 255).astype(np.uint8)
