"""The section of the cohort: how subjects are split, and what happens when a split would leak."""

from typing import Annotated, Literal

from pydantic import Field

from medvision.config.sections import Fraction, Positive, Section, Seed
from medvision.domain.study import Role


class CohortSection(Section):
    """How subjects are split, and what happens when a split would leak."""

    folds: Positive = Field(
        3,
        description="Each subject is tested in exactly one fold; 1 honours the split column of the "
        "labels as given (train, validation, test).",
    )
    validation_fraction: Fraction = Field(
        0.25, description="Share of a fold's remaining subjects used for validation."
    )
    roles: Annotated[tuple[Role, ...], Field(min_length=1)] = Field(
        ("original",),
        description="What images must be for: original, derived, localizer, capture; others are "
        "listed and left out.",
    )
    seed: Seed = Field(1, description="Seed of the split.")
    on_leakage: Literal["group", "stop", "report"] = Field(
        "group",
        description="Equal images under two subjects: group keeps them in one split, stop ends "
        "the run, report goes on and says so on the report's first page.",
    )
