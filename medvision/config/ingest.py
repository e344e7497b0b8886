"""The section of ingestion: how raw files become images, and what of them is accepted."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from medvision.config.sections import Fraction, Positive, PositiveFloat, Section


class IngestSection(Section):
    """How raw files become checked, de-identified volumes."""

    key: Path | None = Field(
        None,
        description="Secret of the pseudonyms (mode 0600). Made at random under the output "
        "folder when omitted; the phantom cohort brings a published one.",
    )
    gap_tolerance: Fraction = Field(
        0.1, description="Largest deviation of a slice step, as a share of the slice spacing."
    )
    workers: Positive = Field(2, description="Processes that read in parallel.")
    volume: Literal["first", "mean", "each", "4d"] = Field(
        "first",
        description="What goes on of an image with a fourth axis (time, b-value, ...): its first "
        "volume, their mean, each as an image of its own, or all as one 4D image.",
    )
    gaps: Literal["refuse", "flag", "resample"] = Field(
        "refuse",
        description="Missing slices and uneven spacing: refuse the image, flag it, or resample it "
        "to an even spacing as a derived image.",
    )
    tilt: Literal["keep", "resample"] = Field(
        "keep", description="Tilted gantry: keep the sheared affine, or resample to an upright one."
    )
    colour: Literal["luminance", "rgb"] = Field(
        "luminance", description="What colour images become: one channel, or three."
    )
    burned_in: Literal["refuse", "flag"] = Field(
        "refuse",
        description="Images of a kind that often has identifying text in its pixels (ultrasound, "
        "screenshots).",
    )
    blank_regions: Path | None = Field(
        None, description="YAML file of regions to be blanked, by kind of image."
    )
    text_detection: Literal["off", "refuse"] = Field(
        "off", description="Refuse images in which text is found; needs the program tesseract."
    )
    accept: tuple[str, ...] | Literal["all"] = Field(
        (),
        description="Reason codes of refused files that are no error; all accepts every loss. The "
        "phantom cohort's planted faults are always accepted.",
    )
    shards: Annotated[int, Field(ge=1, le=1000)] = Field(
        1, description="Jobs among which the workflow divides the series, also to measure them."
    )
    images: Literal["auto", "files", "packs"] = Field(
        "auto",
        description="How images, sidecars and masks are kept: as files by name, or, where files "
        "are short, in one uncompressed ZIP a shard; auto: in ZIPs where shards is above 1.",
    )
    compression: Literal["none", "fast", "small"] = Field(
        "fast", description="Of the images written; none writes .nii, the others .nii.gz."
    )
    archives: Literal["open", "list"] = Field(
        "open",
        description="Archives (zip, tar, gzip, bzip2, xz) among the files: read their members, or "
        "refuse them unopened.",
    )
    archive_limit_gb: PositiveFloat = Field(
        50.0, description="Bytes to which one archive may unpack, in 10⁹; more is refused."
    )
    bids: bool = Field(False, description="Write the images as a BIDS derivative as well.")
    reidentification: bool = Field(
        False,
        description="Write secret/reidentification.tsv, which undoes the pseudonyms: keep it, do "
        "not hand it on.",
    )

    @property
    def image_kind(self) -> Literal["files", "packs"]:
        """How images are kept: who has many shards is short of files, who has one opens them."""
        if self.images == "auto":
            return "packs" if self.shards > 1 else "files"
        return self.images

    @property
    def image_suffix(self) -> str:
        """How the names of images end."""
        return ".nii" if self.compression == "none" else ".nii.gz"
