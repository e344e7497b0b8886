"""NIfTI in: values, affine by rule, and what was doubtful about them."""

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from medvision.domain.geometry import (
    Affine,
    check_affine,
    compute_corner_offsets,
    compute_spacing_mm,
)
from medvision.domain.volume import GridShape, NumberGrid
from medvision.errors import GeometryError
from medvision.io.quiet import silence_readers
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

_HEADER_BYTES = {1: 348, 2: 540}
_CHUNK = 1 << 22
_GZIP = b"\x1f\x8b"
_TO_MM = {"meter": 1000.0, "micron": 0.001}
_DISAGREEMENT = 0.1
"""Largest distance of a corner under sform and qform, in voxels."""


@dataclass(frozen=True)
class NiftiImage:
    """A NIfTI file's image.

    Args:
        array: (I, J, K); integers where the file holds unscaled ones, else float32.
        affine: (4, 4), voxel index to RAS+ mm.
        is_placed: The file states an orientation.
        flags: Codes of reasons.FLAGS.
    """

    array: NumberGrid
    affine: Affine
    is_placed: bool
    flags: tuple[str, ...]


def read_nifti(path: Path) -> NiftiImage:
    """Read a NIfTI-1 or NIfTI-2 file, compressed or not, whatever its name.

    The sform is taken where its code is positive, else the qform, else the spacing alone; where
    both are given and disagree, that is flagged. The header's free text is never read.

    Args:
        path: The file.

    Raises:
        RefusalError: The file cannot be used.
        OSError: The file cannot be opened.

    Source:
        NIfTI-1 standard, nifti1.h, "orientation and location in space".
    """
    with path.open("rb") as raw, silence_readers():
        is_packed = raw.read(2) == _GZIP
        raw.seek(0)
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if is_packed else raw
        try:
            header = _read_header(stream)
            shape = _check_header(header)
            stored = _read_array(stream, header, shape=shape)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise RefusalError(
                "truncated", f"file must be complete, got {type(error).__name__}"
            ) from None
        affine, is_placed, flags = _choose_affine(header, shape)
        return NiftiImage(_scale(stored, header), affine, is_placed, flags)


def _read_header(stream: BinaryIO) -> "Nifti1Header":
    """Read the fixed part of the header."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    head = _read_exactly(stream, _HEADER_BYTES[1])
    version = 1 if head[344:347] == b"n+1" else 2
    head += _read_exactly(stream, _HEADER_BYTES[version] - len(head))
    maker = Nifti1Header if version == 1 else Nifti2Header
    try:
        header: Nifti1Header = maker.from_fileobj(io.BytesIO(head + bytes(4)), check=False)
    except Exception as error:  # noqa: BLE001 - nibabel raises what it meets; any bytes need a verdict
        raise RefusalError(
            "unreadable", f"header must be NIfTI, got {type(error).__name__}"
        ) from None
    return header


def _check_header(header: "Nifti1Header") -> GridShape:
    """Return the shape (I, J, K), or refuse more dimensions or voxels that are no real numbers."""
    try:
        shape = [int(size) for size in header.get_data_shape()]
        dtype = header.get_data_dtype()
    except Exception as error:  # noqa: BLE001 - nibabel raises what it meets; any bytes need a verdict
        raise RefusalError(
            "unreadable", f"shape and dtype must be NIfTI's, got {type(error).__name__}"
        ) from None
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) > 3:
        raise RefusalError("4d-not-supported", f"image must be 2D or 3D, got shape {shape}")
    if len(shape) < 2 or min(shape) < 1:
        raise RefusalError("empty-image", f"image must have two dimensions, got shape {shape}")
    if not (np.issubdtype(dtype, np.integer) or np.issubdtype(dtype, np.floating)):
        raise RefusalError("dtype-not-supported", f"voxels must be real numbers, got {dtype}")
    i, j, k = (*shape, 1)[:3]
    return i, j, k


def _read_array(stream: BinaryIO, header: "Nifti1Header", *, shape: GridShape) -> NumberGrid:
    """Read the voxels, then the rest of the file, so that its checksum is verified."""
    dtype = header.get_data_dtype()
    skip = int(header.get_data_offset()) - stream.tell()
    if skip < 0:
        raise RefusalError("unreadable", "voxels must begin after the header, got an offset in it")
    _read_exactly(stream, skip)
    n_bytes = int(np.prod([float(size) for size in shape])) * dtype.itemsize
    content = _read_exactly(stream, n_bytes)
    while stream.read(_CHUNK):
        continue
    array: NumberGrid = np.frombuffer(content, dtype=dtype).reshape(shape, order="F")
    return array


def _read_exactly(stream: BinaryIO, n_bytes: int) -> bytes:
    """Read in pieces, so that a header that lies about its size costs no memory."""
    pieces = []
    missing = n_bytes
    while missing > 0:
        piece = stream.read(min(missing, _CHUNK))
        if not piece:
            raise RefusalError(
                "truncated", f"file must have {n_bytes} bytes here, got {n_bytes - missing}"
            )
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _scale(stored: NumberGrid, header: "Nifti1Header") -> NumberGrid:
    """Apply scl_slope and scl_inter; whole numbers without scaling stay whole."""
    slope, intercept = header.get_slope_inter()
    is_scaled = slope is not None and (slope, intercept) != (1.0, 0.0)
    is_whole = np.issubdtype(stored.dtype, np.integer)
    if is_scaled:
        real: NumberGrid = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
        return real
    native: NumberGrid = stored.astype(stored.dtype.newbyteorder("=") if is_whole else np.float32)
    return native


def _choose_affine(
    header: "Nifti1Header", shape: GridShape
) -> tuple[Affine, bool, tuple[str, ...]]:
    """Choose among sform, qform and spacing; return it with is_placed and flags."""
    try:
        sform = header.get_sform(coded=True)[0]
        qform = header.get_qform(coded=True)[0]
        factor = _TO_MM.get(header.get_xyzt_units()[0], 1.0)
    except Exception as error:  # noqa: BLE001 - nibabel raises what it meets; any bytes need a verdict
        raise RefusalError(
            "bad-affine", f"sform and qform must be computable, got {type(error).__name__}"
        ) from None
    chosen = sform if sform is not None else qform
    if chosen is None:
        affine, flags = _assume_affine(header, factor)
        return affine, False, flags
    affine = np.diag([factor, factor, factor, 1.0]) @ np.asarray(chosen, dtype=np.float64)
    try:
        check_affine(affine, where="NIfTI")
    except GeometryError as error:
        raise RefusalError("bad-affine", error.message.rstrip(".")) from None
    differ = sform is not None and qform is not None and _is_far(sform, qform, shape=shape)
    return affine, True, ("sform-qform-differ",) if differ else ()


def _assume_affine(header: "Nifti1Header", factor: float) -> tuple[Affine, tuple[str, ...]]:
    """Build an affine of the voxel sizes alone, index 0 at the origin."""
    zooms = np.abs(np.array((*header.get_zooms(), 1.0, 1.0)[:3], dtype=np.float64)) * factor
    is_stated = bool(np.isfinite(zooms).all() and (zooms > 0).all())
    if not is_stated:
        zooms = np.ones(3)
    flags = ("no-orientation",) if is_stated else ("no-orientation", "no-spacing")
    return np.diag([*zooms, 1.0]), flags


def _is_far(sform: Affine, qform: Affine, *, shape: GridShape) -> bool:
    """Say whether two affines place a corner of the grid differently."""
    apart = compute_corner_offsets(sform, qform, shape=shape)
    limit = _DISAGREEMENT * min(compute_spacing_mm(sform))
    return bool(np.linalg.norm(apart, axis=1).max() > limit)
