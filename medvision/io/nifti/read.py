"""NIfTI and Analyze in: values, affine by rule, and what was doubtful about them."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine
from medvision.domain.volume import GridShape, NumberGrid
from medvision.io.nifti.affine import choose_affine
from medvision.io.nifti.header import NiftiHeader, find_header_bytes, parse_header
from medvision.io.nifti.pair import find_partner
from medvision.io.nifti.stream import ByteStream, open_stream
from medvision.io.nifti.values import read_colour, scale_values
from medvision.io.reasons import RefusalError

_LUMINANCE = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class NiftiImage:
    """The image of a NIfTI or Analyze file.

    Args:
        array: (I, J, K), or (I, J, K, T) where it has several volumes; whole numbers where the
            file holds them and its scaling keeps them whole, else float32. Colour: uint8 with
            a last axis of red, green, blue.
        affine: (4, 4), voxel index to RAS+ mm.
        is_placed: The file states an orientation.
        flags: Codes of reasons.FLAGS.
        is_colour: The last axis of `array` is red, green, blue.
        axis: What the volumes differ in: time where the header says so, frame where it is
            silent; "" for one volume.
        step_s: Time between volumes in seconds; None where the header is silent.
        digest: BLAKE3 of the file's bytes (of the header's, for a pair).
        partner_digest: BLAKE3 of the other file of a pair, else "".
    """

    array: NumberGrid
    affine: Affine
    is_placed: bool
    flags: tuple[str, ...]
    is_colour: bool = False
    axis: str = ""
    step_s: float | None = None
    digest: str = ""
    partner_digest: str = ""

    @property
    def shape(self) -> GridShape:
        """Voxels (i, j, k) of one volume."""
        i, j, k = self.array.shape[:3]
        return i, j, k

    @property
    def n_volumes(self) -> int:
        """Volumes along the fourth axis."""
        n_axes = self.array.ndim - (1 if self.is_colour else 0)
        return self.array.shape[3] if n_axes == 4 else 1

    def as_grid(self) -> NDArray[np.float32]:
        """Return the values as (I, J, K[, T]) float32; of colour the ITU-R BT.601 luminance."""
        if not self.is_colour:
            return np.asarray(self.array, dtype=np.float32)
        return self.array.astype(np.float32) @ np.array(_LUMINANCE, dtype=np.float32)


def read_nifti(source: Path | bytes, *, partner: Path | bytes | None = None) -> NiftiImage:
    """Read NIfTI-1, NIfTI-2 or Analyze 7.5, gzip or not, in one file or two, whatever its name.

    The sform is taken where its code is positive, else the qform, else the spacing alone; where
    both are given and disagree, that is flagged. Analyze never states an orientation, and SPM's
    origin is not trusted for one. The header's free text is never read. Memory is bounded by
    the file: a header that claims more voxels than it can hold costs none.

    Args:
        source: The file, or its bytes; of a pair the header.
        partner: The voxels of a pair; looked for beside a path where None.

    Raises:
        RefusalError: The file cannot be used.
        OSError: A file cannot be opened.

    Source:
        nifti1.h, nifti2.h (NIfTI data format working group); Analyze 7.5 file format.
    """
    with open_stream(source) as stream:
        header = _read_header(stream)
        if not header.is_pair:
            voxels = _read_voxels(stream, header)
            return _build_image(header, voxels, digests=(stream.finish(), ""))
        digest = stream.finish()
    with open_stream(_name_partner(source, partner)) as stream:
        voxels = _read_voxels(stream, header)
        return _build_image(header, voxels, digests=(digest, stream.finish()))


def read_header(source: Path | bytes) -> NiftiHeader:
    """Read the header alone: shape, type and orientation without the voxels.

    Args:
        source: The file, or its first bytes; of a pair the header.

    Raises:
        RefusalError: The header cannot be used.
        OSError: The file cannot be opened.
    """
    with open_stream(source) as stream:
        return _read_header(stream)


def _read_header(stream: ByteStream) -> NiftiHeader:
    """Read the fixed part of the header."""
    head = stream.read(4)
    n_bytes = find_header_bytes(head)
    if not n_bytes:
        raise RefusalError("unreadable", "header must be NIfTI or Analyze, got another size")
    return parse_header(head + stream.read(n_bytes - len(head)))


def _name_partner(source: Path | bytes, partner: Path | bytes | None) -> Path | bytes:
    """Return where the voxels of a pair lie."""
    found = find_partner(source) if partner is None and isinstance(source, Path) else partner
    if found is None:
        raise RefusalError("pair-incomplete", "header must have its voxels beside it, got no .img")
    return found


def _read_voxels(stream: ByteStream, header: NiftiHeader) -> NDArray[np.uint8]:
    """Read the voxels' bytes."""
    if header.offset < stream.position:
        raise RefusalError("unreadable", "voxels must begin after the header, got an offset in it")
    stream.skip(header.offset - stream.position)
    return stream.read_array(header.n_voxels * header.voxel_bytes)


def _build_image(
    header: NiftiHeader, voxels: NDArray[np.uint8], *, digests: tuple[str, str]
) -> NiftiImage:
    """Turn bytes into values and a place in space."""
    i, j, k = (*header.shape, 1)[:3]
    affine, is_placed, flags = choose_affine(header, (i, j, k))
    full = (i, j, k, *header.shape[3:])
    array, more = _read_values(header, voxels, shape=full)
    return NiftiImage(
        array,
        affine,
        is_placed,
        (*flags, *more),
        is_colour=header.is_colour,
        axis=_name_axis(header) if math.prod(full[3:]) > 1 else "",
        step_s=header.step_s if math.prod(full[3:]) > 1 else None,
        digest=digests[0],
        partner_digest=digests[1],
    )


def _read_values(
    header: NiftiHeader, voxels: NDArray[np.uint8], *, shape: tuple[int, ...]
) -> tuple[NumberGrid, tuple[str, ...]]:
    """Return the values, with flags."""
    if header.is_colour:
        return read_colour(voxels, shape=shape)
    stored: NumberGrid = voxels.view(header.dtype).reshape(shape, order="F")
    return scale_values(stored, header)


def _name_axis(header: NiftiHeader) -> str:
    """Name the fourth axis as far as the header tells."""
    return "frame" if header.step_s is None else "time"
