"""The section of pretraining: what starting weights are trained on, with labels or without."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from medvision.config.sections import Fraction, Positive, Section, Seed, Triple


class PretrainSection(Section):
    """What starting weights are trained on: synthetic phantoms, or the archive without labels."""

    task: Literal["phantom", "contrastive", "masked"] = Field(
        "phantom",
        description="phantom classifies synthetic phantoms; contrastive tells views of images of "
        "the archive apart, masked fills in blocks hidden from them, both without labels.",
    )
    subjects: Literal["untested", "all"] = Field(
        "untested",
        description="Whose images contrastive and masked learn from: of those in no test set, or "
        "of all, test subjects included, which the report then says; of an external cohort never.",
    )
    seed: Seed = Field(11, description="Seed of the source images and of the training.")
    images: Annotated[int, Field(ge=16)] = Field(
        2400, description="Number of source images of phantom."
    )
    epochs: Positive = Field(5, description="Passes over the source images.")
    batch_size: Annotated[int, Field(ge=2)] = Field(16, description="Images a step.")
    learning_rate: PositiveFloat = Field(0.002, description="Peak learning rate.")
    amp: Literal["auto", "off"] = Field("auto", description="Mixed precision on a GPU.")
    temperature: PositiveFloat = Field(
        0.5, description="What contrastive divides similarities by; smaller is stricter."
    )
    crop: Fraction = Field(
        0.6, description="Smallest share of each axis that a view of contrastive shows."
    )
    flip_axes: tuple[Annotated[int, Field(ge=0, le=2)], ...] = Field(
        (), description="Axes that views may flip; leave out those where side matters."
    )
    gain: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.2, description="Largest relative change of a view's intensity."
    )
    noise_sd: Annotated[float, Field(ge=0)] = Field(
        0.05, description="Standard deviation of a view's noise, in scaled intensity."
    )
    blur_voxels: Annotated[float, Field(ge=0)] = Field(
        1.0, description="Standard deviation of the blur of every second view, in voxels."
    )
    mask_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.6, description="Share of the blocks that masked hides."
    )
    mask_block: Triple = Field(
        (8, 8, 4), description="Voxels of such a block (i, j, k); 2D uses i and j."
    )
