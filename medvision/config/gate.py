"""The section of the gate: how synthetic images are judged before a training may have them."""

from typing import Annotated

from pydantic import Field

from medvision.config.explain import Method
from medvision.config.sections import Positive, Section, Seed


class GateSection(Section):
    """The gate over synthetic images; nothing of it may be chosen after looking at its verdict."""

    extractor: str = Field(
        "none",
        description="Network of the fixed features: a name of `medvision weights list`, or a file "
        "whose network is known by its digest or its own header; none takes a network with random "
        "weights that is never trained. Volumes take none.",
    )
    repeats: Annotated[int, Field(ge=20)] = Field(
        200,
        description="How often the real images are parted in halves, and membership is dealt anew.",
    )
    level: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        0.99, description="Share of what real images do by chance that still counts as ordinary."
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        0.99, description="Level of the intervals, those of the class fidelity among them."
    )
    neighbours: Positive = Field(
        3, description="Neighbour whose distance is an image's reach, in precision and recall."
    )
    similarity: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.9, description="Agreement of detail from which two small pictures show one image."
    )
    seed: Seed = Field(47, description="Seed of halves and deals, and of the random network.")
    explained: Annotated[int, Field(ge=0)] = Field(
        24,
        description="Validation subjects whose predictions are explained, to see whether a network "
        "that is trained with the images explains itself worse; 0 does not ask.",
    )
    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = Field(
        ("integrated_gradients", "layer_gradcam"),
        description="Methods that they are explained by, each with the settings of `explain`.",
    )
    real_networks: Annotated[int, Field(ge=2)] = Field(
        3,
        description="Networks of real images alone, each with a seed of its own, that say what "
        "another seed does to explanations; one more is trained with the images.",
    )
