"""A header of NIfTI-1, NIfTI-2 or Analyze 7.5: which bytes mean what, and what is refused."""

import math
import struct
from dataclasses import dataclass
from typing import Literal

from medvision.io.reasons import RefusalError

Kind = Literal["nifti1", "nifti2", "analyze"]
"""The three layouts; Analyze 7.5 states no orientation."""

SMALL_HEADER_BYTES = 348
"""NIfTI-1 and Analyze 7.5."""

LARGE_HEADER_BYTES = 540
"""NIfTI-2."""

_SIZES = (SMALL_HEADER_BYTES, LARGE_HEADER_BYTES)
_MAGIC_2 = b"\r\n\x1a\n"
_MOST_AXES = 7
_MOST_EXTENSION_BYTES = 1 << 28

NUMBERS = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
"""Code of a real number type to numpy's name for it, without byte order."""

COLOURS = {128: 3, 2304: 4}
"""Code of a colour type to its bytes a voxel: RGB24, RGBA32."""

_SPM_NUMBERS = {130: "i1", 132: "u2", 136: "u4"}
_TO_MM = {1: 1000.0, 3: 0.001}
_TO_SECONDS = {8: 1.0, 16: 1e-3, 24: 1e-6}


@dataclass(frozen=True)
class NiftiHeader:
    """What a header says, as far as it is used; its free text is never read.

    Args:
        kind: Layout.
        is_pair: The voxels lie in a file of their own.
        order: "<" or ">", byte order of header and voxels.
        shape: Voxels (i, j[, k[, t]]), trailing axes of one voxel dropped.
        code: Data type, a key of NUMBERS or COLOURS.
        offset: Byte at which the voxels begin.
        slope: Value per stored unit as the file has it, 0 where it has none.
        intercept: Value of stored 0.
        qfac: -1.0 where the qform mirrors k, else 1.0.
        spacing: Voxel size (i, j, k) as stated, in the header's unit.
        step_s: Time between volumes in seconds, None where it is not stated.
        to_mm: Millimetres per unit of length.
        qform: Code, then quaternion b, c, d and offset x, y, z; None without a positive code.
        sform: Rows x, y, z of the matrix; None without a positive code.
        is_calibrated: An Analyze header gives ranges that some programs scale by.
    """

    kind: Kind
    is_pair: bool
    order: str
    shape: tuple[int, ...]
    code: int
    offset: int
    slope: float
    intercept: float
    qfac: float
    spacing: tuple[float, float, float]
    step_s: float | None
    to_mm: float
    qform: tuple[float, ...] | None
    sform: tuple[float, ...] | None
    is_calibrated: bool = False

    @property
    def is_colour(self) -> bool:
        """Voxels are red, green, blue and perhaps opacity."""
        return self.code in COLOURS

    @property
    def voxel_bytes(self) -> int:
        """Bytes of one voxel."""
        return COLOURS[self.code] if self.is_colour else int(self.dtype[-1])

    @property
    def dtype(self) -> str:
        """Numpy's name of the stored number type; of one sample, for colour."""
        numbers = NUMBERS | (_SPM_NUMBERS if self.kind == "analyze" else {})
        return self.order + ("u1" if self.is_colour else numbers[self.code])

    @property
    def n_voxels(self) -> int:
        """Voxels of all volumes."""
        return math.prod(self.shape)


def find_header_bytes(head: bytes) -> int:
    """Return how long the header is that these first four bytes begin; 0 for none.

    Args:
        head: At least four bytes of the file, unpacked.
    """
    sizes = {struct.unpack_from(order + "i", head)[0] for order in "<>" if len(head) >= 4}
    return next((size for size in _SIZES if size in sizes), 0)


def is_pair_header(head: bytes) -> bool:
    """Say whether a file's first bytes are the header of a pair: NIfTI or Analyze 7.5.

    The voxels of a pair lie in a file of their own; see `pair.find_partner`.

    Args:
        head: The first 348 bytes or more, unpacked where the file is gzip.
    """
    size = find_header_bytes(head)
    if size == 0 or len(head) < SMALL_HEADER_BYTES:
        return False
    if size == LARGE_HEADER_BYTES:
        return head[4:7] == b"ni2" and head[8:12] == _MAGIC_2
    if head[344:347] == b"n+1":
        return False
    order = _find_order(head)
    (n_axes,) = struct.unpack_from(order + "h", head, 40)
    return bool(1 <= n_axes <= _MOST_AXES)


def parse_header(head: bytes) -> NiftiHeader:
    """Return what a header says.

    Args:
        head: 348 bytes (NIfTI-1, Analyze) or 540 (NIfTI-2).

    Raises:
        RefusalError: It is no header, or of an image that cannot be used: more than four
            dimensions, a dimension of 0, or voxels that are neither real numbers nor colour.

    Source:
        nifti1.h and nifti2.h (NIfTI data format working group); Analyze 7.5 file format (Mayo
        Foundation), dbh.h; SPM's factor in its field funused1 (SPM99, spm_vol_ana).
    """
    order = _find_order(head)
    if find_header_bytes(head) == LARGE_HEADER_BYTES:
        return _parse_large(head, order)
    return _parse_small(head, order)


def _find_order(head: bytes) -> str:
    """Return the byte order in which the header states its own size."""
    for order in "<>":
        if len(head) >= 4 and struct.unpack_from(order + "i", head)[0] in _SIZES:
            return order
    raise RefusalError("unreadable", "header must be NIfTI or Analyze, got another size")


def _parse_small(head: bytes, order: str) -> NiftiHeader:
    """Read NIfTI-1 or Analyze 7.5."""
    is_nifti = head[344:347] in (b"n+1", b"ni1")
    dims, pixdim, unit, code = (
        struct.unpack_from(order + form, head, at)
        for form, at in (("8h", 40), ("8f", 76), ("B", 123), ("h", 70))
    )
    offset, slope, intercept = struct.unpack_from(order + "3f", head, 108)
    codes = struct.unpack_from(order + "2h", head, 252) if is_nifti else (0, 0)
    high, low, top, bottom = (
        *struct.unpack_from(order + "2f", head, 124),
        *struct.unpack_from(order + "2i", head, 140),
    )
    return _build(
        "nifti1" if is_nifti else "analyze",
        is_pair=head[344:347] != b"n+1",
        order=order,
        dims=dims,
        code=code[0],
        scale=(offset, slope, intercept),
        pixdim=pixdim,
        unit=unit[0] if is_nifti else 0,
        codes=codes,
        forms=struct.unpack_from(order + "18f", head, 256),
        is_calibrated=not is_nifti and not slope and high != low and top != bottom,
    )


def _parse_large(head: bytes, order: str) -> NiftiHeader:
    """Read NIfTI-2."""
    if len(head) < LARGE_HEADER_BYTES or head[4:7] not in (b"n+2", b"ni2"):
        raise RefusalError("unreadable", "header must be NIfTI-2, got another magic")
    return _build(
        "nifti2",
        is_pair=head[4:7] == b"ni2",
        order=order,
        dims=struct.unpack_from(order + "8q", head, 16),
        code=struct.unpack_from(order + "h", head, 12)[0],
        scale=struct.unpack_from(order + "q2d", head, 168),
        pixdim=struct.unpack_from(order + "8d", head, 104),
        unit=struct.unpack_from(order + "i", head, 500)[0],
        codes=struct.unpack_from(order + "2i", head, 344),
        forms=struct.unpack_from(order + "18d", head, 352),
        is_calibrated=False,
    )


def _build(
    kind: Kind,
    *,
    is_pair: bool,
    order: str,
    dims: tuple[int, ...],
    code: int,
    scale: tuple[float, float, float],
    pixdim: tuple[float, ...],
    unit: int,
    codes: tuple[int, int],
    forms: tuple[float, ...],
    is_calibrated: bool,
) -> NiftiHeader:
    """Check what the layouts have in common."""
    start, slope, intercept = scale
    step_s = _TO_SECONDS.get(unit & 0x38, math.nan) * pixdim[4]
    header_bytes = LARGE_HEADER_BYTES if kind == "nifti2" else SMALL_HEADER_BYTES
    return NiftiHeader(
        kind=kind,
        is_pair=is_pair,
        order=order,
        shape=_check_shape(dims),
        code=_check_code(code, kind=kind),
        offset=_check_offset(start, least=0 if is_pair else header_bytes),
        slope=slope,
        intercept=intercept,
        qfac=-1.0 if pixdim[0] < 0 else 1.0,
        spacing=(pixdim[1], pixdim[2], pixdim[3]),
        step_s=step_s if step_s > 0 and math.isfinite(step_s) else None,
        to_mm=_TO_MM.get(unit & 0x07, 1.0),
        qform=forms[:6] if codes[0] > 0 else None,
        sform=forms[6:] if codes[1] > 0 else None,
        is_calibrated=is_calibrated,
    )


def _check_shape(dims: tuple[int, ...]) -> tuple[int, ...]:
    """Return the voxels along each axis, trailing axes of one voxel dropped."""
    n_axes = dims[0]
    if not 1 <= n_axes <= _MOST_AXES:
        raise RefusalError("unreadable", f"axes must number 1 to {_MOST_AXES}, got {n_axes}")
    shape = list(dims[1 : n_axes + 1])
    while len(shape) > 2 and shape[-1] == 1:
        shape.pop()
    if len(shape) < 2 or min(shape) < 1:
        raise RefusalError("empty-image", f"image must have two dimensions, got shape {shape}")
    if len(shape) > 4:
        raise RefusalError("too-many-dimensions", f"image must be 2D to 4D, got shape {shape}")
    return tuple(shape)


def _check_code(code: int, *, kind: Kind) -> int:
    """Return the data type's code if its voxels can be used."""
    # Analyze leaves open whether colour lies voxel by voxel or plane by plane.
    known = NUMBERS.keys() | (_SPM_NUMBERS.keys() if kind == "analyze" else COLOURS.keys())
    if code not in known:
        raise RefusalError(
            "dtype-not-supported", f"voxels must be real numbers or colour, got type {code}"
        )
    return code


def _check_offset(start: float, *, least: int) -> int:
    """Return the byte at which the voxels begin."""
    if not math.isfinite(start) or not least <= start <= _MOST_EXTENSION_BYTES:
        raise RefusalError(
            "unreadable", f"voxels must begin at byte {least} or a little later, got {start:g}"
        )
    return int(start)
