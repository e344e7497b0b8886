"""Which DICOM objects are images, and what the others are catalogued as."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."

_OTHER_OBJECTS = (
    ("1.2.840.10008.1.3.10", "dicomdir"),
    (f"{_STORAGE}88.59", "key-object"),
    (f"{_STORAGE}88.", "structured-report"),
    (f"{_STORAGE}11.", "presentation-state"),
    (f"{_STORAGE}9.", "waveform"),
    (f"{_STORAGE}66.1", "registration"),
    (f"{_STORAGE}66.2", "registration"),
    (f"{_STORAGE}66.3", "registration"),
    (f"{_STORAGE}66.4", "segmentation"),
    (f"{_STORAGE}66.5", "segmentation"),
    (f"{_STORAGE}66.6", "segmentation"),
    (f"{_STORAGE}66.7", "segmentation"),
    (f"{_STORAGE}66", "raw-data"),
    (f"{_STORAGE}68.", "segmentation"),
    (f"{_STORAGE}4.2", "spectroscopy"),
    (f"{_STORAGE}104.", "encapsulated-document"),
    (f"{_STORAGE}481.", "rt-object"),
    ("1.2.840.10008.5.1.4.34.", "rt-object"),
    (f"{_STORAGE}67", "no-image-object"),
    ("1.2.840.10008.5.1.4.38.", "no-image-object"),
    ("1.2.840.10008.5.1.4.39.", "no-image-object"),
)
"""Beginnings of SOP class UIDs, the narrower first, and their code (PS3.4 B.5, PS3.6 A)."""

_RT_IMAGE = f"{_STORAGE}481.1"

CROSS_SECTIONAL = frozenset(
    f"{_STORAGE}{end}"
    for end in ("2", "2.1", "2.2", "4", "4.1", "4.4", "4.3", "128", "128.1", "130")
)
"""CT, MR and PET: images that are planes of a volume (PS3.4 B.5)."""

BURNED_IN_RISK = frozenset(
    f"{_STORAGE}{end}"
    for end in ("7", "7.1", "7.2", "7.3", "7.4", "6", "6.1", "6.2", "3", "3.1", "77.1.1", "77.1.4")
)
"""Secondary capture, ultrasound, visible light: kinds that often have text in their pixels."""

_MODALITY_TERMS = (
    "BI BMD CR CT DG DX ECG EPS ES GM HC IO IVOCT IVUS LS MG MR NM OAM OCT OP OPM OPT OPTBSV "
    "OPTENF OPV OT PT PX RF RG RTIMAGE SM TG US VA XA XC"
)
MODALITIES = frozenset(_MODALITY_TERMS.split())
"""Terms that may leave the header; any other becomes OT (PS3.3 C.7.3.1.1.1)."""


def name_other_object(sop_class: str) -> str | None:
    """Return the code of an object that is no image, None for images and unknown classes."""
    if sop_class == _RT_IMAGE:
        return None
    for start, code in _OTHER_OBJECTS:
        if sop_class == start or (start.endswith(".") and sop_class.startswith(start)):
            return code
    return None
