"""Small DICOM files with known pixels and known places, for tests of ingestion."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
CR = "1.2.840.10008.5.1.4.1.1.1"
SC = "1.2.840.10008.5.1.4.1.1.7"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

Change = Callable[[Dataset, int], None]


@dataclass
class Plan:
    """What a series looks like; `volume` is (I, J, K): column, row, slice along the normal."""

    volume: NDArray[np.integer]
    orientation: tuple[float, ...] = AXIAL
    origin: tuple[float, float, float] = (-10.0, -20.0, 30.0)
    spacing: tuple[float, float] = (0.7, 0.5)  # between rows, between columns
    step: float = 2.5
    slope: float = 1.0
    intercept: float = -1024.0
    sop_class: str = CT
    modality: str = "CT"
    subject: str = "P-1"
    study: str = "1.2.3.1"
    series: str = "1.2.3.1.1"
    shear: tuple[float, float, float] = (0.0, 0.0, 0.0)  # mm per slice, LPS
    extra: dict[str, object] = field(default_factory=dict)

    def lps_affine(self) -> NDArray[np.float64]:
        """The affine that the standard gives these files, LPS+."""
        row, column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        affine = np.eye(4)
        affine[:3, 0] = row * self.spacing[1]
        affine[:3, 1] = column * self.spacing[0]
        affine[:3, 2] = np.cross(row, column) * self.step + np.array(self.shear)
        affine[:3, 3] = self.origin
        return affine

    def ras_affine(self) -> NDArray[np.float64]:
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.lps_affine()

    def values(self) -> NDArray[np.float64]:
        return self.volume * self.slope + self.intercept


def make_volume(shape: tuple[int, int, int] = (8, 6, 5), *, seed: int = 0) -> NDArray[np.int16]:
    """Random stored values."""
    return np.random.default_rng(seed).integers(0, 2000, shape, dtype=np.int16)


def new_file(sop_class: str, sop_uid: str) -> FileDataset:
    """An empty object with its meta information."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = sop_uid
    return dataset


def set_pixels(dataset: Dataset, plane: NDArray[np.generic]) -> None:
    """Put a plane (rows, columns) into an object."""
    dataset.Rows, dataset.Columns = plane.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 8 * plane.dtype.itemsize
    dataset.BitsStored = dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(np.issubdtype(plane.dtype, np.signedinteger))
    dataset.PixelData = np.ascontiguousarray(plane).tobytes()


def build_slice(plan: Plan, k: int) -> FileDataset:
    """One slice of a series."""
    dataset = new_file(plan.sop_class, f"{plan.series}.{k + 1}")
    dataset.Modality = plan.modality
    dataset.PatientID = plan.subject
    dataset.StudyInstanceUID = plan.study
    dataset.SeriesInstanceUID = plan.series
    dataset.FrameOfReferenceUID = f"{plan.study}.99"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ImageOrientationPatient = [f"{value:.10g}" for value in plan.orientation]
    position = plan.lps_affine() @ [0, 0, k, 1]
    dataset.ImagePositionPatient = [f"{value:.10g}" for value in position[:3]]
    dataset.PixelSpacing = list(plan.spacing)
    dataset.SliceThickness = plan.step
    dataset.RescaleSlope = f"{plan.slope:.10g}"
    dataset.RescaleIntercept = f"{plan.intercept:.10g}"
    set_pixels(dataset, plan.volume[:, :, k].T)
    for keyword, value in plan.extra.items():
        setattr(dataset, keyword, value)
    return dataset


def write_series(folder: Path, plan: Plan, *, change: Change | None = None) -> list[Path]:
    """Write a series under names and instance numbers that tell nothing of its order."""
    folder.mkdir(parents=True, exist_ok=True)
    n_slices = plan.volume.shape[2]
    order = np.random.default_rng(n_slices).permutation(n_slices)
    paths = []
    for k in range(n_slices):
        dataset = build_slice(plan, k)
        dataset.InstanceNumber = int(order[k]) + 1
        if change is not None:
            change(dataset, k)
        path = folder / f"{plan.series}-{order[k]:03d}"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def write_radiograph(folder: Path, plane: NDArray[np.generic], **values: object) -> Path:
    """Write a single image without position: `plane` is (rows, columns)."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = str(values.pop("uid", "1.2.4.1"))
    dataset = new_file(str(values.pop("sop_class", CR)), uid)
    dataset.Modality = "CR"
    dataset.PatientID = "P-2"
    dataset.StudyInstanceUID = "1.2.4"
    dataset.SeriesInstanceUID = f"{uid}.0"
    set_pixels(dataset, plane)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    path = folder / f"image-{uid}"
    dataset.save_as(path, enforce_file_format=True)
    return path


def build_enhanced(plan: Plan, *, order: list[int]) -> FileDataset:
    """An enhanced MR object whose frames come in the given order."""
    dataset = new_file(ENHANCED_MR, f"{plan.series}.1")
    dataset.Modality = "MR"
    dataset.PatientID = plan.subject
    dataset.StudyInstanceUID = plan.study
    dataset.SeriesInstanceUID = plan.series
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    planes = np.stack([plan.volume[:, :, k].T for k in order])
    set_pixels(dataset, planes[0])
    dataset.NumberOfFrames = len(order)
    dataset.PixelData = np.ascontiguousarray(planes).tobytes()
    shared = Dataset()
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = list(plan.orientation)
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = list(plan.spacing)
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [_build_frame(plan, k) for k in order]
    # A decoy: the top level counts for nothing in an enhanced object.
    dataset.RescaleSlope, dataset.RescaleIntercept = 7, 7
    return dataset


def _build_frame(plan: Plan, k: int) -> Dataset:
    """One frame's functional groups; its rescale varies with k."""
    frame = Dataset()
    frame.PlanePositionSequence = [Dataset()]
    position = plan.lps_affine() @ [0, 0, k, 1]
    frame.PlanePositionSequence[0].ImagePositionPatient = [f"{v:.10g}" for v in position[:3]]
    frame.PixelValueTransformationSequence = [Dataset()]
    frame.PixelValueTransformationSequence[0].RescaleSlope = 1 + k
    frame.PixelValueTransformationSequence[0].RescaleIntercept = -k
    return frame


def compress(source: Path, syntax: str, target: Path) -> None:
    """Write a file again in another transfer syntax."""
    dataset = pydicom.dcmread(source)
    dataset.compress(UID(syntax), generate_instance_uid=False)
    dataset.save_as(target, enforce_file_format=True)
