"""A dataset without what tells who somebody is: each attribute judged, at every depth."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medvision.domain.novelty.vendors import find_vendor
from medvision.io.deidentify import Pseudonymiser, cap_age, parse_age
from medvision.io.dicom.objects import MODALITIES
from medvision.io.dicom.terms import RESCALE_TYPES, is_nucleus, is_stack, is_term
from medvision.io.profile.actions import Action, Options, choose_action, choose_basic, is_excluded
from medvision.io.profile.codes import clean_code, is_code
from medvision.io.profile.shift import Shift, shift_da, shift_dt, shift_tm

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

DUMMY = "ANONYMISED"
"""Takes the place of a text that may not be empty."""

_MAX_DEPTH = 32
_DUMMIES: dict[str, object] = {
    "AS": "000Y",
    "DA": "19000101",
    "DT": "19000101000000",
    "TM": "000000",
    **dict.fromkeys(("DS", "IS"), "0"),
    **dict.fromkeys(("OB", "OW", "UN"), b"\0\0"),
    **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), DUMMY),
}
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_BULK = frozenset((*_PIXELS, "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "LUTData"))
"""Attributes of bytes that may stay: the pixels and what is needed to read them."""

_PALETTE = frozenset(
    f"{prefix}{colour}PaletteColorLookupTableData"
    for prefix in ("", "Segmented")
    for colour in ("Red", "Green", "Blue", "Alpha")
)
"""Attributes of bytes that stay where the pixels are numbers of their entries."""

_TEXTS = ("LO", "SH")
_NUMBERS = ("AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV")
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_SEXES = ("M", "F", "O")
_SMOKING = ("YES", "NO", "UNKNOWN")
_NEUTERED = ("ALTERED", "UNALTERED")


@dataclass(frozen=True)
class Scope:
    """What judging the attributes of one object needs.

    Args:
        names: Holds the key.
        shift: How far the subject's dates go back.
        options: Chosen by the user.
    """

    names: Pseudonymiser
    shift: Shift
    options: Options


def clean_dataset(dataset: "Dataset", scope: Scope, *, depth: int = 0) -> "Dataset":
    """Return a new dataset that holds only what may stay.

    An attribute stays because a rule says so, never because none forbids it: the table of the
    standard comes first, then its kind of value; text, bytes, names and dates outside the table
    go, numbers and defined terms stay.

    Args:
        dataset: Not changed.
        scope: Key, shift and options.
        depth: How many sequences lie around the dataset; pixels are kept at depth 0 alone.
    """
    from pydicom import Dataset

    kept = Dataset()
    for tag in sorted(dataset.keys()):
        # Private values can be large and strange: they are not even parsed.
        element = None if is_excluded(int(tag)) else _read_element(dataset, tag)
        if element is None:
            continue
        cleaned = _clean_element(element, dataset, scope=scope, depth=depth)
        if cleaned is not None:
            kept.add(cleaned)
    return kept


def _read_element(dataset: "Dataset", tag: int) -> "DataElement | None":
    """Return an element that can be parsed and is of the kind that its tag has."""
    from pydicom.datadict import dictionary_VR

    try:
        element = dataset[tag]
        known = dictionary_VR(tag).split(" or ")
    except Exception:  # noqa: BLE001 - pydicom raises what it meets; what cannot be read goes
        return None
    if element.VR in known:
        return element
    # Numbers are checked one by one, so that one kind may stand for another.
    is_number = {element.VR, *known} <= {*_NUMBERS, "DS", "IS"}
    return element if is_number or (" or " in element.VR) else None


def _clean_element(
    element: "DataElement", dataset: "Dataset", *, scope: Scope, depth: int
) -> "DataElement | None":
    """Return what may stay of one element, None for nothing."""
    from pydicom import DataElement

    action = choose_action(int(element.tag), element.VR, options=scope.options)
    if action == "items" or (action == "sort" and element.VR == "SQ"):
        items = _clean_items(element, scope, depth=depth)
        return DataElement(element.tag, "SQ", items)
    if action == "sort" and element.keyword in _PIXELS and depth:
        return None
    value = _JUDGES[action](element, dataset, scope)
    if value is None and action in ("shift", "patient"):
        # What is no date, or no controlled value, is treated as if the option were not chosen.
        value = _JUDGES[choose_basic(int(element.tag), element.VR)](element, dataset, scope)
    return None if value is None else DataElement(element.tag, element.VR, value)


def _clean_items(element: "DataElement", scope: Scope, *, depth: int) -> "list[Dataset]":
    """Clean the items of a sequence; codes that no dictionary holds go."""
    if depth >= _MAX_DEPTH or not isinstance(element.value, Sequence):
        return []
    items = []
    for item in element.value:
        cleaned = clean_code(item) if is_code(item) else clean_dataset(item, scope, depth=depth + 1)
        if cleaned is not None:
            items.append(cleaned)
    return items


def list_values(element: "DataElement") -> list[object]:
    """Return an element's values, one or many, as a list."""
    value = element.value
    if value is None:
        return []
    is_many = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return list(value) if is_many else [value]


def _remove(element: "DataElement", dataset: "Dataset", scope: Scope) -> object:  # noqa: ARG001 - a judge
    """Keep nothing."""
    return None


def _empty(element: "DataElement", dataset: "Dataset", scope: Scope) -> object:  # noqa: ARG001 - a judge
    """Keep the attribute without its value."""
    return [] if element.VR == "SQ" else ""


def _replace(element: "DataElement", dataset: "Dataset", scope: Scope) -> object:  # noqa: ARG001 - a judge
    """Put a dummy in the value's place; an empty value stays empty."""
    return _DUMMIES.get(element.VR, "") if element.value else ""


def _map_uids(element: "DataElement", dataset: "Dataset", scope: Scope) -> object:  # noqa: ARG001 - a judge
    """Put the key's UIDs in the place of each."""
    return [scope.names.uid(text) if text else "" for text in map(str, list_values(element))]


def _shift(element: "DataElement", dataset: "Dataset", scope: Scope) -> object:
    """Move each date or time back; None where one of them is none."""
    texts = [str(value) for value in list_values(element)]
    if element.VR == "DA":
        time = _find_time(element, dataset) if len(texts) == 1 else ""
        moved = [shift_da(text, scope.shift, time=time) for text in texts]
    else:
        move = shift_tm if element.VR == "TM" else shift_dt
        moved = [move(text, scope.shift) for text in texts]
    return moved if moved and all(moved) else None


def _find_time(element: "DataElement", dataset: "Dataset") -> str:
    """Return the time of the day that belongs to a date, such as StudyTime to StudyDate."""
    keyword = element.keyword.replace("Date", "Time")
    value = dataset.get(keyword) if keyword != element.keyword else None
    return value if isinstance(value, str) else ""


def _keep(element: "DataElement", dataset: "Dataset", scope: Scope) -> object:  # noqa: ARG001 - a judge
    """Keep the value."""
    return element.value


def _keep_patient(element: "DataElement", dataset: "Dataset", scope: Scope) -> object:  # noqa: ARG001 - a judge
    """Keep a characteristic of a patient if it is a controlled value or a number."""
    value = element.value
    match element.keyword:
        case "PatientSex":
            return value if value in _SEXES else None
        case "SmokingStatus":
            return value if value in _SMOKING else None
        case "PatientSexNeutered":
            return value if value in _NEUTERED else None
        case "PatientAge":
            return _cap_age(str(value))
        case "PatientSize" | "PatientWeight" | "PregnancyStatus":
            return _keep_numbers(element)
    return None


def _cap_age(text: str) -> str | None:
    """Return an age as it stands, or that of all the very old."""
    age_years = parse_age(text)
    if age_years is None:
        return None
    capped = cap_age(age_years)
    return text.strip() if capped == age_years else f"{capped:03.0f}Y"


def _sort(element: "DataElement", dataset: "Dataset", scope: Scope) -> object:
    """Judge an attribute outside the table by its kind of value."""
    vr = element.VR
    if element.keyword in _BULK:
        return _keep_bulk(element)
    if element.keyword in _PALETTE:
        is_palette = str(dataset.get("PhotometricInterpretation")) == "PALETTE COLOR"
        return _keep_bulk(element) if is_palette else None
    if vr == "UI":
        return [_map_unregistered(str(value), scope) for value in list_values(element)]
    if vr == "CS":
        return _keep_terms(element)
    if vr in _TEXTS:
        return _keep_text(element)
    return _keep_numbers(element)


def _keep_bulk(element: "DataElement") -> object:
    """Keep bytes, or the numbers that some tables of colours are written as."""
    value: object = element.value
    return value if isinstance(value, bytes) else _keep_numbers(element)


def _map_unregistered(text: str, scope: Scope) -> str:
    """Keep a UID that the standard registers, map any other."""
    from pydicom.uid import UID

    return text if not text or UID(text).type else scope.names.uid(text)


def _keep_terms(element: "DataElement") -> object:
    """Keep a code string's defined terms; another stands for what is not one."""
    texts = [str(value).strip() for value in list_values(element)]
    if element.keyword == "Modality":
        return texts[0] if texts and texts[0] in MODALITIES else "OT"
    if element.keyword == "SpecificCharacterSet":
        return None  # what stays is ASCII
    allowed = (text in MODALITIES or is_term(text) for text in texts)
    known = [text if is_known else "OTHER" for text, is_known in zip(texts, allowed, strict=True)]
    return known if any(text not in ("", "OTHER") for text in known) else ""


def _keep_text(element: "DataElement") -> object:
    """Keep a text that is a controlled value; an attribute that must be present stays empty."""
    text = str(element.value or "").strip()
    if element.keyword == "Manufacturer":
        return find_vendor(text)
    rules: dict[str, Callable[[str], bool]] = {
        "RescaleType": RESCALE_TYPES.__contains__,
        "StackID": is_stack,
        "ImagedNucleus": is_nucleus,
    }
    rule = rules.get(element.keyword)
    return text if rule is not None and rule(text) else ""


def _keep_numbers(element: "DataElement") -> object:
    """Keep an attribute all of whose values are numbers."""
    values = list_values(element)
    if element.VR in ("DS", "IS"):
        texts = [getattr(value, "original_string", None) or str(value) for value in values]
        is_kept = all(not text or _NUMBER.fullmatch(text) for text in texts)
    else:
        is_kept = element.VR in _NUMBERS and all(isinstance(item, int | float) for item in values)
    return element.value if is_kept else None


_JUDGES: dict[Action, Callable[["DataElement", "Dataset", Scope], object]] = {
    "remove": _remove,
    "empty": _empty,
    "dummy": _replace,
    "uid": _map_uids,
    "shift": _shift,
    "patient": _keep_patient,
    "keep": _keep,
    "sort": _sort,
}
