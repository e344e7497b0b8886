"""Scans as DICOM files, each slice a CT image with the headers of a hospital."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from medvision.domain.geometry import LPS_TO_RAS
from medvision.phantom.scan import Scan
from medvision.phantom.streams import build_uid

CODECS: dict[str, tuple[UID, str]] = {
    "rle": (RLELossless, "pydicom"),
    "jpegls": (JPEGLSLossless, "pyjpegls"),
    "jpeg2000": (JPEG2000Lossless, "pylibjpeg"),
}
"""Codec to transfer syntax and the one encoder used, so that bytes do not depend on what else
is installed."""

COMPRESSED_EVERY = 3
"""Every third slice of a scanner with a codec is stored compressed."""

_MINIMUM_JPEG2000 = 32

Frame = NDArray[np.int16] | NDArray[np.uint16]
"""(rows, columns) of stored values."""


def encode_slices(scan: Scan) -> list[bytes]:
    """Return the DICOM files of a scan, one a slice, k rising.

    Source:
        PS3.3 A.3 (CT Image IOD), C.7.6.2 (image plane), C.8.2.1 (CT image).
    """
    files = []
    for k in range(scan.grid.shape[2]):
        dataset = build_slice_header(scan, k=k)
        codec = _choose_codec(scan, k=k)
        put_pixels(dataset, scan.stored[:, :, k].T, codec=codec)
        files.append(encode_file(dataset))
    return files


def _choose_codec(scan: Scan, *, k: int) -> str:
    """Return how a slice is stored: every third one as the scanner compresses."""
    codec = scan.subject.scanner.codec if k % COMPRESSED_EVERY == 0 else "none"
    # The encoder halves each side five times, which smaller frames do not bear.
    too_small = min(scan.grid.shape[:2]) < _MINIMUM_JPEG2000
    return "rle" if codec == "jpeg2000" and too_small else codec


def build_study_header(scan: Scan) -> Dataset:
    """Return what all objects of a study share: patient, study, equipment; all of it made up.

    Source:
        PS3.3 C.7.1.1 (patient), C.7.2.1 (general study), C.7.5.1 (general equipment).
    """
    subject, scanner = scan.subject, scan.subject.scanner
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = subject.name
    dataset.PatientID = subject.identifier
    dataset.PatientBirthDate = subject.birth_date
    dataset.PatientSex = subject.sex
    dataset.PatientAge = f"{subject.age:03d}Y"
    dataset.PatientAddress = f"{subject.index + 1} Nowhere Lane, Phantomville"
    dataset.StudyInstanceUID = scan.study_uid
    dataset.StudyID = f"S{subject.index:04d}{scan.visit}"
    dataset.StudyDate = f"{int(subject.study_date[:4]) + scan.visit}{subject.study_date[4:]}"
    dataset.StudyTime = f"{8 + subject.index % 10:02d}{subject.index % 60:02d}00"
    dataset.StudyDescription = f"CT chest of {subject.name.replace('^', ', ')}"
    dataset.AccessionNumber = f"ACC{subject.index:05d}{scan.visit}"
    dataset.ReferringPhysicianName = "Zzdoctor^Imaginary"
    dataset.InstitutionName = f"Phantom Hospital {scanner.site.title()}"
    dataset.Manufacturer = scanner.manufacturer
    dataset.ManufacturerModelName = scanner.model
    dataset.StationName = scanner.model.split()[0].upper()
    dataset.FrameOfReferenceUID = build_uid(scan.study_uid, "frame")
    block = dataset.private_block(0x0011, "PHANTASMA HEADER", create=True)
    block.add_new(0x01, "LO", f"{subject.name} {subject.birth_date}")
    return dataset


def build_slice_header(scan: Scan, *, k: int) -> Dataset:
    """Return the whole header of one slice, without its pixels.

    Args:
        scan: The scan.
        k: Index of the slice along the slice normal.
    """
    dataset = build_study_header(scan)
    dataset.update(_build_image_header(scan, k=k))
    n_slices = scan.grid.shape[2]
    dataset.InstanceNumber = n_slices - k if scan.subject.scanner.descending else k + 1
    dataset.SOPInstanceUID = build_uid(scan.series_uid, "instance", k)
    return dataset


def _build_image_header(scan: Scan, *, k: int) -> Dataset:
    """Return what places one slice and gives its stored values a meaning.

    Source:
        PS3.3 C.7.6.2.1.1: position of the first voxel; direction of rows and columns (LPS).
    """
    scanner = scan.subject.scanner
    lps = LPS_TO_RAS @ scan.grid.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    direction = lps[:3, :3] / spacing
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Modality = "CT"
    dataset.SeriesInstanceUID = scan.series_uid
    dataset.SeriesNumber = 2
    dataset.SeriesDescription = f"Chest {spacing[2]:.1f} mm"
    dataset.BodyPartExamined = "CHEST"
    dataset.PatientPosition = scanner.position
    dataset.KVP = "120"
    dataset.ConvolutionKernel = "MADE-UP"
    dataset.SliceThickness = format_decimal(spacing[2])
    dataset.SpacingBetweenSlices = format_decimal(spacing[2])
    # Pixel Spacing is (between rows, between columns): j first.
    dataset.PixelSpacing = [format_decimal(spacing[1]), format_decimal(spacing[0])]
    dataset.ImageOrientationPatient = [
        format_decimal(value) for value in (*direction[:, 0], *direction[:, 1])
    ]
    position = lps[:3] @ (0, 0, k, 1)
    dataset.ImagePositionPatient = [format_decimal(value) for value in position]
    dataset.SliceLocation = format_decimal(position[2])
    dataset.RescaleSlope = format_decimal(scanner.slope)
    dataset.RescaleIntercept = format_decimal(scanner.intercept)
    dataset.RescaleType = "HU"
    return dataset


def format_decimal(value: float) -> str:
    """Return a decimal string of at most 16 characters.

    Source:
        PS3.5 6.2, VR DS.
    """
    text = f"{float(value):.9f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text[:16]


def put_pixels(dataset: Dataset, frame: Frame, *, codec: str) -> None:
    """Fill in a frame and how it is stored.

    Args:
        dataset: Header, changed in place: it is being built.
        frame: (rows, columns) stored values.
        codec: none, or a key of CODECS.
    """
    dataset.Rows, dataset.Columns = frame.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 16
    signed = frame.dtype == np.int16
    dataset.BitsStored = 16 if signed else 12
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(signed)
    little = np.ascontiguousarray(frame, dtype=frame.dtype.newbyteorder("<"))
    if codec == "none":
        dataset.PixelData = little.tobytes()
        dataset["PixelData"].VR = "OW"
        return
    syntax, plugin = CODECS[codec]
    encoded = get_encoder(syntax).encode(
        little,
        encoding_plugin=plugin,
        rows=dataset.Rows,
        columns=dataset.Columns,
        samples_per_pixel=1,
        photometric_interpretation=dataset.PhotometricInterpretation,
        bits_allocated=16,
        bits_stored=dataset.BitsStored,
        pixel_representation=dataset.PixelRepresentation,
        number_of_frames=1,
    )
    dataset.PixelData = encapsulate([encoded])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax


def encode_file(dataset: Dataset) -> bytes:
    """Return a dataset as the bytes of a DICOM file.

    Source:
        PS3.10 7.1 (file meta information).
    """
    compressed = getattr(dataset, "file_meta", None)
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = compressed.TransferSyntaxUID if compressed else ExplicitVRLittleEndian
    # Named here, since pydicom would write its own version into the bytes.
    meta.ImplementationClassUID = UID(build_uid("implementation"))
    meta.ImplementationVersionName = "MEDVISION PHANTOM"[:16]
    buffer = BytesIO()
    FileDataset(buffer, dataset, preamble=b"\0" * 128, file_meta=meta).save_as(
        buffer, enforce_file_format=True
    )
    return buffer.getvalue()
