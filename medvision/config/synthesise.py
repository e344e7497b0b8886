"""The section of synthetic train images: what draws them, how many, how it is trained."""

from typing import Annotated, Literal, Protocol

from pydantic import Field, PositiveFloat

from medvision.config.sections import DataSection, Fraction, Positive, Section, Seed

Ratio = Annotated[float, Field(ge=0, le=20)]


class SynthesiseSection(Section):
    """Synthetic train images, by a generator that has seen the fold's train subjects alone."""

    generator: Literal["none", "gan"] = Field(
        "none",
        description="gan trains one generator a fold and draws images from it; none draws nothing.",
    )
    ratio: Ratio | dict[str, Ratio] = Field(
        1.0,
        description="Synthetic images drawn per real train image of a class: one number, or class "
        "to number; of classes not named none are drawn.",
    )
    minimum_subjects: Annotated[int, Field(ge=2)] = Field(
        10,
        description="Train subjects that every class must have in a fold; with fewer, nothing is "
        "trained.",
    )
    use: Literal["accepted", "none"] = Field(
        "accepted",
        description="accepted trains the study's networks on the images that the gate lets through "
        "beside the real ones, where it is open; none trains them on real images alone. To be "
        "chosen beforehand: another value trains them anew, and draws nothing again.",
    )
    seed: Seed = Field(41, description="Seed of the training and of every image drawn.")
    steps: Positive = Field(20000, description="Steps of both networks.")
    batch_size: Annotated[int, Field(ge=4)] = Field(
        16, description="Real images a step, of all classes alike, and as many drawn ones."
    )
    width: Annotated[int, Field(ge=8, multiple_of=8)] = Field(
        32,
        description="Channels on the image's own grid, doubled as it is coarsened, 8-fold at most.",
    )
    latent: Positive = Field(64, description="Length of the vector that an image is drawn from.")
    generator_rate: PositiveFloat = Field(
        0.002,
        description="Learning rate of the generator, in units of the weights that each layer "
        "starts with, so that it holds for any width and in 2D and 3D.",
    )
    discriminator_rate: PositiveFloat = Field(
        0.0025, description="Learning rate of the discriminator, likewise."
    )
    r1_weight: PositiveFloat = Field(
        0.1, description="Weight of the penalty on the discriminator's gradients at real images."
    )
    r1_interval: Positive = Field(16, description="Steps from one such penalty to the next.")
    ema: Fraction = Field(
        0.999, description="Share of the old weights in the average that images are drawn from."
    )
    changes: tuple[Literal["intensity", "translation", "cutout"], ...] = Field(
        ("intensity", "translation", "cutout"),
        description="Changes that real and drawn images undergo before they are told apart.",
    )
    checkpoint_steps: Positive = Field(
        250, description="Steps from one kept state, and row of the history, to the next."
    )
    grid_steps: Positive = Field(
        2500,
        description="Steps from one picture of samples to the next; checkpoint_steps divides it.",
    )

    @property
    def is_on(self) -> bool:
        """Whether images are drawn at all."""
        return self.generator != "none"

    @property
    def is_taken(self) -> bool:
        """Whether the study's networks are trained with the images that the gate accepts."""
        return self.is_on and self.use == "accepted"


class Sections(Protocol):
    """Of the whole configuration, what is looked at here."""

    @property
    def data(self) -> DataSection:
        """What goes in."""

    @property
    def synthesise(self) -> SynthesiseSection:
        """What is drawn."""


def check_synthesise(study: Sections) -> None:
    """Refuse settings of the generator that contradict one another or the task.

    Args:
        study: The whole configuration.

    Raises:
        ValueError: With the field and its rule; the configuration's own error is made of it.
    """
    section = study.synthesise
    if not section.is_on:
        return
    if study.data.task != "classification":
        raise ValueError(
            f"synthesise.generator must be none for data.task {study.data.task}, got "
            f"{section.generator}"
        )
    if section.grid_steps % section.checkpoint_steps:
        raise ValueError(
            f"synthesise.grid_steps must be a multiple of synthesise.checkpoint_steps, got "
            f"{section.grid_steps} and {section.checkpoint_steps}"
        )
    if len(set(section.changes)) != len(section.changes):
        raise ValueError("synthesise.changes must be named once each, got one twice")
