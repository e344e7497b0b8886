"""How a header asks for its pixels to be shown, read for one plane."""

from typing import TYPE_CHECKING

from medvision.domain.study import Frame, Instance
from medvision.domain.voi import TABLE, Voi, check_voi
from medvision.errors import DataError
from medvision.io.dicom.values import read_integer, read_items, read_number, read_text
from medvision.io.pixels.description import read_attributes
from medvision.io.pixels.lookup import read_descriptor, read_entries
from medvision.io.quiet import silence_readers
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

UNUSABLE = "voi-unusable"
"""Flag of an image whose window or table has no meaning."""

_SHARED = "SharedFunctionalGroupsSequence"
_PER_FRAME = "PerFrameFunctionalGroupsSequence"
_KEYWORDS = (
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *("PixelRepresentation", "ModalityLUTSequence", _SHARED, _PER_FRAME),
)


def read_voi(data: bytes, instance: Instance, frame: Frame) -> Voi | None:
    """Return the first table, or else the first window, that a header has for a grey plane.

    Both are defined on modality values, before low values are shown white (MONOCHROME1).

    Args:
        data: The whole file.
        instance: Its translated header.
        frame: Which of its planes.

    Returns:
        None where there is none.

    Raises:
        RefusalError: What is there cannot be parsed, or has no meaning.

    Source:
        PS3.3 C.11.2.1 and, for enhanced objects, C.7.6.16.2.10 Frame VOI LUT.
    """
    with silence_readers():
        dataset, is_big_endian = read_attributes(data, instance, _KEYWORDS)
        asked = _find_asked(dataset, frame)
        if items := read_items(asked, "VOILUTSequence"):
            is_signed = _can_be_negative(dataset, frame)
            voi = _read_table(items[0], is_signed=is_signed, is_big_endian=is_big_endian)
        else:
            centre, width = read_number(asked, "WindowCenter"), read_number(asked, "WindowWidth")
            if centre is None or width is None:
                return None
            function = read_text(asked, "VOILUTFunction").upper() or "LINEAR"
            voi = Voi(function, centre=centre, width=width)
    try:
        check_voi(voi)
    except DataError as error:
        raise RefusalError("unreadable", error.message) from error
    return voi


def _find_asked(dataset: "Dataset", frame: Frame) -> "Dataset":
    """Return the attributes that speak of a frame: its own group, the shared one, or the top."""
    groups = read_items(dataset, _PER_FRAME)
    own = groups[frame.index : frame.index + 1]
    for group in (*own, *read_items(dataset, _SHARED)[:1]):
        if items := read_items(group, "FrameVOILUTSequence"):
            return items[0]
    return dataset


def _can_be_negative(dataset: "Dataset", frame: Frame) -> bool:
    """Say whether modality values, and so the place of the first entry, have a sign."""
    if read_items(dataset, "ModalityLUTSequence"):
        return False
    is_signed = read_integer(dataset, "PixelRepresentation", default=0) == 1
    return is_signed or frame.slope < 0 or frame.intercept < 0


def _read_table(item: "Dataset", *, is_signed: bool, is_big_endian: bool) -> Voi:
    """Return a table."""
    n_entries, first, bits = read_descriptor(item, "LUTDescriptor", is_signed=is_signed)
    entries = read_entries(
        item, "LUTData", n_entries=n_entries, bits=bits, is_big_endian=is_big_endian
    )
    return Voi(TABLE, first=first, bits=bits, entries=entries.astype("<u2").tobytes())
