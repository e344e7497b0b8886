"""The section `explain`: which images, which methods, and how they are checked."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from medvision.config.sections import Fraction, Positive, PositiveFloat, Section, Seed, Triple

Method = Literal[
    "integrated_gradients",
    "layer_gradcam",
    "occlusion",
    "saliency",
    "smoothgrad",
    "input_x_gradient",
    "gradient_shap",
    "deeplift",
    "guided_backprop",
    "guided_gradcam",
    "kernel_shap",
]

REFUSED = {
    "lrp": "Captum's has no rule for volumes, and follows no sum of two branches: the relevance of "
    "a ResNet-18 added up to minus 7e8 for a logit of 3",
    "deconvolution": "it looks at the gradient that arrives at a ReLU alone and not at the image, "
    "and so says little about it; guided_backprop looks at both",
}
"""Methods that are not offered, and why."""


class ExplainSection(Section):
    """Which test images are explained, how, and how the explanations are checked."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = Field(
        ("integrated_gradients", "layer_gradcam", "occlusion"),
        description="Captum methods, by name; those that do not apply to the network are refused "
        "with the reason.",
    )
    images: Positive = Field(12, description="Number of test images explained.")
    shards: Annotated[int, Field(ge=1, le=1000)] = Field(
        1,
        description="Number of jobs among which the images are divided, each with a GPU of its "
        "own where there are some. It changes no result.",
    )
    finding: str | None = Field(
        None,
        description="Finding that is explained, in multilabel; when omitted the most probable one "
        "of each image.",
    )
    target: str | None = Field(
        None,
        description="Class that is explained, in classification; when omitted the predicted one "
        "of each image.",
    )
    seed: Seed = Field(5, description="Seed of the selection and of the random controls.")
    steps: Annotated[int, Field(ge=8)] = Field(
        32, description="First number of steps of integrated gradients."
    )
    batch_size: Annotated[int, Field(ge=2)] = Field(8, description="Forward passes at once.")
    baseline: float | Literal["blur"] = Field(
        "blur",
        description="What stands for absence: a scaled intensity, or blur, the image without its "
        "detail.",
    )
    blur_voxels: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = Field(
        (4.0, 4.0, 2.4), description="Standard deviation of the blur, in array voxels."
    )
    occlusion_window: Triple = Field((12, 12, 6), description="Occluded box, in array voxels.")
    occlusion_stride: Triple = Field((6, 6, 3), description="Step of the occluded box.")
    occlusion_share: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="Share of the boxes that are computed: every second one along each axis, then "
        "where these found most; the rest is interpolated.",
    )
    completeness: PositiveFloat = Field(
        0.01, description="Largest completeness error, as a share of the output difference."
    )
    noise_draws: Annotated[int, Field(ge=2)] = Field(
        32, description="Draws of smoothgrad and gradient_shap."
    )
    noise_level: Fraction = Field(
        0.1, description="Standard deviation of their noise, as a share of the image's range."
    )
    shap_draws: Annotated[int, Field(ge=8)] = Field(
        512,
        description="Groups of supervoxels that kernel_shap draws; supervoxels are as large as "
        "the occluded box, and grow until there are 4 draws for each.",
    )
    random_orders: Annotated[int, Field(ge=10)] = Field(
        20, description="Random deletion orders that a map is held against."
    )
    deletion_steps: Annotated[int, Field(ge=4)] = Field(10, description="Points of the curve.")
    influence: Annotated[int, Field(ge=0)] = Field(
        3,
        description="Train subjects shown beside each image, of each kind: the nearest, those that "
        "raised its loss most, those that lowered it most; 0 is none.",
    )
    influence_images: Positive = Field(
        2000, description="Train images that are looked at for it, evenly among them, at most."
    )
    stability_images: Annotated[int, Field(ge=0)] = Field(
        3,
        description="Images, the first that are explained, whose maps are made again under noise, "
        "with other draws and by networks of other folds and seeds; 0 for none.",
    )
    stability_networks: Annotated[int, Field(ge=0)] = Field(
        2, description="Networks of other seeds, and as many of other folds, shown each of them."
    )
    stability_noise: Fraction = Field(
        0.01, description="Standard deviation of that noise, as a share of the image's range."
    )
    cascade_images: Annotated[int, Field(ge=0)] = Field(
        3,
        description="Images, the first that are explained, whose maps are followed while the "
        "weights are made random layer by layer; 0 for none.",
    )

    @field_validator("methods", mode="before")
    @classmethod
    def _refuse_methods(cls, value: object) -> object:
        """Say of methods that Captum has, and that are not offered, why that is so."""
        names = value if isinstance(value, list | tuple) else [value]
        for name in names:
            if name in REFUSED:
                raise ValueError(f"explain.methods: must not have {name}: {REFUSED[name]}")
        if len(set(map(str, names))) < len(names):
            raise ValueError("explain.methods: each must be named once")
        return value
