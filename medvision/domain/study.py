"""Subjects' images before they are volumes: instances, their frames, and series of them."""

from dataclasses import dataclass, field

PositionMm = tuple[float, float, float]
"""Centre of the first pixel, LPS+ mm."""

Orientation = tuple[float, float, float, float, float, float]
"""Direction of the row (of rising column index), then of the column, LPS+ unit vectors."""

SpacingRowColumnMm = tuple[float, float]
"""Distance between rows (along j), then between columns (along i), mm."""


@dataclass(frozen=True)
class Frame:
    """One plane of pixels inside an instance.

    Args:
        index: Place within the instance, from 0.
        position_mm: Centre of the first pixel, LPS+ mm.
        orientation: Row and column directions, LPS+.
        spacing_mm: Distance between rows, between columns, mm.
        slope: Modality value per stored unit.
        intercept: Modality value of stored 0.
        variant: What else tells planes apart: (attribute name, value), such as the echo time.

    Source:
        PS3.3 C.7.6.2 Image Plane, C.11.1 Modality LUT.
    """

    index: int
    position_mm: PositionMm | None = None
    orientation: Orientation | None = None
    spacing_mm: SpacingRowColumnMm | None = None
    slope: float = 1.0
    intercept: float = 0.0
    variant: tuple[tuple[str, str], ...] = ()

    @property
    def has_geometry(self) -> bool:
        return None not in (self.position_mm, self.orientation, self.spacing_mm)


@dataclass(frozen=True)
class Instance:
    """One stored object with pixels, as its header tells it.

    It holds the identifiers of the source; only pseudonyms of them may be written anywhere.

    Args:
        file: Pseudonymous id of the file.
        path: Path below the source folder.
        subject: Identifier of the subject, as the source has it.
        study_uid: UID of the study.
        series_uid: UID of the series; empty where the header has none.
        sop_uid: UID of this instance.
        sop_class: UID of the kind of object.
        modality: Controlled term such as CT.
        image_type: Values that tell the image's role, such as (ORIGINAL, PRIMARY, AXIAL).
        frame_of_reference: UID of the space that positions refer to.
        rows: Pixels along a column.
        columns: Pixels along a row.
        samples: 1 for grey, 3 for colour.
        photometric: How samples are meant, such as MONOCHROME2.
        thickness_mm: Nominal slice thickness or distance.
        units: HU or none.
        manufacturer: Controlled name or empty.
        frames: At least one.
        flags: Controlled codes of what is worth knowing.
        is_encapsulated: The pixels come from a codec, and decoding them runs native code.
        fault: (reason, detail) where the pixels cannot be used and only the header counts.
    """

    file: str
    path: str
    subject: str
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    modality: str
    image_type: tuple[str, ...]
    frame_of_reference: str
    rows: int
    columns: int
    samples: int
    photometric: str
    thickness_mm: float | None
    units: str
    manufacturer: str
    frames: tuple[Frame, ...]
    flags: tuple[str, ...] = ()
    is_encapsulated: bool = False
    fault: tuple[str, str] | None = None


@dataclass(frozen=True)
class Slice:
    """One frame together with the instance that holds it."""

    instance: Instance
    frame: Frame


@dataclass(frozen=True)
class Grid:
    """Slices of one series that may form one image, in no particular order.

    Args:
        slices: At least one.
        index: Place of the grid among those of its series.
        is_stack: The slices have positions and form a volume; otherwise copies of one 2D image.
        is_incomplete: A file of the series, here or in another grid, has a fault.
    """

    slices: tuple[Slice, ...]
    index: int
    is_stack: bool
    is_incomplete: bool

    @property
    def first(self) -> Instance:
        return self.slices[0].instance

    @property
    def files(self) -> tuple[str, ...]:
        """Ids of the files, each once, sorted."""
        return tuple(sorted({item.instance.file for item in self.slices}))


@dataclass(frozen=True)
class Series:
    """The instances that one subject, study and series UID have in common."""

    subject: str
    study_uid: str
    series_uid: str
    instances: tuple[Instance, ...] = field(default=())


def group_series(instances: list[Instance]) -> list[Series]:
    """Group instances by subject, study and series UID, in an order that names cannot change.

    The subject takes part, so that a series UID used for two people never mixes them.

    Args:
        instances: In any order.

    Returns:
        Series sorted by their identifiers, instances sorted by UID and then by file id.
    """
    groups: dict[tuple[str, str, str], list[Instance]] = {}
    for instance in instances:
        key = (instance.subject, instance.study_uid, instance.series_uid)
        groups.setdefault(key, []).append(instance)
    return [
        Series(*key, tuple(sorted(groups[key], key=lambda item: (item.sop_uid, item.file))))
        for key in sorted(groups)
    ]
