"""The sections of the configuration: typed, strict, each field described once."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from medvision.domain.labels.rows import Task

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0)]
Triple = tuple[Positive, Positive, Positive]
SpacingMm = tuple[PositiveFloat, PositiveFloat, PositiveFloat]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _read_off(cls, value: object, info: ValidationInfo) -> object:
        """Take a bare off, which YAML reads as false, for the word where it is a choice."""
        field = cls.model_fields[str(info.field_name)]
        return "off" if value is False and "off" in get_args(field.annotation) else value


def say_rule(message: str) -> str:
    """Return what pydantic says that a value should be or have, to follow "must".

    Args:
        message: Such as "Input should be greater than 0" or "Tuple should have at least 1 item
            after validation, not 0".
    """
    _, should, rule = message.partition(" should ")
    return rule.partition(" after validation")[0] if should else f"be valid: {message}"


class DataSection(Section):
    """What goes in: images and the table of labels."""

    kind: Literal["dicom", "nifti", "phantom"] = Field(
        "phantom", description="Kind of input; phantom generates the embedded default cohort."
    )
    path: Path | None = Field(None, description="Folder with the images; not for phantom.")
    labels: Path | None = Field(
        None,
        description="CSV or TSV with subject and label, optionally image, part, mask, split and "
        "any further columns, which are kept as subgroup variables.",
    )
    task: Task = Field(
        "classification",
        description="What is predicted of an image: classification, one class of two or more; "
        "multilabel, which of several findings are there; regression, a value such as an age.",
    )
    subject_column: str | None = Field(
        None,
        description="Column of the labels that holds the subject; when omitted subject, or "
        "participant_id as in BIDS.",
    )
    label_column: str | None = Field(
        None,
        description="Column of the labels that holds the class, the names of the findings joined "
        "by |, or the value; label when omitted.",
    )
    findings: tuple[str, ...] = Field(
        (),
        description="Findings of task multilabel: columns of the labels that hold 1 or 0, empty or "
        "n/a where it is not known; where none is a column, names in the label column, and all of "
        "its names when omitted.",
    )
    positive: str | None = Field(
        None,
        description="Label counted as positive; when omitted the last in sorted order, and "
        "nodule for the phantom.",
    )
    dimensions: Literal["auto", 2, 3] = Field(
        "auto", description="2 for single images, 3 for volumes; auto is told by the data."
    )


class OutputSection(Section):
    """What comes out."""

    path: Path = Field(Path("results"), description="Output folder of this study.")
    umask: Annotated[str, Field(pattern="^[0-7]{3}$")] = Field(
        "027",
        description="Who may read results, as three octal digits in quotes: '027' the group, '077' "
        "nobody else, '007' lets the group write too. A change computes nothing again.",
    )

    @field_validator("path")
    @classmethod
    def _check_name(cls, value: Path) -> Path:
        """A brace is a wildcard in Snakemake."""
        if any(letter in str(value) for letter in "{}\n"):
            raise ValueError(f"output.path must have no brace or line break, got {value}")
        return value

    @field_validator("umask", mode="before")
    @classmethod
    def _check_quoted(cls, value: object) -> object:
        """YAML reads 027 as the number 23."""
        if isinstance(value, int):
            raise ValueError("output.umask must be text in quotes, such as '027', got a number")
        return value


class PhantomSection(Section):
    """The embedded default cohort: chest-CT-like subjects with known answers."""

    seed: Seed = Field(2026, description="Same seed, same bytes.")
    subjects: Annotated[int, Field(ge=6)] = Field(72, description="Number of subjects.")
    prevalence: Fraction = Field(0.5, description="Share of subjects with a nodule.")
    size: Triple = Field((64, 64, 24), description="Voxels (i, j, k) of a typical scan.")
    nifti_fraction: Annotated[float, Field(ge=0, le=1)] = Field(
        0.2, description="Share of subjects handed over as NIfTI instead of DICOM."
    )
    faults: bool = Field(
        True, description="Plant the known faults that ingestion and cohort must find."
    )


class ModelSection(Section):
    """The network, its starting weights, and what of it is trained."""

    backbone: Literal[
        "small",
        "squeezenet1_1",
        "mobilenet_v2",
        "resnet18",
        "resnet50",
        "densenet121",
        "efficientnet_b0",
    ] = Field("small", description="Network; small and squeezenet1_1 are fit for CPUs.")
    weights: str = Field(
        "pretrain",
        description="none, pretrain (the source task below), a name of `medvision weights list`, a "
        ".safetensors or .pt file, or another study's output folder.",
    )
    adapt_3d: Literal["inflate", "acs", "none"] = Field(
        "inflate",
        description="Weights for images in a network for volumes: inflate repeats each kernel "
        "along K and divides by its depth; acs lays a third of them in each plane; none refuses.",
    )
    policy: Literal["full", "partial", "linear", "gradual"] = Field(
        "full",
        description="Train all, all but the first blocks, the head only, or gradual: the head "
        "first, then block after block from the head down.",
    )
    frozen_blocks: Positive = Field(1, description="Blocks kept frozen by policy partial.")
    unfreeze_epochs: Positive = Field(
        1, description="Epochs from one block's release to the next by policy gradual."
    )
    minimum_match: Fraction = Field(
        0.5, description="Smallest share of backbone tensors that must be loaded."
    )


class AugmentSection(Section):
    """Random changes of training batches, drawn from the training seed."""

    flip_axes: tuple[Annotated[int, Field(ge=0, le=2)], ...] = Field(
        (), description="Axes that may be flipped; leave out those where side matters."
    )
    shift_voxels: Annotated[int, Field(ge=0)] = Field(0, description="Largest shift along i and j.")
    rotate_degrees: Annotated[float, Field(ge=0, le=180)] = Field(
        0.0, description="Largest turn in the plane of i and j, either way."
    )
    zoom: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Largest relative change of size, along every axis."
    )
    noise_sd: Annotated[float, Field(ge=0)] = Field(
        0.0, description="Standard deviation of added noise, in scaled intensity."
    )
    gain: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Largest relative change of intensity."
    )


class ReportSection(Section):
    """The page people read."""

    title: str = Field("medvision study", description="Title of the report.")
    author: str | None = Field(None, description="Who is responsible; printed when given.")
    viewer_mb: float = Field(
        24.0,
        ge=0,
        description="Megabytes of the page that the volumes of explained cases, to be scrolled in "
        "three planes, may take with their viewer; cases that do not fit keep their pictures "
        "alone. 0 leaves the viewer out.",
    )


class AuditSection(Section):
    """The bundle an auditor checks."""

    signing_key: Path | None = Field(
        None, description="Ed25519 private key (PEM); unsigned when omitted."
    )
