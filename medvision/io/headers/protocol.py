"""How an image was acquired, for its sidecar: BIDS keys with numbers or terms of the standard."""

from functools import lru_cache

from medvision.domain.study import Value
from medvision.io.dicom.values import Texts, read_softly
from medvision.io.frames.variants import parse_number

Protocol = tuple[tuple[str, Value], ...]
"""(BIDS key, value in its unit), sorted by key."""

_PER_MS = 1e-3
_NUMBERS = (
    ("EchoTime", "EchoTime", _PER_MS),
    ("EchoTrainLength", "EchoTrainLength", 1.0),
    ("ExposureTime", "ExposureTime", _PER_MS),
    ("FlipAngle", "FlipAngle", 1.0),
    ("FrameDuration", "ActualFrameDuration", _PER_MS),
    ("InversionTime", "InversionTime", _PER_MS),
    ("KVP", "KVP", 1.0),
    ("MagneticFieldStrength", "MagneticFieldStrength", 1.0),
    ("NumberOfAverages", "NumberOfAverages", 1.0),
    ("PixelBandwidth", "PixelBandwidth", 1.0),
    ("RepetitionTime", "RepetitionTime", _PER_MS),
    ("SliceThickness", "SliceThickness", 1.0),
    ("SpacingBetweenSlices", "SpacingBetweenSlices", 1.0),
    ("XRayExposure", "Exposure", 1.0),
    ("XRayTubeCurrent", "XRayTubeCurrent", 1.0),
)
"""(BIDS key, keyword, factor to the key's unit): s, degrees, kV, T, Hz per pixel, mm, mAs, mA."""

_TERMS = (
    ("DecayCorrection", "DecayCorrection", "NONE START ADMIN"),
    ("ImageLaterality", "ImageLaterality", "R L U B"),
    ("InPlanePhaseEncodingDirectionDICOM", "InPlanePhaseEncodingDirection", "ROW COL"),
    ("MRAcquisitionType", "MRAcquisitionType", "2D 3D"),
    ("PatientPosition", "PatientPosition", "HFS HFP HFDR HFDL FFS FFP FFDR FFDL"),
    ("ScanOptions", "ScanOptions", "PER RG CG PPG FC PFF PFP SP FS"),
    ("ScanningSequence", "ScanningSequence", "SE IR GR EP RM"),
    ("SequenceVariant", "SequenceVariant", "SK MTC SS TRSS SP MP OSP"),
    ("ViewPosition", "ViewPosition", "AP PA LL RL RLD LLD RLO LLO CC MLO ML LM XCCL XCCM FB SIO"),
)
"""(key, keyword, values that the standard lists); values that it does not list stay behind."""

_ALLOWED = tuple((key, keyword, frozenset(terms.split())) for key, keyword, terms in _TERMS)
_KEYWORDS = (*(row[1] for row in _NUMBERS), *(row[1] for row in _TERMS))

_PET_UNITS = {
    "1CM": "1/cm",
    "BQML": "Bq/mL",
    "CM2": "cm2",
    "CM2ML": "cm2/mL",
    "CNTS": "counts",
    "CPS": "counts/s",
    "GML": "g/mL",
    "MGMINML": "mg/min/mL",
    "MLG": "mL/g",
    "MLMING": "mL/min/g",
    "MLML": "mL/mL",
    "MLMINML": "mL/min/mL",
    "PCNT": "%",
    "PROPCNTS": "proportional to counts",
    "PROPCPS": "proportional to counts/s",
    "STDDEV": "standard deviations",
    "UMOLMINML": "umol/min/mL",
    "UMOLML": "umol/mL",
}
"""PS3.3 C.8.9.1.1.3."""


def read_protocol(header: Texts) -> Protocol:
    """Read how an image was acquired.

    Args:
        header: Attributes of the top level. What cannot be parsed is left out: no pixel depends
            on it.

    Returns:
        Keys and values; several terms of one key are joined by `_`.

    Source:
        BIDS 1.10, MRI and PET metadata; PS3.3 C.8.3.1 (MR), C.8.2.1 (CT), C.8.7.2 (X-ray),
        C.8.9 (PET), C.8.11.5 (mammography).
    """
    return _translate(tuple([read_softly(header, keyword) for keyword in _KEYWORDS]))


@lru_cache(maxsize=256)
def _translate(texts: tuple[tuple[str, ...], ...]) -> Protocol:
    """Turn the values of _KEYWORDS, which the files of a series share, into entries."""
    values = dict(zip(_KEYWORDS, texts, strict=True))
    found: dict[str, Value] = {}
    for key, keyword, factor in _NUMBERS:
        number = parse_number(values[keyword])
        if number is not None and number >= 0:
            found[key] = number if factor == 1 else float(f"{number * factor:.9g}")
    for key, keyword, allowed in _ALLOWED:
        terms = [text for text in values[keyword] if text in allowed]
        if terms:
            found[key] = "_".join(terms)
    return tuple(sorted(found.items()))


def name_units(header: Texts, modality: str, *, rescale_type: str | None) -> str:
    """Return what values mean: HU, a unit of PET, or none where unknown.

    Args:
        header: Attributes of the top level.
        modality: Such as CT.
        rescale_type: Units of the rescale, "" where none are named, None where nothing is
            rescaled.

    Source:
        PS3.3 C.11.1.1.2 (a CT that names no other units is in HU), C.8.9.1.1.3 (PET).
    """
    if modality == "CT" and rescale_type is not None and rescale_type.upper() in ("HU", ""):
        return "HU"
    if modality != "PT":
        return "none"
    texts = read_softly(header, "Units")
    return _PET_UNITS.get(texts[0].upper(), "none") if texts else "none"
