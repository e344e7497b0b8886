"""A NIfTI as planes that come while the file is unpacked: a volume larger than memory is none."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medvision.domain.geometry import Affine
from medvision.domain.volume import GridShape, NumberGrid
from medvision.io.nifti.affine import choose_affine
from medvision.io.nifti.header import NiftiHeader
from medvision.io.nifti.read import read_header
from medvision.io.nifti.stream import open_stream
from medvision.io.nifti.values import scale_values
from medvision.io.reasons import RefusalError

_NARROW_BYTES = 4


class NiftiPlanes:
    """One grey volume in one file, read from its first plane to its last.

    Args:
        path: The file, one that `can_stream`.
        header: Its header.
    """

    def __init__(self, path: Path, header: NiftiHeader) -> None:
        self._path, self._header = path, header
        i, j, k = (*header.shape, 1, 1)[:3]
        self._shape: GridShape = (i, j, k)
        self._affine, _, _ = choose_affine(header, self._shape)

    @property
    def shape(self) -> GridShape:
        """Voxels (i, j, k)."""
        return self._shape

    @property
    def affine(self) -> Affine:
        """(4, 4), index to RAS+ mm."""
        return self._affine

    def read(self) -> Iterator[NumberGrid]:
        """Yield the planes (1, J, I) of k = 0, 1, ..., scaled as `read_nifti` scales.

        Raises:
            RefusalError: The file ends early, is broken, or its scaling is impossible.
            OSError: The file cannot be opened.
        """
        i, j, k = self._shape
        with open_stream(self._path) as stream:
            stream.skip(self._header.offset)
            for _ in range(k):
                voxels = stream.read_array(i * j * self._header.voxel_bytes)
                stored: NumberGrid = voxels.view(self._header.dtype).reshape(1, j, i)
                values, _ = scale_values(stored, self._header)
                yield values
            # To the end, so that the checksum is verified.
            stream.finish()


def open_planes(path: Path) -> NiftiPlanes | None:
    """Return a file's planes, or None where it must be read as a whole.

    As a whole: colour, several volumes, a pair of files, and numbers wider than 32 bits, whose
    rounding is decided by all of them.

    Args:
        path: NIfTI or Analyze, gzip or not.

    Raises:
        RefusalError: The header cannot be used.
        OSError: The file cannot be opened.
    """
    header = read_header(path)
    is_one = len(header.shape) <= 3 and not header.is_pair and not header.is_colour
    if not is_one or np.dtype(header.dtype).itemsize > _NARROW_BYTES:
        return None
    if header.n_voxels == 0:
        raise RefusalError("unreadable", "image must have voxels, got none")
    return NiftiPlanes(path, header)
