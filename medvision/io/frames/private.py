"""What tells planes apart in vendors' private attributes: diffusion, component, cardiac phase."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from medvision.domain.novelty.vendors import find_vendor
from medvision.domain.study import Value
from medvision.io.dicom.elements import (
    find_bytes,
    find_first_private,
    find_item,
    find_texts,
    guess_numbers,
)
from medvision.io.frames.csa import read_csa
from medvision.io.frames.variants import Variant, format_gradient, parse_number, parse_numbers
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

SIEMENS_MR = (0x0019, "SIEMENS MR HEADER")
SIEMENS_CSA = (0x0029, "SIEMENS CSA HEADER")
SIEMENS_SDS = (0x0021, "SIEMENS MR SDS 01")
GE_ACQUISITION = (0x0019, "GEMS_ACQU_01")
GE_RELATION = (0x0021, "GEMS_RELA_01")
GE_PARAMETERS = (0x0043, "GEMS_PARM_01")
PHILIPS_IMAGING = (0x2001, "Philips Imaging DD 001")
PHILIPS_MR = (0x2005, "Philips MR Imaging DD 001")
PHILIPS_FRAME = (0x2005, "Philips MR Imaging DD 005")
UIH_BLOCK = 0x0065_1000
"""UIH's elements lie at fixed tags; its creators are not where the standard wants them."""

_ELEMENTS = {
    SIEMENS_MR: (0x0A, 0x0C, 0x0E),
    SIEMENS_CSA: (0x10, 0x20),
    SIEMENS_SDS: (0x19,),
    GE_ACQUISITION: (0xBB, 0xBC, 0xBD),
    GE_PARAMETERS: (0x2F, 0x30, 0x39),
    GE_RELATION: (0x5A,),
    PHILIPS_IMAGING: (0x03, 0x08, 0x17),
    PHILIPS_MR: (0xB0, 0xB1, 0xB2),
    PHILIPS_FRAME: (0x0F,),
}
_UIH_ELEMENTS = (0x09, 0x37, 0x50, 0x51)
_BLOCKS = range(0x10, 0x20)

PRIVATE_TAGS = tuple(
    sorted(
        {
            *(group << 16 | block for group, _ in _ELEMENTS for block in _BLOCKS),
            *(
                group << 16 | block << 8 | element
                for (group, _), elements in _ELEMENTS.items()
                for block in _BLOCKS
                for element in elements
            ),
            *(UIH_BLOCK | element for element in _UIH_ELEMENTS),
        }
    )
)
"""Tags, 0xGGGGEEEE, of private elements that variants and mosaics need, and of their creators."""

PRIVATE_KEYWORDS = ("ImageComments", "Manufacturer", "SharedFunctionalGroupsSequence")
"""Public attributes that private readers look at; of comments no more than a b-value's numbers."""

_GE_BIAS = (1e9, 1e6)
_GE_DIFFUSION = (14, 16)
"""Vas collapse flag of images without and with diffusion weighting in a diffusion series."""

_GE_COMPONENTS = {0: "M", 1: "P", 2: "R", 3: "I"}
_CANON_DIFFUSION = re.compile(
    r"\s*b=(\d{1,6}(?:\.\d+)?)(?:\(([-+\d.eE]+),([-+\d.eE]+),([-+\d.eE]+)\))?"
)

_IMAGE_COMMENTS = 0x0020_4000
_MANUFACTURER = 0x0008_0070
_SHARED_GROUPS = 0x5200_9229
_MR_DIFFUSION = 0x0018_9117
_B_VALUE = 0x0018_9087
_GRADIENT = 0x0018_9089


def read_private_variant(dataset: "Dataset") -> Variant:
    """Read what only private attributes tell of a plane.

    The vendor named by Manufacturer is asked; where none is named, every vendor whose private
    creators are there. Values that cannot be parsed are left out.

    Args:
        dataset: Top level, or an item that repeats the attributes of a classic header.

    Returns:
        Names and values, sorted by name: b-value, gradient, component, cardiac-phase-percent.
        Directions are in the vendor's own frame, and tell planes apart no more.

    Source:
        dcm2niix, notes on Siemens, GE, Philips, UIH and Canon; NAMIC wiki, "DICOM for DWI and
        DTI"; BRAINSTools, HitachiDWIConverter (facts only).
    """
    texts = find_texts(dataset, _MANUFACTURER)
    return read_vendor_variant(dataset, find_vendor(texts[0]) if texts else "")


def read_vendor_variant(dataset: "Dataset", vendor: str) -> Variant:
    """Read what one vendor's private attributes tell of a plane, or any vendor's.

    Args:
        dataset: Top level or item.
        vendor: Controlled name, such as Philips; "" for every vendor.

    Returns:
        As read_private_variant.
    """
    named = [_READERS[vendor]] if vendor in _READERS else []
    found: dict[str, Value] = {}
    for reader in named if vendor else dict.fromkeys(_READERS.values()):
        try:
            facts = reader(dataset)
        except RefusalError:  # a broken private element is no reason to refuse an image
            continue
        found = facts | found
    return tuple(sorted(found.items()))


def find_block(dataset: "Dataset", owner: tuple[int, str]) -> int | None:
    """Return 0xGGGGBB00 of a private block, None where another creator owns the group.

    Args:
        dataset: Top level or item.
        owner: Group and creator.
    """
    group, creator = owner
    return find_first_private(dataset, group, creator=creator)


def _describe_diffusion(b_value: float | None, direction: tuple[float, ...]) -> dict[str, Value]:
    """Return b-value and gradient, none where the b-value is unknown or impossible."""
    if b_value is None or b_value < 0:
        return {}
    return {"b-value": b_value, "gradient": format_gradient(direction) if b_value > 0 else ""}


def _read_siemens(dataset: "Dataset") -> dict[str, Value]:
    """Read Siemens' diffusion: group 0019, or else the CSA header."""
    block = find_block(dataset, SIEMENS_MR)
    if block is not None:
        b_value = guess_numbers(dataset, block | 0x0C, vr="IS")
        if b_value:
            direction = guess_numbers(dataset, block | 0x0E, vr="FD")
            return _describe_diffusion(b_value[0], direction)
    block = find_block(dataset, SIEMENS_CSA)
    if block is None:
        return {}
    names = ("B_value", "DiffusionGradientDirection")
    csa = read_csa(find_bytes(dataset, block | 0x10), names)
    direction = parse_numbers(csa.get(names[1], ())) or ()
    return _describe_diffusion(parse_number(csa.get(names[0], ())), direction)


def _read_ge(dataset: "Dataset") -> dict[str, Value]:
    """Read GE's diffusion, whose b-value may have 10⁹ or 10⁶ added, and the kind of component."""
    block = find_block(dataset, GE_PARAMETERS)
    if block is None:
        return {}
    found: dict[str, Value] = {}
    b_values = guess_numbers(dataset, block | 0x39, vr="IS")
    b_value = b_values[0] if b_values else 0.0
    for bias in _GE_BIAS:
        b_value = b_value % bias if b_value >= bias else b_value
    if b_value > 0 or _is_ge_diffusion(dataset, block):
        found |= _describe_diffusion(b_value, _read_ge_direction(dataset))
    component = guess_numbers(dataset, block | 0x2F, vr="SS")
    if component and component[0] in _GE_COMPONENTS:
        found["component"] = _GE_COMPONENTS[int(component[0])]
    return found


def _is_ge_diffusion(dataset: "Dataset", block: int) -> bool:
    """Say whether a b-value of 0 is one: the series has directions, or the image is of diffusion.

    Without that, 0 is what any image of GE states.
    """
    relation = find_block(dataset, GE_RELATION)
    directions = () if relation is None else guess_numbers(dataset, relation | 0x5A, vr="SL")
    collapse = guess_numbers(dataset, block | 0x30, vr="SS")
    return (bool(directions) and directions[0] > 0) or (
        bool(collapse) and collapse[0] in _GE_DIFFUSION
    )


def _read_ge_direction(dataset: "Dataset") -> tuple[float, ...]:
    """Return GE's direction: three elements of one number each."""
    block = find_block(dataset, GE_ACQUISITION)
    if block is None:
        return ()
    parts = (guess_numbers(dataset, block | element, vr="DS")[:1] for element in (0xBB, 0xBC, 0xBD))
    return tuple(number for part in parts for number in part)


def _read_philips(dataset: "Dataset") -> dict[str, Value]:
    """Read Philips' diffusion, and the cardiac phase as a share of the number of phases."""
    found: dict[str, Value] = {}
    block = find_block(dataset, PHILIPS_IMAGING)
    if block is None:
        return found
    b_value = guess_numbers(dataset, block | 0x03, vr="FL")
    mr_block = find_block(dataset, PHILIPS_MR)
    if b_value:
        parts = (
            guess_numbers(dataset, mr_block | element, vr="FL")[:1] if mr_block is not None else ()
            for element in (0xB0, 0xB1, 0xB2)
        )
        direction = tuple(number for part in parts for number in part)
        found |= _describe_diffusion(b_value[0], direction)
    phase = guess_numbers(dataset, block | 0x08, vr="IS")
    count = guess_numbers(dataset, block | 0x17, vr="SL")
    if phase and count and 1 <= phase[0] <= count[0] and count[0] > 1:
        found["cardiac-phase-percent"] = 100 * (phase[0] - 1) / count[0]
    return found


def _read_uih(dataset: "Dataset") -> dict[str, Value]:
    """Read UIH's diffusion."""
    b_value = guess_numbers(dataset, UIH_BLOCK | 0x09, vr="FD")
    direction = guess_numbers(dataset, UIH_BLOCK | 0x37, vr="FD")
    return _describe_diffusion(b_value[0] if b_value else None, direction)


def _read_canon(dataset: "Dataset") -> dict[str, Value]:
    """Read Canon's diffusion: a comment such as `b=1500(0.445,0.000,0.895)`."""
    texts = find_texts(dataset, _IMAGE_COMMENTS)
    match = _CANON_DIFFUSION.match(texts[0]) if texts else None
    if match is None:
        return {}
    direction = parse_numbers(tuple(part for part in match.groups()[1:] if part)) or ()
    return _describe_diffusion(float(match.group(1)), direction)


def _read_hitachi(dataset: "Dataset") -> dict[str, Value]:
    """Read Hitachi's diffusion: public attributes in a shared group of a classic object."""
    shared = find_item(dataset, _SHARED_GROUPS)
    if shared is None:
        return {}
    item = find_item(shared, _MR_DIFFUSION) or shared
    b_value = guess_numbers(item, _B_VALUE, vr="FD")
    direction = guess_numbers(item, _GRADIENT, vr="FD")
    return _describe_diffusion(b_value[0] if b_value else None, direction)


_READERS: dict[str, Callable[["Dataset"], dict[str, Value]]] = {
    "Siemens": _read_siemens,
    "GE": _read_ge,
    "Philips": _read_philips,
    "UIH": _read_uih,
    "Canon": _read_canon,
    "Toshiba": _read_canon,
    "Hitachi": _read_hitachi,
    "Fujifilm": _read_hitachi,
}
