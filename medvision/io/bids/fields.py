"""How an image was acquired, under BIDS's names and in its units: numbers and known terms alone."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from medvision.domain.study import Value


@dataclass(frozen=True)
class _Number:
    """A number: BIDS's unit per unit of DICOM, and the range beyond which it is not believed."""

    factor: float
    low: float
    high: float


_NUMBERS = {
    "EchoTime": _Number(1e-3, 0.0, 10.0),
    "EchoTrainLength": _Number(1.0, 0.0, 10_000.0),
    "FlipAngle": _Number(1.0, 0.0, 360.0),
    "ImagingFrequency": _Number(1.0, 0.0, 1_500.0),
    "InversionTime": _Number(1e-3, 0.0, 100.0),
    "MagneticFieldStrength": _Number(1.0, 0.0, 25.0),
    "NumberOfAverages": _Number(1.0, 0.0, 10_000.0),
    "PixelBandwidth": _Number(1.0, 0.0, 1e7),
    "RepetitionTime": _Number(1e-3, 0.0, 100.0),
}
"""Keyword of DICOM, which BIDS keeps: times ms to s, the rest as it is; low < value <= high."""

_TERMS = {
    "ImageType": "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER M P R I MAGNITUDE PHASE "
    "REAL IMAGINARY ND NORM MOSAIC FMRI DIFFUSION PERFUSION ASL DIS2D DIS3D FFE SE IR",
    "MRAcquisitionType": "1D 2D 3D",
    "ScanningSequence": "SE IR GR EP RM",
    "SequenceVariant": "SK MTC SS TRSS SP MP OSP",
}
"""Keyword to the terms that may pass; what somebody typed there does not."""

_PET_NUMBERS = {
    "InjectedRadioactivity": _Number(1.0, 0.0, 1e12),
}
PROTOCOL_KEYWORDS = (*_NUMBERS, *_TERMS)
"""Attributes of a DICOM header that `build_bids_fields` looks at."""

_MAX_DIGITS = 9


def build_bids_fields(texts: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, Value], ...]:
    """Translate how an image was acquired into BIDS's names and units.

    Only numbers within a range and terms of a list pass, so that nothing that was typed into a
    header does. Several terms of one attribute are joined by `_`.

    Args:
        texts: Values of PROTOCOL_KEYWORDS that a DICOM header has, as texts.

    Returns:
        BIDS key and number (times in seconds, angles in degrees, fields in tesla, frequencies
        in MHz, bandwidth in Hz a pixel) or term, sorted by key.

    Source:
        BIDS 1.10, magnetic resonance imaging data; PS3.3 C.8.3.1.
    """
    found: dict[str, Value] = {}
    for keyword, rule in _NUMBERS.items():
        number = _parse(*texts.get(keyword, ())[:1])
        scaled = None if number is None else _scale(number, rule)
        if scaled is not None:
            found[keyword] = scaled
    for keyword, known in _TERMS.items():
        terms = [term for text in texts.get(keyword, ()) if (term := _clean(text)) in known.split()]
        if terms:
            found[keyword] = "_".join(terms)
    return tuple(sorted(found.items()))


def check_bids_fields(sidecar: Mapping[str, object]) -> dict[str, Value]:
    """Return what of a BIDS sidecar may go on: the same keys, by the same rules.

    Args:
        sidecar: Content of a JSON file beside a NIfTI file, its units BIDS's already.

    Returns:
        BIDS key and number or term.
    """
    found: dict[str, Value] = {}
    for key, rule in {**_NUMBERS, **_PET_NUMBERS}.items():
        value = sidecar.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            scaled = _scale(float(value), _Number(1.0, rule.low, rule.high))
            if scaled is not None:
                found[key] = scaled
    for key, known in _TERMS.items():
        terms = [term for term in _split(sidecar.get(key)) if term in known.split()]
        if terms:
            found[key] = "_".join(terms)
    return found


def split_terms(value: object) -> frozenset[str]:
    """Return the terms that `build_bids_fields` joined."""
    return frozenset(value.split("_")) if isinstance(value, str) else frozenset()


def _split(value: object) -> list[str]:
    """Return the terms of a string, as dcm2niix joins them, or of a list."""
    texts = value if isinstance(value, list) else [value]
    return [
        term
        for text in texts
        if isinstance(text, str)
        for term in re.split(r"[_\\ ]+", text.upper())
    ]


def _clean(text: str) -> str:
    """Return a term as the list has it."""
    return text.strip().upper()


def _parse(text: str = "") -> float | None:
    """Return a number, None where there is none."""
    try:
        return float(text)
    except ValueError:
        return None


def _scale(number: float, rule: _Number) -> float | None:
    """Return a number in BIDS's unit, None beyond what is believed."""
    if not math.isfinite(number):
        return None
    # Rounded, so that 4.6 ms are 0.0046 s and not 0.0045999999999999999.
    value = float(f"{number * rule.factor:.{_MAX_DIGITS}g}")
    return value if rule.low < value <= rule.high else None
