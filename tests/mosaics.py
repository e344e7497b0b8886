"""Mosaics with known tiles at known places, and CSA headers of both kinds, for tests."""

import struct
import warnings
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Any

import numpy as np
from dicoms import AXIAL, MR, new_file, set_pixels
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset

from medvision.io.frames.read import read_frames

Tags = dict[str, tuple[str, ...]]
VRS = {"NumberOfImagesInMosaic": b"US", "EchoLinePosition": b"IS", "Odd": b"SH"}


def write_csa(tags: Tags, *, kind: int = 2, n_items: int = 6) -> bytes:
    """A CSA header of the newer kind (2, SV10) or the older one (1)."""
    head = b"SV10\x04\x03\x02\x01" if kind == 2 else b""
    parts = [head, struct.pack("<2I", len(tags), 77)]
    for name, values in tags.items():
        count = max(n_items, len(values))
        parts.append(
            struct.pack(
                "<64si4siii",
                name.encode(),
                len(values),
                VRS.get(name, b"FD"),
                3,
                count if kind == 2 else 6,
                77,
            )
        )
        for number in range(count if kind == 2 else 6):
            content = values[number].encode() + b"\0" if number < len(values) else b""
            stated = len(content) + (6 if kind == 1 else 0)
            parts.append(struct.pack("<4i", stated, len(content), 77, len(content)))
            parts.append(content + bytes(-len(content) % 4))
    return b"".join(parts)


@dataclass
class MosaicPlan:
    """A volume (I, J, K) to be tiled; `origin` is the place of voxel (0, 0, 0), LPS."""

    volume: NDArray[np.integer]
    orientation: tuple[float, ...] = AXIAL
    origin: tuple[float, float, float] = (-10.0, -20.0, 30.0)
    spacing: tuple[float, float] = (3.0, 2.0)
    step: float = 4.5
    sign: float = 1.0  # tiles follow each other along the normal, or against it
    csa: Tags = field(default_factory=dict)
    protocol: str = ""
    kind: int = 2

    @property
    def across(self) -> int:
        return ceil(sqrt(self.volume.shape[2]))

    def directions(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        row, column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        return row, column, np.cross(row, column)

    def place(self, i: int, j: int, k: int) -> NDArray[np.float64]:
        """Where a voxel lies, LPS mm."""
        row, column, normal = self.directions()
        return (
            np.array(self.origin)
            + row * (self.spacing[1] * i)
            + column * (self.spacing[0] * j)
            + normal * (self.sign * self.step * k)
        )


def tile(volume: NDArray[np.integer], across: int) -> NDArray[np.integer]:
    """(I, J, K) as one plane (rows, columns), tiles in reading order, the rest empty."""
    n_i, n_j, n_k = volume.shape
    plane = np.zeros((across * n_j, across * n_i), dtype=volume.dtype)
    for k in range(n_k):
        row, column = k // across * n_j, k % across * n_i
        plane[row : row + n_j, column : column + n_i] = volume[:, :, k].T
    return plane


def build_mosaic(plan: MosaicPlan) -> FileDataset:
    """A mosaic as Siemens writes it."""
    n_i, n_j, n_k = plan.volume.shape
    row, column, normal = plan.directions()
    dataset = new_file(MR, "1.2.3.7.1")
    dataset.Modality = "MR"
    dataset.Manufacturer = "SIEMENS"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.7", "1.2.3.7.0"
    dataset.ImageOrientationPatient = [f"{value:.10g}" for value in plan.orientation]
    corner = (
        np.array(plan.origin)
        - column * (plan.spacing[0] * (plan.across - 1) * n_j / 2)
        - row * (plan.spacing[1] * (plan.across - 1) * n_i / 2)
    )
    dataset.ImagePositionPatient = [f"{value:.10g}" for value in corner]
    dataset.PixelSpacing = list(plan.spacing)
    dataset.SpacingBetweenSlices = plan.step
    dataset.SliceThickness = plan.step / 2
    set_pixels(dataset, tile(plan.volume, plan.across))
    tags = {
        "NumberOfImagesInMosaic": (str(n_k),),
        "SliceNormalVector": tuple(f"{plan.sign * value:.8f}" for value in normal),
    }
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", write_csa(tags | plan.csa, kind=plan.kind))
    if plan.protocol:
        block.add_new(0x20, "OB", write_csa({"MrPhoenixProtocol": (plan.protocol,)}))
    return dataset


def write_protocol(plan: MosaicPlan, *, is_reversed: bool = False) -> str:
    """The lines of a protocol that say where its slices lie."""
    n_i, n_j, n_k = plan.volume.shape
    lines = ["### ASCCONV BEGIN ###", f"sSliceArray.lSize = {n_k}"]
    if is_reversed:
        lines.append("sSliceArray.ucImageNumbTra = 0x1")
    for k in range(n_k):
        centre = (plan.place(0, 0, k) + plan.place(n_i, n_j, k)) / 2
        lines += [
            f"sSliceArray.asSlice[{k}].sPosition.d{axis}\t = \t{value}"
            for axis, value in zip(("Sag", "Cor", "Tra"), centre, strict=True)
            if value
        ]
    return "\n".join([*lines, "### ASCCONV END ###"])


def build_uih_grid(plan: MosaicPlan) -> FileDataset:
    """A grid as UIH writes it: a position for each slice, and no more rows of tiles than needed."""
    n_k = plan.volume.shape[2]
    dataset = build_mosaic(plan)
    dataset.Manufacturer = "UIH"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "VFRAME"]
    del dataset[0x0029_1010], dataset[0x0029_0010]
    rows = ceil(n_k / plan.across) * plan.volume.shape[1]
    set_pixels(dataset, tile(plan.volume, plan.across)[:rows])
    dataset.add_new(0x0065_0010, "LO", "Image Private Header")
    dataset.add_new(0x0065_1050, "DS", str(n_k))
    items = []
    for k in range(n_k):
        item = Dataset()
        item.ImagePositionPatient = [f"{value:.10g}" for value in plan.place(0, 0, k)]
        items.append(item)
    dataset.add_new(0x0065_1051, "SQ", items)
    return dataset


def assert_equals_nibabel(dataset: FileDataset) -> None:
    """Hold each tile's pixels, if there are any, and each pixel's place to nibabel's."""
    facts = read_frames(dataset)
    reference = _read_with_nibabel(dataset)
    shape = (facts.rows, facts.columns, len(facts.frames))
    assert reference.image_shape == shape
    if "PixelData" in dataset:
        array, plane = reference.get_unscaled_data(), dataset.pixel_array
        for frame in facts.frames:
            row, column = frame.tile or (0, 0)
            pixels = plane[row : row + facts.rows, column : column + facts.columns]
            np.testing.assert_array_equal(pixels, array[:, :, frame.index])
    r, c = np.indices(shape[:2]).reshape(2, -1)
    for k, frame in enumerate(facts.frames):
        assert frame.index == k
        along_row, along_column = np.array(frame.orientation).reshape(2, 3)
        row_mm, column_mm = frame.spacing_mm or (0, 0)
        found = np.array(frame.position_mm) + np.outer(c, along_row * column_mm)
        found = found + np.outer(r, along_column * row_mm)
        index = np.stack([r, c, np.full_like(r, k), np.ones_like(r)], axis=1)
        np.testing.assert_allclose(found, (index @ reference.affine.T)[:, :3], atol=1e-4)


def _read_with_nibabel(dataset: FileDataset) -> Any:
    """Nibabel's mosaic reader: values (row, column, slice), affine LPS."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nibabel.nicom.dicomwrappers import MosaicWrapper

        return MosaicWrapper(dataset)
