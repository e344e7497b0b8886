"""Enhanced objects with known functional groups, for tests of how they are read."""

from io import BytesIO

import pydicom
from dicoms import AXIAL, ENHANCED_MR, new_file
from pydicom.dataset import Dataset, FileDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medvision.domain.study import Value
from medvision.io.frames.read import FRAME_KEYWORDS, FRAME_TAGS, read_frames

ENCODINGS = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]


def item(**values: object) -> Dataset:
    """An item of a sequence."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def add(group: Dataset, sequence: str, **values: object) -> None:
    """Put a functional group into a frame's item, or add to it."""
    if sequence not in group:
        setattr(group, sequence, [Dataset()])
    for keyword, value in values.items():
        setattr(getattr(group, sequence)[0], keyword, value)


def build_group(k: int, *, step: float = 2.5) -> Dataset:
    """The item of a frame at place k."""
    group = Dataset()
    add(group, "PlanePositionSequence", ImagePositionPatient=[-10.0, -20.0, 30 + step * k])
    return group


def build(groups: list[Dataset], *, pointers: tuple[int, ...] = ()) -> FileDataset:
    """An enhanced object of the given items."""
    dataset = new_file(ENHANCED_MR, "1.2.3.9.1")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "MIXED", "NONE"]
    dataset.Manufacturer = "Anyone"
    dataset.StudyDate = "20240229"
    dataset.Rows, dataset.Columns = 4, 3
    dataset.NumberOfFrames = len(groups)
    dataset.EchoTime = 99  # a decoy: the top level counts for nothing
    common = Dataset()
    add(common, "PlaneOrientationSequence", ImageOrientationPatient=list(AXIAL))
    add(
        common,
        "PixelMeasuresSequence",
        PixelSpacing=[0.7, 0.5],
        SliceThickness=3,
        SpacingBetweenSlices=2.5,
    )
    dataset.SharedFunctionalGroupsSequence = [common]
    dataset.PerFrameFunctionalGroupsSequence = groups
    if pointers:
        dataset.DimensionIndexSequence = [item(DimensionIndexPointer=tag) for tag in pointers]
    return dataset


def write(dataset: FileDataset, encoding: UID = ExplicitVRLittleEndian) -> FileDataset:
    """The header as it is read from a file: nothing but what ingestion asks for."""
    dataset.file_meta.TransferSyntaxUID = encoding
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    stream.seek(0)
    tags: list[int] = [*map(Tag, FRAME_KEYWORDS), *FRAME_TAGS]
    return pydicom.dcmread(stream, specific_tags=tags)


def read_variants(dataset: FileDataset) -> list[dict[str, Value]]:
    """Each frame's variant."""
    return [dict(frame.variant) for frame in read_frames(dataset).frames]


def many_groups(n_times: int = 3, n_places: int = 4) -> list[Dataset]:
    """Frames of several times, echoes and b-values."""
    groups = []
    for number in range(n_times * n_places):
        group = build_group(number % n_places)
        moment, echo = divmod(number // n_places, 2)
        add(group, "FrameContentSequence", TemporalPositionIndex=moment + 1, StackID="1")
        add(group, "MREchoSequence", EffectiveEchoTime=5.0 * echo)
        add(group, "PixelValueTransformationSequence", RescaleSlope=1 + number, RescaleIntercept=0)
        groups.append(group)
    return groups
