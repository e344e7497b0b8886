"""The section of the cohort: how subjects are split, and what happens when a split would leak."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from medvision.config.sections import Fraction, Positive, Section, Seed
from medvision.domain.study import Role


class CohortSection(Section):
    """How subjects are split, and what happens when a split would leak."""

    folds: Positive = Field(
        3,
        description="Each subject is tested in exactly one fold, once per repeat; 1 honours the "
        "split column of the labels as given (train, validation, test, and external).",
    )
    validation_fraction: Fraction = Field(
        0.25,
        description="Share of a fold's remaining subjects used for validation; without effect with "
        "held_out, or with inner_folds of 2 or more.",
    )
    stratify_by: tuple[str, ...] = Field(
        (),
        description="Columns of the labels, such as site, spread evenly over the folds, alone and "
        "jointly with the label; a missing value counts as a value.",
    )
    held_out: Fraction | None = Field(
        None,
        description="Share of subjects that all folds test; the folds then part the rest, and each "
        "validates on its own part. When omitted each fold tests its own part.",
    )
    inner_folds: Positive = Field(
        1,
        description="Trainings per fold; with 2 or more the folds are nested: each training "
        "validates on another inner part of the fold's remaining subjects.",
    )
    repeats: Positive = Field(
        1, description="How often the whole dealing is done, each time another one."
    )
    external_column: str | None = Field(
        None,
        description="Column of the labels, such as site, that tells an external cohort: its "
        "images are tested by every network and used for nothing else. When omitted there is one "
        "only where the column split says external.",
    )
    external_values: tuple[str, ...] = Field(
        (), description="What external_column says of the external cohort's images."
    )
    roles: Annotated[tuple[Role, ...], Field(min_length=1)] = Field(
        ("original",),
        description="What images must be for: original, derived, localizer, capture; others are "
        "listed and left out.",
    )
    seed: Seed = Field(1, description="Seed of the split.")
    on_leakage: Literal["group", "stop", "report"] = Field(
        "group",
        description="Equal or nearly equal images under two subjects: group keeps them in one "
        "split, stop ends the run, report goes on and says so on the report's first page.",
    )

    near_duplicates: Literal["search", "off"] = Field(
        "search",
        description="search looks for altered copies: rotated, flipped, cropped, resized, brighter "
        "or compressed again.",
    )
    similarity: Fraction = Field(
        0.9, description="Agreement of detail from which two images count as one, altered."
    )
    workers: Positive = Field(
        1, description="Processes that look for altered copies; their number changes no result."
    )

    @model_validator(mode="after")
    def _check_scheme(self) -> Self:
        """Rules that bind how often and into what subjects are dealt."""
        if self.held_out is not None and self.inner_folds > 1:
            raise ValueError(
                "held_out must be empty where inner_folds is 2 or more: nested folds test every "
                "subject, got both"
            )
        if self.folds == 1 and (self.held_out or self.inner_folds > 1 or self.repeats > 1):
            raise ValueError(
                "folds must be 2 or more with held_out, inner_folds or repeats, got 1, which "
                "honours the given splits"
            )
        if (self.external_column is None) != (not self.external_values):
            raise ValueError(
                "external_column and external_values must be given together, got one alone"
            )
        return self

    @property
    def external(self) -> dict[str, Any]:
        """What tells the external cohort, as parameters of what marks its rows."""
        return {name: getattr(self, name) for name in ("external_column", "external_values")}

    @property
    def n_fits(self) -> int:
        """How often an arm is trained with each seed."""
        return self.folds * self.inner_folds * self.repeats

    @property
    def fits_per_part(self) -> int:
        """How many trainings, each with other validation subjects, test the same subjects."""
        return self.folds if self.held_out is not None else self.inner_folds

    @property
    def n_parts(self) -> int:
        """How many sets of test subjects there are, those of every repeat counted."""
        return self.n_fits // self.fits_per_part
