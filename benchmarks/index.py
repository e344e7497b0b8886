"""CPU time to read the header of a DICOM file: the bounded scan against pydicom, in one run.

A synthetic archive of uncompressed CT slices is written, each with 114 attributes (a fifth of
them private, two sequences among them), then read several times by

- `scan`: what ingestion does to index a file, from opening it to the instance under pseudonyms;
- `full`: the same instance by pydicom, as ingestion does for files that the scan distrusts;
- `dcmread`: pydicom.dcmread(stop_before_pixels=True) alone, without translation.

The least CPU time counts. Each way is timed on the same files, whose bytes are in memory's cache.

    python benchmarks/index.py [folder] [--files 400] [--repeats 5]

Of another folder, files that are no DICOM are left out, and it is printed how many the scan trusts:
the others cost `full`, and so do their part of `scan`.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from medvision.domain.study import Instance
from medvision.io.deidentify import Pseudonymiser
from medvision.io.headers.translate import read_instance, read_instance_fully
from medvision.io.reasons import RefusalError

CT = "1.2.840.10008.5.1.4.1.1.2"
SIZE = 64
NAMES = Pseudonymiser(bytes(range(32)))


def build_slice(number: int) -> FileDataset:
    """One slice with as many attributes as a scanner writes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(CT)
    meta.MediaStorageSOPInstanceUID = UID(f"1.2.826.0.1.3680043.8.498.7.{number}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    item.SOPClassUID, item.SOPInstanceUID = CT, meta.MediaStorageSOPInstanceUID
    item.SpecificCharacterSet = "ISO_IR 100"
    item.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
    for keyword in ("Study", "Series", "Acquisition", "Content"):
        setattr(item, f"{keyword}Date", "20240229")
        setattr(item, f"{keyword}Time", f"1015{number % 60:02d}.250000")
    item.Modality, item.Manufacturer = "CT", "SIEMENS"
    item.PatientName, item.PatientID, item.PatientAge = "Doe^J", f"P-{number // 200}", "045Y"
    item.PatientBirthDate, item.PatientSex = "19790101", "F"
    item.StudyInstanceUID, item.SeriesInstanceUID = (
        "1.2.826.0.1.7",
        f"1.2.826.0.1.7.{number // 200}",
    )
    item.FrameOfReferenceUID = "1.2.826.0.1.7.99"
    item.ImagePositionPatient = [-249.5117, -430.5117, -1050.5 + 1.25 * (number % 200)]
    item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    item.PixelSpacing, item.SliceThickness, item.InstanceNumber = (
        [0.9765625, 0.9765625],
        1.25,
        number,
    )
    item.RescaleSlope, item.RescaleIntercept, item.RescaleType = 1, -1024, "HU"
    item.KVP, item.ExposureTime, item.XRayTubeCurrent, item.PatientPosition = 120, 500, 210, "HFS"
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.Rows = item.Columns = SIZE
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 12, 11, 0
    add_rest(item)
    item.PixelData = bytes(2 * SIZE * SIZE)
    return item


def add_rest(item: Dataset) -> None:
    """Add what translation does not need: texts, sequences and private elements."""
    texts = (
        "AccessionNumber InstitutionName StationName StudyDescription SeriesDescription StudyID "
        "ManufacturerModelName OperatorsName ReferringPhysicianName InstitutionAddress "
        "InstitutionalDepartmentName ProtocolName BodyPartExamined DeviceSerialNumber "
        "SoftwareVersions ConvolutionKernel FilterType AdditionalPatientHistory EthnicGroup "
        "Occupation RequestedProcedureDescription PerformedProcedureStepDescription PatientComments"
    )
    numbers = (
        "DataCollectionDiameter ReconstructionDiameter DistanceSourceToDetector GantryDetectorTilt "
        "DistanceSourceToPatient TableHeight RotationDirection FocalSpots GeneratorPower "
        "WindowCenter WindowWidth PatientSize AcquisitionNumber "
        "SliceLocation PatientWeight Exposure"
    )
    for keyword in texts.split():
        setattr(item, keyword, "TEXT OF A SCANNER")
    for keyword in numbers.split():
        setattr(item, keyword, "CW" if keyword == "RotationDirection" else "12")
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-D3000", "SRT", "Chest"
    item.ProcedureCodeSequence = [code]
    item.ReferencedImageSequence = [code, code]
    for group, creator in ((0x0019, "SIEMENS CT VA0  COAD"), (0x0029, "SIEMENS CSA HEADER")):
        block = item.private_block(group, creator, create=True)
        for element in range(0x10, 0x1E):
            block.add_new(element, "LO", "a private text")


def write_archive(folder: Path, n_files: int) -> list[Path]:
    """Write the synthetic archive."""
    paths = [folder / f"{number:05d}" for number in range(n_files)]
    for number, path in enumerate(paths):
        build_slice(number).save_as(path, enforce_file_format=True)
    return paths


def read_header(read: Callable[..., Instance | str], path: Path) -> Instance | str:
    """Read one header, a refusal as its reason."""
    try:
        return read(path, file="file", relative_path="file", names=NAMES)
    except RefusalError as refusal:
        return refusal.reason


def read_by_dcmread(path: Path) -> None:
    """Read one header with pydicom alone."""
    dcmread(path, stop_before_pixels=True, force=True)


def find_dicom(folder: Path) -> list[Path]:
    """Return the files of a folder that have DICOM's prefix."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in paths if path.open("rb").read(132)[128:] == b"DICM"]


def measure(read: Callable[[Path], object], paths: Sequence[Path], *, repeats: int) -> float:
    """Return the least CPU time per file in ms."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        for path in paths:
            read(path)
        times.append(time.process_time() - start)
    return 1000 * min(times) / len(paths)


def report(paths: Sequence[Path], *, repeats: int) -> None:
    """Time the three ways on the same files."""
    first = [read_header(read_instance, path) for path in paths]
    n_trusted = sum(isinstance(read, Instance) and read.is_partial for read in first)
    scan = measure(partial(read_header, read_instance), paths, repeats=repeats)
    full = measure(partial(read_header, read_instance_fully), paths, repeats=repeats)
    plain = measure(read_by_dcmread, paths, repeats=repeats)
    print(f"{len(paths)} files, of which the scan trusts {n_trusted}; CPU ms per file:")
    print(f"  scan    {scan:.3f}")
    print(f"  full    {full:.3f}, ratio {full / scan:.1f}")
    print(f"  dcmread {plain:.3f}, ratio {plain / scan:.1f}")


def main() -> None:
    """Read the arguments, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.folder is not None:
        report(find_dicom(arguments.folder), repeats=arguments.repeats)
        return
    with tempfile.TemporaryDirectory() as folder:
        report(write_archive(Path(folder), arguments.files), repeats=arguments.repeats)


if __name__ == "__main__":
    main()
