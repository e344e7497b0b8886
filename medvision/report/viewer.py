"""Volumes scrolled through in three planes: NIfTI inlined in the page, shown by NiiVue."""

import base64
import gzip
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from medvision.domain.geometry import Affine, compute_orientation
from medvision.domain.volume import FloatGrid
from medvision.report.case import CaseGrids
from medvision.report.overlay import build_palette, compute_scale

_PACKAGE, _BUNDLE = "ipyniivue", "static/widget.js"
_STEPS_IN_SCALE = 1000
_INT16 = np.iinfo(np.int16)
_MB = 1_000_000
_OPPOSITE = {"L": "R", "P": "A", "I": "S"}


@dataclass(frozen=True)
class Library:
    """NiiVue as its Python package carries it.

    Args:
        version: Of the package.
        script: The bundle, gzip as base64.
        licence: Its text.
    """

    version: str
    script: str = field(repr=False)
    licence: str = field(repr=False)


@dataclass(frozen=True)
class CaseVolumes:
    """An image and its maps as NIfTI, gzip as base64.

    Args:
        image: The image.
        window: Intensities shown as black and white.
        maps: Method to its map; none for an empty map.
        scales: Method to the value at the end of its colour bar.
        start: Where the cross stands at first, as shares of the way to right, anterior, superior.
        is_in_lesion: Whether that is in the lesion; otherwise at the first map's largest value.
        has_sides: False where the affine is a convention.
    """

    image: str = field(repr=False)
    window: tuple[float, float]
    maps: dict[str, str] = field(repr=False)
    scales: dict[str, float]
    start: tuple[float, float, float]
    is_in_lesion: bool
    has_sides: bool

    @property
    def n_bytes(self) -> int:
        """Return the length of all volumes on the page."""
        return len(self.image) + sum(map(len, self.maps.values()))


@dataclass(frozen=True)
class Viewer:
    """What the page needs to show volumes.

    Args:
        library: NiiVue; None where its package is not installed.
        volumes: Image to its volumes; an image that did not fit has none.
        n_left_out: Volumes that did not fit within `report.viewer_mb`.
    """

    library: Library | None
    volumes: dict[str, CaseVolumes]
    n_left_out: int

    @property
    def is_there(self) -> bool:
        """Tell whether the page holds a viewer."""
        return self.library is not None and bool(self.volumes)


def read_library() -> Library | None:
    """Read NiiVue from the installed package; None where there is none. Nothing of it is run."""
    try:
        package = distribution(_PACKAGE)
    except PackageNotFoundError:
        return None
    bundle = Path(str(package.locate_file(f"{_PACKAGE}/{_BUNDLE}")))
    licences = [path for path in package.files or () if path.name.startswith("LICENSE")]
    if not bundle.is_file() or not licences:
        return None
    licence = Path(str(package.locate_file(licences[0]))).read_text("utf-8")
    return Library(package.version, _pack(bundle.read_bytes()), licence)


class ViewerRoom:
    """The room that volumes have on the page; filled in the order of the cases.

    Args:
        viewer_mb: Megabytes of viewer and volumes together; 0 leaves the viewer out.
        library: What shows them; None where it is not installed.
    """

    def __init__(self, viewer_mb: float, *, library: Library | None) -> None:
        """Keep the room; the library's own length is the first to take from it."""
        self._left = int(viewer_mb * _MB) - (len(library.script) if library else 0)
        self._library = library if self._left > 0 else None
        self._volumes: dict[str, CaseVolumes] = {}
        self._left_out = 0

    def add(self, image_id: str, grids: CaseGrids, *, window: tuple[float, float]) -> None:
        """Encode a volume with its maps, if it is one and fits.

        Args:
            image_id: Pseudonymous name.
            grids: Arrays of the image; one voxel thick is no volume.
            window: Intensities shown as black and white.
        """
        if self._library is None or 1 in grids.image.shape:
            return
        # Not even tried where one byte a voxel would be too much: encoding takes time.
        volumes = None
        if grids.image.size * (1 + len(grids.maps)) <= 4 * self._left:
            volumes = encode_volumes(grids, window=window)
        if volumes is None or volumes.n_bytes > self._left:
            self._left_out += 1
            return
        self._left -= volumes.n_bytes
        self._volumes[image_id] = volumes

    def close(self) -> Viewer:
        """Return what found room."""
        return Viewer(self._library, dict(self._volumes), self._left_out)


def encode_volumes(grids: CaseGrids, *, window: tuple[float, float]) -> CaseVolumes:
    """Write an image and its maps as NIfTI for the page.

    Values are rounded to int16: those of the image to a 65,000th of their range where they are
    not whole, those of a map to a 1000th of the end of its colour bar, with 0 kept exact.

    Args:
        grids: Arrays on the source image's own grid.
        window: Intensities shown as black and white.

    Returns:
        The volumes; equal arrays give equal text.
    """
    scales = {name: compute_scale(grid) for name, grid in grids.maps.items()}
    voxel, is_in_lesion = _find_start(grids)
    return CaseVolumes(
        image=_encode_image(grids.image, grids.affine),
        window=window,
        maps={
            name: _encode_map(grid, grids.affine, scale=scales[name])
            for name, grid in grids.maps.items()
            if scales[name] > 0
        },
        scales=scales,
        start=_find_shares(voxel, grids.image.shape, grids.affine),
        is_in_lesion=is_in_lesion,
        has_sides=grids.has_geometry,
    )


def build_colours() -> dict[str, dict[str, list[int]]]:
    """Return the overlay's colours as NiiVue takes them: `for` and `against`, R G B A I."""
    palette = build_palette()
    middle = len(palette) // 2
    sides = {"for": palette[middle:], "against": palette[middle::-1]}
    return {
        name: {
            **{letter: side[:, n].tolist() for n, letter in enumerate("RGBA")},
            "I": np.rint(np.linspace(0, 255, len(side))).astype(int).tolist(),
        }
        for name, side in sides.items()
    }


def _find_start(grids: CaseGrids) -> tuple[tuple[int, ...], bool]:
    """Return the voxel looked at first, and whether it was chosen by the lesion."""
    if grids.mask is not None and (grids.mask > 0).any():
        inside = np.argwhere(grids.mask > 0)
        nearest = ((inside - inside.mean(axis=0)) ** 2).sum(axis=1).argmin()
        return tuple(int(n) for n in inside[nearest]), True
    first = next(iter(grids.maps.values()), grids.image)
    peak = int(np.nan_to_num(np.abs(first)).argmax())
    return tuple(int(n) for n in np.unravel_index(peak, first.shape)), False


def _find_shares(
    voxel: tuple[int, ...], shape: tuple[int, ...], affine: Affine
) -> tuple[float, float, float]:
    """Return a voxel's centre as shares of the way to right, anterior and superior."""
    shares = {}
    for place, n, code in zip(voxel, shape, compute_orientation(affine), strict=True):
        share = (place + 0.5) / n
        shares[_OPPOSITE.get(code, code)] = 1 - share if code in _OPPOSITE else share
    return shares["R"], shares["A"], shares["S"]


def _encode_image(grid: FloatGrid, affine: Affine) -> str:
    """Encode intensities: whole numbers as they are, others over their range."""
    held = np.nan_to_num(grid, posinf=0, neginf=0)
    low, high = float(held.min()), float(held.max())
    is_whole = low >= _INT16.min and high <= _INT16.max and bool((held == np.rint(held)).all())
    if is_whole:
        return _encode(held.astype(np.int16), affine, slope=1.0, intercept=0.0)
    slope = (high - low) / (_INT16.max - _INT16.min) or 1.0
    steps = np.rint((held - low) / slope) + _INT16.min
    return _encode(steps.astype(np.int16), affine, slope=slope, intercept=low - slope * _INT16.min)


def _encode_map(grid: FloatGrid, affine: Affine, *, scale: float) -> str:
    """Encode a signed map; 0 stays 0."""
    slope = scale / _STEPS_IN_SCALE
    steps = np.clip(np.rint(np.nan_to_num(grid) / slope), -_INT16.max, _INT16.max)
    return _encode(steps.astype(np.int16), affine, slope=slope, intercept=0.0)


def _encode(voxels: NDArray[np.int16], affine: Affine, *, slope: float, intercept: float) -> str:
    """Return a NIfTI-1 file, gzip as base64; no name, no clock."""
    raw = bytearray(Nifti1Image(voxels, np.asarray(affine, dtype=np.float64)).to_bytes())
    # Slope and intercept set before would make nibabel scale these integers once more.
    np.frombuffer(raw, dtype="<f4", count=2, offset=112)[:] = slope, intercept
    return _pack(bytes(raw))


def _pack(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()
