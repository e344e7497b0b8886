"""The section of the controls: trainings that must fail, or must differ, if nothing leaks."""

from typing import Literal

from pydantic import Field

from medvision.config.sections import Section, Seed

Control = Literal["permuted", "image-level"]


CONTROLLED_FOLD = 0
"""The fold on which controls are trained: a training each, whatever the number of folds."""


class ControlSection(Section):
    """Trainings on the first fold that show whether the split holds, with the study's settings."""

    trainings: tuple[Control, ...] = Field(
        ("permuted", "image-level"),
        description="permuted: on labels dealt anew among subjects, which must end at chance; "
        "image-level: with images instead of subjects split, which shows what that would have "
        "flattered, where subjects have several images.",
    )
    seed: Seed = Field(19, description="Seed by which labels and images are dealt.")
