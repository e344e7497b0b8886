"""The section of preprocessing: one deterministic pipeline, the same for every image."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat

from medvision.config.sections import Positive, Section, SpacingMm, Triple

WindowName = Literal[
    "lung", "mediastinum", "soft-tissue", "abdomen", "liver", "brain", "stroke", "bone"
]
"""Names of the windows in medvision.preprocess.windows."""


_FUNCTION = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"


class PreprocessSection(Section):
    """One deterministic MONAI pipeline, the same for every image."""

    orientation: Annotated[str, Field(pattern="^[LR][AP][SI]$")] | None = Field(
        "RAS", description="Axis codes of volumes; null keeps the source's. Not for 2D."
    )
    spacing_mm: SpacingMm | None = Field(
        (3.0, 3.0, 5.0), description="Voxel size (i, j, k); null keeps the source's. Not for 2D."
    )
    bias_field: Literal["n4"] | None = Field(
        None,
        description="Correction of MR volumes on the source, before all else: n4 (needs "
        "`pip install 'medvision[n4]'`), or null for none. Images of another modality pass by.",
    )
    plugins: tuple[Annotated[str, Field(pattern=_FUNCTION)], ...] = Field(
        (),
        description="Functions of your own, module:function each, run in this order on each image "
        "as read, before orientation and crop; see docs/how-to/write-a-plug-in.md.",
    )
    intensity: Literal["auto", "window", "percentile", "zscore", "voi", "none"] = Field(
        "window",
        description="How intensities are scaled; voi as the header of each 2D DICOM image asks; "
        "auto by the modality: CT window, MR zscore within the foreground, all else voi where the "
        "header has one, and percentile where not.",
    )
    window: tuple[float, float] | WindowName = Field(
        (-1000.0, 200.0),
        description="Intensities mapped to 0 and 1 by window (HU for CT), or a preset's name.",
    )
    percentiles: tuple[float, float] = Field(
        (0.5, 99.5), description="Percentiles mapped to 0 and 1 by percentile."
    )
    normalise_within: Literal["image", "foreground"] = Field(
        "image",
        description="Where percentile and zscore measure: everywhere, or above foreground_above "
        "(source units) or the image's mean (scaled units).",
    )
    crop_foreground: bool = Field(
        False, description="Crop to the voxels above foreground_above before sizing."
    )
    foreground_above: float = Field(
        0.05, description="Threshold of the foreground, in foreground_units."
    )
    foreground_units: Literal["scaled", "source"] = Field(
        "scaled",
        description="Crop after intensity scaling, or before resampling on the source's values.",
    )
    sizing: Literal["pad", "resize"] = Field(
        "pad", description="Reach size by centred padding and cropping, or by resampling."
    )
    size: Triple = Field((64, 64, 24), description="Array size (i, j, k); 2D uses i and j.")
    dtype: Literal["auto", "float32", "float16", "int16"] = Field(
        "auto",
        description="How arrays are stored: auto takes float16, else int16 with a scale per image, "
        "else float32, whichever first keeps every image within max_rounding.",
    )
    max_rounding: PositiveFloat = Field(
        1e-3, description="Largest error that storing may make, in scaled intensity."
    )
    keep_after: str | None = Field(
        None,
        description="Name of the step (such as Spacing) after which images are kept as well, so "
        "that a change of what follows costs only that; null keeps none.",
    )
    shards: Annotated[int, Field(ge=1, le=1000)] = Field(
        1, description="Files of the store, and jobs among which the workflow divides it."
    )
    workers: Positive = Field(1, description="Processes that compute in parallel.")

    @property
    def pipeline(self) -> dict[str, Any]:
        """The fields that say what is computed on all images, without how they are stored."""
        stored = {"dtype", "max_rounding", "keep_after", "shards", "workers"}
        return {name: value for name, value in self if name not in {*stored, *self.early}}

    @property
    def early(self) -> dict[str, Any]:
        """The fields of what comes before the pipeline, on the source's own grid."""
        return {"bias_field": self.bias_field, "plugins": self.plugins}
