"""The section of preprocessing: one deterministic pipeline, the same for every image."""

from typing import Annotated, Literal

from pydantic import Field

from medvision.config.sections import Section, SpacingMm, Triple


class PreprocessSection(Section):
    """One deterministic MONAI pipeline, the same for every image."""

    orientation: Annotated[str, Field(pattern="^[LR][AP][SI]$")] | None = Field(
        "RAS", description="Axis codes of volumes; null keeps the source's. Not for 2D."
    )
    spacing_mm: SpacingMm | None = Field(
        (3.0, 3.0, 5.0), description="Voxel size (i, j, k); null keeps the source's. Not for 2D."
    )
    intensity: Literal["window", "percentile", "zscore", "none"] = Field(
        "window", description="How intensities are scaled."
    )
    window: tuple[float, float] = Field(
        (-1000.0, 200.0), description="Intensities mapped to 0 and 1 by window (HU for CT)."
    )
    percentiles: tuple[float, float] = Field(
        (0.5, 99.5), description="Percentiles mapped to 0 and 1 by percentile."
    )
    crop_foreground: bool = Field(
        False, description="Crop to the voxels above foreground_above before sizing."
    )
    foreground_above: float = Field(
        0.05, description="Threshold of the foreground, after intensity scaling."
    )
    sizing: Literal["pad", "resize"] = Field(
        "pad", description="Reach size by centred padding and cropping, or by resampling."
    )
    size: Triple = Field((64, 64, 24), description="Array size (i, j, k); 2D uses i and j.")
