"""What of a sidecar may go on: numbers that are believed and terms of a list, in BIDS's units."""

import math
import re
from collections.abc import Mapping

from medvision.domain.study import Value

_NUMBERS = {
    "EchoTime": 10.0,
    "EchoTrainLength": 10_000.0,
    "FlipAngle": 360.0,
    "InjectedRadioactivity": 1e12,
    "InversionTime": 100.0,
    "MagneticFieldStrength": 25.0,
    "NumberOfAverages": 10_000.0,
    "PixelBandwidth": 1e7,
    "RepetitionTime": 100.0,
}
"""Key to the largest value that is believed; all are above 0. Times in s, angles in degrees, fields
in T, bandwidth in Hz a pixel, radioactivity in the unit stated beside it."""

_TERMS = {
    "ImageType": "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER M P R I MAGNITUDE PHASE "
    "REAL IMAGINARY ND NORM MOSAIC FMRI DIFFUSION PERFUSION ASL DIS2D DIS3D FFE SE IR",
    "MRAcquisitionType": "1D 2D 3D",
    "ScanningSequence": "SE IR GR EP RM",
    "SequenceVariant": "SK MTC SS TRSS SP MP OSP",
}
"""Key to the terms that may pass; what somebody typed there does not."""


def check_bids_fields(sidecar: Mapping[str, object]) -> dict[str, Value]:
    """Return what of a sidecar may go on, so that nothing that was typed into it does.

    Args:
        sidecar: Content of a JSON file beside an image.

    Returns:
        BIDS key and number, or terms joined by `_` as dcm2niix joins them.

    Source:
        BIDS 1.10, magnetic resonance imaging data; PS3.3 C.8.3.1.
    """
    found: dict[str, Value] = {}
    for key, highest in _NUMBERS.items():
        value = sidecar.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and math.isfinite(number := float(str(value))) and 0 < number <= highest:
            found[key] = number
    for key, known in _TERMS.items():
        terms = [term for term in _split(sidecar.get(key)) if term in known.split()]
        if terms:
            found[key] = "_".join(terms)
    skull = sidecar.get("SkullStripped")
    return found | ({"SkullStripped": skull} if isinstance(skull, bool) else {})


def split_terms(value: object) -> frozenset[str]:
    """Return the terms that are joined by `_`."""
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
