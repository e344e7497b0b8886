"""Subjects' images before they are volumes: instances, their frames, and series of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

PositionMm = tuple[float, float, float]
"""Centre of the first pixel, LPS+ mm."""

Orientation = tuple[float, float, float, float, float, float]
"""Direction of the row (of rising column index), then of the column, LPS+ unit vectors."""

SpacingRowColumnMm = tuple[float, float]
"""Distance between rows (along j), then between columns (along i), mm."""


Role = Literal["original", "derived", "localizer", "capture"]
"""What an image is for: read as acquired, computed from others, planned with, or a screenshot."""

Value = float | str
"""A value that tells planes apart: a number in the unit that its name states, or a term."""

PARTS = ("echo-time-ms", "echo-number", "component", "image-kind", "stack")
"""Names of values that divide a series into images of their own.

component is M, P, R or I (magnitude, phase, real, imaginary); image-kind the remaining values of
ImageType that describe the pixels; stack the id of a stack of an enhanced object.
"""

AXES = (
    "temporal-position",
    "b-value",
    "gradient",
    "cardiac-phase-percent",
    "trigger-time-ms",
    "inversion-time-ms",
    "acquisition-number",
    "frame-time-ms",
    "acquisition-time-s",
    "content-time-s",
    "instance-number",
)
"""Names of values that can form the fourth axis, the most telling first.

b-value in s/mm²; gradient the direction as `x,y,z`, empty where there is none; times of the day in
seconds since midnight. instance-number is trusted last, and never orders slices.
"""


@dataclass(frozen=True)
class PixelLayout:
    """How an instance's stored pixels lie in its file.

    Args:
        syntax: UID of the transfer syntax.
        offset: Byte of the file at which the pixels begin; None where that cannot be told without
            a full parse (deflated files).
        length: Bytes of the pixels; None where they are encapsulated or deflated.
        bits_allocated: Bits per sample in the file.
        bits_stored: Bits of the value.
        high_bit: Place of the value's most significant bit.
        is_signed: Two's complement.
        is_big_endian: Byte order of native samples.
        is_plain: The file holds, at `offset`, uncompressed whole-number grey samples of 8, 16 or
            32 bits, whose value is slope * stored + intercept: they can be read without a decoder.
    """

    syntax: str
    offset: int | None
    length: int | None
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_big_endian: bool
    is_plain: bool


@dataclass(frozen=True)
class Frame:
    """One plane of pixels inside an instance.

    Args:
        index: Place within the instance, from 0; in a mosaic the number of the tile.
        position_mm: Centre of the first pixel, LPS+ mm.
        orientation: Row and column directions, LPS+.
        spacing_mm: Distance between rows, between columns, mm.
        slope: Modality value per stored unit.
        intercept: Modality value of stored 0.
        variant: What else tells planes apart, sorted by name: (name of PARTS or AXES, value).
        tile: (row, column) of the plane's first pixel in a mosaic; None elsewhere.

    Source:
        PS3.3 C.7.6.2 Image Plane, C.11.1 Modality LUT.
    """

    index: int
    position_mm: PositionMm | None = None
    orientation: Orientation | None = None
    spacing_mm: SpacingRowColumnMm | None = None
    slope: float = 1.0
    intercept: float = 0.0
    variant: tuple[tuple[str, Value], ...] = ()
    tile: tuple[int, int] | None = None

    @property
    def has_geometry(self) -> bool:
        return None not in (self.position_mm, self.orientation, self.spacing_mm)


@dataclass(frozen=True)
class Instance:
    """One stored object with pixels, as its header tells it, already under pseudonyms.

    Args:
        file: Pseudonymous id of the file.
        path: Path below the source folder; `archive!member` for a file of an archive.
        subject: Pseudonym of the subject: of issuer and identifier where an issuer is named.
        study_uid: Pseudonym of the study's UID.
        series_uid: Pseudonym of the series' UID; empty where the header has none.
        sop_uid: Pseudonym of this instance's UID.
        image_key: Pseudonym of the user's name of the series.
        image_name: Id of the series' first image; further ones are named after it.
        subject_key: Pseudonym of the subject's identifier alone, whatever its issuer.
        sop_class: UID of the kind of object.
        modality: Controlled term such as CT.
        image_type: Values that tell the image's role, such as (ORIGINAL, PRIMARY, AXIAL).
        frame_of_reference: Pseudonym of the UID of the space that positions refer to.
        rows: Pixels along a column of one plane (of one tile, in a mosaic).
        columns: Pixels along a row of one plane.
        samples: 1 for grey, 3 for colour.
        photometric: How samples are meant, such as MONOCHROME2.
        thickness_mm: Nominal slice thickness or distance.
        units: HU, Bq/mL or another controlled term; none where unknown.
        manufacturer: Controlled name or empty.
        frames: At least one.
        flags: Controlled codes of what is worth knowing.
        role: What the image is for.
        pixels: Where the pixels lie; None where the object has none.
        is_partial: Told by the bounded scan alone: what only a full parse can tell (private
            attributes) is not among the variants.
        date: Date of the study, YYYY-MM-DD, shifted by the subject's own number of days.
        age_years: Age at the study, capped; None where unknown.
        sex: M, F, O or empty.
        person_key: Pseudonym of name, birth date and sex; empty where they name nobody.
        protocol: How the image was acquired, for the sidecar: BIDS key and number or controlled
            term, sorted by key.
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
    image_key: str = ""
    subject_key: str = ""
    image_name: str = ""
    role: Role = "original"
    pixels: PixelLayout | None = None
    is_partial: bool = False
    date: str = ""
    age_years: float | None = None
    sex: str = ""
    person_key: str = ""
    protocol: tuple[tuple[str, Value], ...] = ()
    fault: tuple[str, str] | None = None

    @property
    def is_encapsulated(self) -> bool:
        """The pixels come from a codec, and decoding them runs native code."""
        return self.pixels is not None and self.pixels.length is None


@dataclass(frozen=True)
class Slice:
    """One frame together with the instance that holds it."""

    instance: Instance
    frame: Frame

    @property
    def identity(self) -> tuple[str, int, str]:
        """What orders slices; the file matters only among copies of one frame."""
        return self.instance.sop_uid, self.frame.index, self.instance.file


def find_instances(slices: Iterable[Slice]) -> tuple[Instance, ...]:
    """Return the instances that hold some slices, each once, in the order of the slices."""
    return tuple({item.instance.file: item.instance for item in slices}.values())


@dataclass(frozen=True)
class Grid:
    """Slices of one series that may form one image, in no particular order.

    Args:
        slices: At least one.
        index: Place of the grid among those of its series.
        is_stack: The slices have positions and form volumes; otherwise planes without geometry:
            copies of one 2D image, or the frames of one cine.
        is_incomplete: A file of the series, here or in another grid, has a fault.
        part: What sets the grid apart from others of its series: (name of PARTS, or
            acquisition-number or acquisition-time-s of one pass among several, value).
    """

    slices: tuple[Slice, ...]
    index: int
    is_stack: bool
    is_incomplete: bool
    part: tuple[tuple[str, Value], ...] = ()

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
