"""The section of quality: which images are flagged, and which are left out."""

from typing import Annotated, Literal

from pydantic import Field

from medvision.config.sections import Fraction, PositiveFloat, Section

Rule = Literal[
    "unreadable",
    "constant",
    "blank",
    "not-finite",
    "clipped",
    "truncated",
    "noise",
    "blur",
    "ghosting",
    "spacing",
    "size",
    "intensity",
    "orientation",
    "unlike-cohort",
    "text",
]


class QualitySection(Section):
    """Which images are flagged, and which are left out before folds are built."""

    exclude: tuple[Rule, ...] = Field(
        ("unreadable", "constant", "blank"),
        description="Rules that leave an image out; every other rule flags it and no more.",
    )
    outlier_z: PositiveFloat = Field(
        6.0, description="Robust z (median, MAD) from which a measure is an outlier of the cohort."
    )
    minimum_group: Annotated[int, Field(ge=3)] = Field(
        10,
        description="Images that a modality needs to be compared with itself; with fewer all "
        "modalities are compared together.",
    )
    blank_share: Fraction = Field(
        0.995, description="Share of pixels of one value from which an image is blank."
    )
    clipped_share: Fraction = Field(
        0.02,
        description="Share of pixels at the highest, or within the body at the lowest, value "
        "beyond which an image is clipped.",
    )
    truncated_share: Fraction = Field(
        0.2,
        description="Share of the border of its field that the body of a volume may touch.",
    )
    orientation_gain: Fraction = Field(
        0.1,
        description="Gain of correlation with the cohort's mean image beyond which another "
        "orientation fits better.",
    )
