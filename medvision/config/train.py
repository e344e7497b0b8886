"""The section of fine-tuning: seeds, loss, optimiser, and when to stop."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from medvision.config.sections import Fraction, Positive, PositiveFloat, Section, Seed


class TrainSection(Section):
    """How a network is fine-tuned."""

    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(
        (0,), description="One model per seed and fold; figures are means over seeds."
    )
    record_changes: bool = Field(
        True,
        description="Write every random change of a training image, where augment asks for some, "
        "as a row of changes.tsv.gz: about 40 bytes an image and epoch.",
    )
    compare_scratch: bool = Field(
        True, description="Also train the same network from scratch on the same folds."
    )
    epochs: Positive = Field(18, description="Most passes over the training images.")
    batch_size: Annotated[int, Field(ge=2)] = Field(8, description="Images a step.")
    accumulation: Positive = Field(
        1,
        description="Passes that each step's images are divided among, to fit the memory. The "
        "gradient is the same but for rounding; BatchNorm sees the images of one pass.",
    )
    loss: Literal["auto", "cross_entropy", "focal", "mse", "huber"] = Field(
        "auto",
        description="What is fitted: cross_entropy (of each finding, in multilabel) or focal; mse "
        "or huber of a value, in standard deviations. auto is cross_entropy, and mse of a value.",
    )
    focal_gamma: Annotated[float, Field(ge=0)] = Field(
        2.0, description="How much the focal loss turns from images that are right already."
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of each label spread over all classes; not for focal."
    )
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="Optimiser.")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9, description="Nesterov's momentum of sgd."
    )
    learning_rate: PositiveFloat = Field(0.001, description="Peak learning rate.")
    depth_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="Factor of the learning rate from one block to the next below it, of the "
        "transfer arm; the head has the whole rate.",
    )
    schedule: Literal["one_cycle", "cosine", "constant", "plateau"] = Field(
        "one_cycle", description="Course of the learning rate."
    )
    warm_up_epochs: Annotated[float, Field(ge=0)] = Field(
        0.0, description="Epochs of linear warm-up; not for one_cycle, which has its own."
    )
    plateau_epochs: Annotated[int, Field(ge=0)] = Field(
        3, description="Epochs without improvement that plateau bears before it lowers the rate."
    )
    plateau_factor: Fraction = Field(0.1, description="What plateau multiplies the rate by.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        0.01, description="The optimiser's decay of the weights."
    )
    clip_norm: Annotated[float, Field(ge=0)] = Field(
        0.0, description="Largest norm of a step's gradient; 0 is no limit."
    )
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="Decay of a moving average of the weights, which is what is validated and "
        "kept; 0 is none.",
    )
    imbalance: Literal["none", "weights", "sampling"] = Field(
        "weights",
        description="Remedy for rare classes: loss weights (per finding, in multilabel) or "
        "balanced sampling; without effect on a value.",
    )
    monitor: Literal["loss", "auc", "mae"] = Field(
        "loss",
        description="Validation figure to improve; auc is the mean over findings in multilabel, "
        "mae is for a value.",
    )
    patience: Positive = Field(10, description="Epochs without improvement before stopping.")
    keep_checkpoints: Annotated[int, Field(ge=0)] = Field(
        3,
        description="Checkpoints kept on the way, evenly spaced, of the networks whose predictions "
        "are explained: explain.influence is computed over them.",
    )
    amp: Literal["auto", "off"] = Field("auto", description="Mixed precision on a GPU.")
    reuse_features: Literal["auto", "off"] = Field(
        "auto",
        description="Compute a frozen backbone's features once for all epochs, where policy is "
        "linear or partial and nothing is augmented.",
    )
    kernels: Literal["exact", "fast"] = Field(
        "exact",
        description="exact repeats itself to the bit on a CPU; fast lets a GPU take TensorFloat-32 "
        "and whichever kernel is quickest, so that results differ in their last digits each time.",
    )
    compile: Literal["on", "off"] = Field(
        "off", description="torch.compile for the training steps; takes minutes before the first."
    )
    mlflow: str | None = Field(
        None, description="Folder or tracking URI where MLflow shows the training; none if omitted."
    )

    @property
    def is_shown_by_server(self) -> bool:
        """Whether MLflow shows the training on a server, which may ask who writes to it."""
        return self.mlflow is not None and "://" in self.mlflow

    @field_validator("mlflow")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        """Refuse a password where jobs' command lines and Snakemake's notes would hold it."""
        parts = urlsplit(value or "")
        if parts.username or parts.password:
            raise ValueError(
                "train.mlflow must hold no user or password; set them in the environment"
            )
        return value
