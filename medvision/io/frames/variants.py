"""What tells planes of one place apart, from the public attributes of a plane's own header."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date

from medvision.domain.study import Value

Variant = tuple[tuple[str, Value], ...]
"""(name of PARTS or AXES, value), sorted by name."""

_NUMBERS = (
    ("EchoTime", "echo-time-ms"),
    ("EchoNumbers", "echo-number"),
    ("TemporalPositionIdentifier", "temporal-position"),
    ("DiffusionBValue", "b-value"),
    ("NominalPercentageOfCardiacPhase", "cardiac-phase-percent"),
    ("TriggerTime", "trigger-time-ms"),
    ("InversionTime", "inversion-time-ms"),
    ("AcquisitionNumber", "acquisition-number"),
    ("FrameReferenceTime", "frame-time-ms"),
    ("InstanceNumber", "instance-number"),
)
_TIMES = (
    ("AcquisitionTime", "AcquisitionDate", "acquisition-time-s"),
    ("ContentTime", "ContentDate", "content-time-s"),
)
_MOMENTS = (("AcquisitionDateTime", "acquisition-time-s"),)

VARIANT_KEYWORDS = (
    *(keyword for keyword, _ in _NUMBERS),
    *(keyword for time, day, _ in _TIMES for keyword in (time, day)),
    *(keyword for keyword, _ in _MOMENTS),
    "ComplexImageComponent",
    "DiffusionGradientOrientation",
    "ImageType",
    "StudyDate",
)
"""Attributes that read_variant looks at."""

_COMPONENTS = {
    "MAGNITUDE": "M",
    "PHASE": "P",
    "REAL": "R",
    "IMAGINARY": "I",
    "M": "M",
    "P": "P",
    "R": "R",
    "I": "I",
}
_NO_KIND = frozenset(
    ("", "AXIAL", "LOCALIZER", "MIXED", "MOSAIC", "NONE", "OTHER", "UNSPECIFIED", "VFRAME")
)
"""Values of ImageType that tell a role or a layout, or nothing, but no kind of pixels."""

_TERM = re.compile(r"[A-Z0-9_ ]{1,16}")
_TIME = re.compile(r"(\d\d):?(\d\d)?:?(\d\d(?:\.\d{1,6})?)?")
_DATE = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")
_DAY_S = 86_400.0
_MAX_DAYS = 7
"""A later day than this is no scan through midnight but a date that was changed or made up."""


def read_variant(texts: Mapping[str, tuple[str, ...]]) -> Variant:
    """Read what tells a plane apart from others at its place.

    Numbers are left as the header has them; a value that cannot be parsed is left out. Times of
    the day go on past 86 400 s where the date is the day after the study's.

    Args:
        texts: Values of VARIANT_KEYWORDS that the header has, as texts.

    Returns:
        Names and values, sorted by name. Where a b-value is given without a direction, `gradient`
        is empty.

    Source:
        PS3.3 C.8.3.1 (MR), C.8.13.5.9 (diffusion), C.8.9.4 (PET), C.7.6.1 (general image),
        C.7.6.1.1.2 (ImageType).
    """
    found: dict[str, Value] = {}
    for keyword, name in _NUMBERS:
        number = parse_number(texts.get(keyword, ()))
        if number is not None:
            found[name] = number
    study_day = parse_day(_first(texts, "StudyDate"))
    for keyword, name in _MOMENTS:
        moment = _first(texts, keyword)
        _put(found, name, parse_seconds(moment[8:], day=moment[:8], study_day=study_day))
    for time, day, name in _TIMES:
        seconds = parse_seconds(_first(texts, time), day=_first(texts, day), study_day=study_day)
        _put(found, name, seconds)
    component = name_component(texts.get("ImageType", ())) or name_component(
        ("", "", *texts.get("ComplexImageComponent", ()))
    )
    _put(found, "component", component or None)
    _put(found, "image-kind", name_kind(texts.get("ImageType", ())) or None)
    direction = texts.get("DiffusionGradientOrientation", ())
    if "b-value" in found or direction:
        found["gradient"] = format_gradient(parse_numbers(direction))
    return tuple(sorted(found.items()))


def merge_variants(parts: "Iterable[Variant]") -> Variant:
    """Join variants; where several have a name, the first counts.

    A gradient without direction gives way to one with a direction.
    """
    found: dict[str, Value] = {}
    for part in parts:
        for name, value in part:
            if name not in found or (name == "gradient" and not found[name]):
                found[name] = value
    return tuple(sorted(found.items()))


def name_component(image_type: tuple[str, ...]) -> str:
    """Return M, P, R or I by the third and later values of ImageType, "" where none tells.

    Source:
        PS3.3 C.8.13.3.1.1; dcm2niix, notes on Philips (M_FFE and the like).
    """
    for value in image_type[2:]:
        upper = value.strip().upper()
        component = _COMPONENTS.get(upper)
        if component is None and upper[1:2] == "_":
            component = _COMPONENTS.get(upper[0])
        if component:
            return component
    return ""


def name_kind(image_type: tuple[str, ...]) -> str:
    """Return what ImageType tells of the pixels beyond role and component, joined by `+`.

    Values that no conforming writer can have written become OTHER, so that free text ends here.
    """
    kinds: list[str] = []
    for value in image_type[2:]:
        upper = value.strip().upper()
        if upper[1:2] == "_" and upper[0] in _COMPONENTS:
            upper = upper[2:]
        if upper in _COMPONENTS or upper in _NO_KIND:
            continue
        kind = upper if _TERM.fullmatch(upper) else "OTHER"
        if kind not in kinds:
            kinds.append(kind)
    return "+".join(kinds)


def format_gradient(direction: tuple[float, ...] | None) -> str:
    """Return a direction as `x,y,z`, "" where there is none or its length is 0."""
    if direction is None or len(direction) != 3 or max(map(abs, direction)) < 1e-6:
        return ""
    return ",".join(f"{round(value, 5) + 0.0:g}" for value in direction)


def parse_number(texts: tuple[str, ...]) -> float | None:
    """Return the first text as a finite number, None where it is none."""
    numbers = parse_numbers(texts[:1])
    return numbers[0] if numbers else None


def parse_numbers(texts: tuple[str, ...]) -> tuple[float, ...] | None:
    """Return texts as finite numbers, None where one of them is none."""
    try:
        numbers = tuple(float(text) for text in texts)
    except ValueError:
        return None
    return numbers if numbers and all(map(math.isfinite, numbers)) else None


def parse_day(text: str) -> int | None:
    """Return a date as a count of days, None where it is none (PS3.5 6.2, DA)."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return None
    try:
        return date(*map(int, match.groups())).toordinal()
    except ValueError:
        return None


def parse_seconds(time: str, *, day: str, study_day: int | None) -> float | None:
    """Return a time in seconds since the midnight before the study.

    Args:
        time: HHMMSS.FFFFFF, cut anywhere, with or without colons; what follows is not read.
        day: Its date, YYYYMMDD, "" where unknown.
        study_day: Date of the study as parse_day gives it.

    Returns:
        None where the time cannot be parsed. The date counts only up to a week after the study's.

    Source:
        PS3.5 6.2 (TM, DT).
    """
    match = _TIME.match(time.strip())
    if match is None:
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    own_day = parse_day(day)
    days = 0 if own_day is None or study_day is None else own_day - study_day
    return hours * 3600 + minutes * 60 + seconds + (_DAY_S * days if 0 < days <= _MAX_DAYS else 0)


def _first(texts: Mapping[str, tuple[str, ...]], keyword: str) -> str:
    """Return an attribute's first text."""
    values = texts.get(keyword, ())
    return values[0] if values else ""


def _put(found: dict[str, Value], name: str, value: Value | None) -> None:
    """Note a value, if there is one."""
    if value is not None:
        found[name] = value
