"""The section of prediction, and what binds it to the trainings."""

from typing import Literal

from pydantic import Field

from medvision.config.sections import AugmentSection, Fraction, Positive, Section
from medvision.config.train import TrainSection
from medvision.config.tune import TuneSection


class PredictSection(Section):
    """What becomes of a network's logits, on validation, test and external images alike."""

    views: tuple[Literal["flip", "shift", "zoom"], ...] = Field(
        (),
        description="Further views of each image, over which probabilities are averaged: flip, "
        "every combination of augment.flip_axes; shift, one step either way along i and j; zoom, "
        "once larger and once smaller.",
    )
    shift_voxels: Positive = Field(1, description="Length of the shift of views.")
    zoom: Fraction = Field(0.05, description="Relative change of size of the views of zoom.")
    ensemble: Literal["off", "seeds"] = Field(
        "off",
        description="seeds adds, beside each arm's single networks, the mean probability of its "
        "networks of all seeds, with its own thresholds.",
    )
    temperature: Literal["off", "fit"] = Field(
        "off",
        description="fit divides the logits of each network, those of each finding apart, by a "
        "number fitted on its validation images.",
    )
    temperature_subjects: Positive = Field(
        20,
        description="Validation subjects below which no temperature is fitted, and logits stay as "
        "they are.",
    )
    novelty: Literal["off", "features"] = Field(
        "features",
        description="features gives each image its distance from the train images, in what the "
        "network's last layer is given, and the share of validation images that are as far.",
    )
    novelty_neighbours: Positive = Field(
        5, description="Which of the nearest train images the distance is from."
    )
    novelty_images: Positive = Field(
        2000, description="Train images that are held against at most, evenly chosen."
    )
    novelty_alarm: Fraction = Field(
        0.05,
        description="Share of validation images that may be as far as an image that counts as "
        "unlike the train images.",
    )


def check_predict(
    predict: PredictSection, train: TrainSection, *, augment: AugmentSection, tune: TuneSection
) -> None:
    """Refuse an ensemble of one network, and flips that training did not allow.

    Args:
        predict: Views and ensemble.
        train: Its seeds.
        augment: Axes that training may flip.
        tune: What is searched.

    Raises:
        ValueError: With the field and its rule; the configuration's own error is made of it.
    """
    if predict.ensemble == "seeds" and len(set(train.seeds)) < 2:
        raise ValueError(
            f"train.seeds must hold two or more for predict.ensemble seeds, got {train.seeds[0]}"
        )
    if "flip" not in predict.views:
        return
    if "augment.flip_axes" in tune.space:
        raise ValueError(
            "predict.views must not hold flip where tune.space searches augment.flip_axes: the "
            "networks of a study would have different views"
        )
    if not augment.flip_axes:
        raise ValueError(
            "augment.flip_axes must name an axis for predict.views flip, got none: a network is "
            "not shown flips that training did not allow"
        )
