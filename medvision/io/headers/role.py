"""What an image is for, and whether its pixels risk identifying text, by rule.

| role | rule, the first that fits |
|---|---|
| localizer | ImageType says LOCALIZER, SCOUT, SCANOGRAM or TOPOGRAM; a CT scanned in SCOUT MODE |
| capture | a secondary capture class; a screen by ImageType or ConversionType |
| derived | a parametric map, by its class |
| derived | ImageType's second value is SECONDARY, or one of them names a computed image |
| derived | ImageType begins with DERIVED, in CT, MR and PET: radiographs are often processed |
| original | all others |
"""

from medvision.domain.study import Role
from medvision.io.dicom.objects import BURNED_IN_RISK, CROSS_SECTIONAL

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_CT = frozenset(f"{_STORAGE}{end}" for end in ("2", "2.1", "2.2"))
_SECONDARY_CAPTURE = frozenset(f"{_STORAGE}7{end}" for end in ("", ".1", ".2", ".3", ".4"))

_PARAMETRIC_MAP = f"{_STORAGE}30"
"""Computed by definition (PS3.3 A.75), even of original values."""

_LOCALIZERS = frozenset(("LOCALIZER", "SCOUT", "SCANOGRAM", "TOPOGRAM"))
_SCREENS = frozenset(
    ("CAPTURE", "SCREEN CAPTURE", "SCREEN SAVE", "SCREENSAVE", "SCREENSHOT", "SCREEN_SAVE")
)
_SCREEN_CONVERSIONS = frozenset(("DRW", "SYN", "WSD"))
"""Drawing, synthetic image, workstation (PS3.3 C.8.6.1.1.1)."""

_COMPUTED = frozenset(
    (
        *("MIP", "MINIP", "MAX_IP", "MIN_IP", "MPR", "CSA MPR", "CPR", "VRT", "SSD", "REFORMATTED"),
        *("RESAMPLED", "AVERAGE", "MEAN", "STD_DEVIATION", "SUBTRACTION", "GENERATED_2D"),
        *("ADC", "EADC", "FA", "RA", "TRACEW", "COLFA", "TENSOR", "DIFFUSION_ADC"),
        *("CBF", "CBV", "MTT", "TTP", "TMAX", "PERFUSION_MAP", "T1 MAP", "T2 MAP", "T2STAR MAP"),
        *("T1_MAP", "T2_MAP", "T2_STAR_MAP", "FIELD_MAP", "MIP SAGITTAL", "MIP CORONAL"),
    )
)
_PROJECTIONS = frozenset(("PROJECTION", "PROJECTION IMAGE", "PROJECTION_IMAGE"))
"""Of a volume; a radiograph is one by itself."""


def find_role(
    sop_class: str,
    image_type: tuple[str, ...],
    *,
    scan_options: tuple[str, ...],
    conversion: tuple[str, ...],
) -> Role:
    """Say what an image is for.

    Args:
        sop_class: UID.
        image_type: Values in capitals.
        scan_options: Values in capitals.
        conversion: ConversionType in capitals.

    Source:
        PS3.3 C.7.6.1.1.2 (ImageType), C.8.2.1.1.1 (CT), C.8.3.1.1.1 (MR), C.8.6.1 (secondary
        capture); the values of vendors: their conformance statements.
    """
    values = frozenset(image_type)
    if _LOCALIZERS & values or (sop_class in _CT and "SCOUT MODE" in scan_options):
        return "localizer"
    is_screen = _SCREENS & values or _SCREEN_CONVERSIONS.intersection(conversion)
    if is_screen or sop_class in _SECONDARY_CAPTURE:
        return "capture"
    if sop_class == _PARAMETRIC_MAP or image_type[1:2] == ("SECONDARY",) or _COMPUTED & values:
        return "derived"
    is_derived = image_type[:1] == ("DERIVED",) or bool(_PROJECTIONS & values)
    return "derived" if is_derived and sop_class in CROSS_SECTIONAL else "original"


def list_text_risks(sop_class: str, role: Role, *, annotation: tuple[str, ...]) -> tuple[str, ...]:
    """Return the flags of pixels that may hold identifying text.

    Args:
        sop_class: UID.
        role: As find_role gives it.
        annotation: BurnedInAnnotation in capitals; nothing where the header does not say.

    Returns:
        burned-in-annotation where the header says so; burned-in-risk with it, and where the kind
        of image often has text and the header does not say that it has none.

    Source:
        PS3.3 C.7.6.1 (BurnedInAnnotation); PS3.15 E.3.1 (clean pixel data).
    """
    if "YES" in annotation:
        return ("burned-in-annotation", "burned-in-risk")
    is_risky = sop_class in BURNED_IN_RISK or role == "capture"
    return ("burned-in-risk",) if is_risky and annotation != ("NO",) else ()
