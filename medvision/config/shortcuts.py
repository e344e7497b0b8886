"""The section of the shortcut audit: what is shown alone, and which trainings are made for it."""

from typing import Annotated, Literal

from pydantic import Field

from medvision.config.control import ControlSection
from medvision.config.sections import Section

View = Literal["scanner", "acquisition", "size", "format", "headers", "background", "border"]


class ShortcutsSection(Section):
    """Whether the label can be predicted from what should not tell it."""

    probes: tuple[View, ...] = Field(
        ("scanner", "acquisition", "size", "format", "headers", "background", "border"),
        description="What a small model is shown alone, on the study's own folds: scanner, "
        "acquisition settings, size or format of the header, all headers together; of the picture "
        "what lies around the body, or a frame along its edges.",
    )
    columns: tuple[str, ...] | None = Field(
        None,
        description="Columns of the labels, such as site, each shown alone as well; when omitted "
        "those named like a site or a scanner.",
    )
    border: Annotated[float, Field(gt=0, le=0.25)] = Field(
        0.05, description="Width of the frame, as a share of the image's shorter side."
    )

    @property
    def is_asked(self) -> bool:
        """Whether anything is to be looked at."""
        return bool(self.probes) or self.columns != ()


def is_audited(shortcuts: ShortcutsSection, control: ControlSection) -> bool:
    """Tell whether the shortcut audit has anything to judge: probes, or controls.

    Args:
        shortcuts: The probes that are asked for.
        control: The trainings that are asked for.
    """
    return shortcuts.is_asked or bool(control.trainings)
