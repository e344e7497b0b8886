"""Signed maps as transparent colour, lesions as outlines: what lies over a grey image."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medvision.report.display import Slices

_LEVELS = 40
_STRONGEST_ALPHA = 0.88
_FAINTEST = 0.06
_POSITIVE = ((255, 205, 110), (242, 84, 20))
_NEGATIVE = ((130, 215, 255), (35, 105, 235))
_ROBUST_PERCENTILE = 99.5


def compute_scale(slices: Slices) -> float:
    """Return the absolute value at both ends of a map's colour bar; 0 for an empty map.

    The 99.5th percentile of the absolute values that are not zero, so that one voxel does not
    darken all others; values beyond it are shown at its end.
    """
    magnitude = np.abs(slices[np.isfinite(slices)])
    magnitude = magnitude[magnitude > 0]
    return float(np.percentile(magnitude, _ROBUST_PERCENTILE)) if magnitude.size else 0.0


def build_palette() -> NDArray[np.uint8]:
    """Return colours (2 · levels + 1, 4) RGBA: blue against, clear at zero, orange for."""
    strength = np.arange(1, _LEVELS + 1) / _LEVELS
    alpha = np.where(strength < _FAINTEST, 0, _STRONGEST_ALPHA * strength**0.75)
    sides = []
    for weak, strong in (_NEGATIVE, _POSITIVE):
        colour = np.outer(1 - strength, weak) + np.outer(strength, strong)
        sides.append(np.column_stack([colour, 255 * alpha]))
    clear = np.zeros((1, 4))
    return np.asarray(np.rint(np.vstack([sides[0][::-1], clear, sides[1]])), dtype=np.uint8)


def colour_slices(slices: Slices, scale: float) -> NDArray[np.uint8]:
    """Return palette indices (S, Y, X) of a signed map on a symmetric scale."""
    relative = np.nan_to_num(slices) / scale if scale > 0 else np.zeros_like(slices)
    return np.asarray(np.rint(_LEVELS * np.clip(relative, -1, 1)) + _LEVELS, dtype=np.uint8)


def stack_slices(slices: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return slices (S, Y, X) in one tall picture (S · (Y + 2), X).

    Each slice repeats its first and last row, so that a browser that smooths the picture does
    not blend two slices.
    """
    padded = np.pad(slices, ((0, 0), (1, 1), (0, 0)), mode="edge")
    return padded.reshape(-1, slices.shape[2])


def encode_grey(picture: NDArray[np.uint8]) -> bytes:
    """Return a PNG of grey levels (Y, X)."""
    return _encode(Image.fromarray(picture))


def encode_palette(picture: NDArray[np.uint8]) -> bytes:
    """Return a PNG of palette indices (Y, X), with transparency."""
    palette = build_palette()
    image = Image.fromarray(picture).convert("P")
    image.putdata(picture.ravel().tolist())
    image.putpalette(palette[:, :3].ravel().tolist())
    return _encode(image, transparency=bytes(palette[:, 3].tolist()))


def _encode(image: Image.Image, **options: bytes) -> bytes:
    """Return the PNG's bytes, without metadata."""
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True, **options)
    return stream.getvalue()


def trace_outline(mask: NDArray[np.bool_]) -> str:
    """Return the outline of a mask (Y, X) along its pixels' edges, as an SVG path.

    Args:
        mask: True inside. Coordinates are pixels: x from the left, y from the top.

    Returns:
        Path data; "" for an empty mask.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    level = np.abs(np.diff(padded, axis=0))[:, 1:-1]
    upright = np.abs(np.diff(padded, axis=1))[1:-1, :]
    lines = [f"M{start} {y}h{length}" for y, start, length in _find_runs(level)]
    lines += [f"M{x} {start}v{length}" for x, start, length in _find_runs(upright.T)]
    return "".join(lines)


def _find_runs(edges: NDArray[np.int8]) -> list[tuple[int, int, int]]:
    """Return (line, start, length) of each run of ones along the second axis."""
    steps = np.diff(np.pad(edges, ((0, 0), (1, 1))), axis=1)
    line, start = np.nonzero(steps == 1)
    _, stop = np.nonzero(steps == -1)
    return [(int(n), int(a), int(b - a)) for n, a, b in zip(line, start, stop, strict=True)]
