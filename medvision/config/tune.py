"""The section of the search for hyper-parameters, and what its space must obey."""

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Literal, Self, Union, get_args, get_origin

from pydantic import Field, ValidationError, model_validator

from medvision.config.sections import Positive, Section, Seed

Value = bool | int | float | str | None
Choice = Value | tuple[Value, ...]

SEARCHED_SECTIONS = ("model", "augment", "train")
"""Sections whose fields a training obeys, and nothing before it."""

_STANDING = {
    "model.backbone": "earlier steps and the report stand on it",
    "model.weights": "earlier steps and the report stand on it",
    "train.seeds": "seeds are replicates, never chosen",
    "train.compare_scratch": "it says which arms there are",
    "train.mlflow": "it is for the eyes alone",
    "train.monitor": "tune.objective says what the search improves",
    **dict.fromkeys(
        (
            *("train.amp", "train.accumulation", "train.reuse_features"),
            *("train.kernels", "train.compile"),
        ),
        "it is for speed or memory alone",
    ),
}
"""Fields of those sections that are not searched, and why."""

_LOSS_FIELDS = ("train.imbalance",)
"""Fields that change what the validation loss means, so that it ranks no trials.

Whatever is fitted, it is the cross-entropy, weighted by class where imbalance says so."""


class Searched(Section):
    """What one field may be: a range, or a list of choices."""

    low: float | None = Field(None, description="Least value of a range.")
    high: float | None = Field(None, description="Largest value of a range.")
    log: bool = Field(False, description="Draw the range evenly in its logarithm.")
    choices: Annotated[tuple[Choice, ...], Field(min_length=1)] | None = Field(
        None, description="The values, where it is no range."
    )

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        """A range has both ends in their order, and nothing else is one."""
        ends = (self.low, self.high)
        if self.choices is not None and (ends != (None, None) or self.log):
            raise ValueError("tune.space: a field must have choices, or low and high, got both")
        if self.choices is None and (self.low is None or self.high is None):
            raise ValueError("tune.space: a field must have low and high, or choices, got neither")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"tune.space: low must be below high, got {self.low} and {self.high}")
        if self.log and (self.low or 0) <= 0:
            raise ValueError(f"tune.space: low must be above 0 where log is true, got {self.low}")
        return self


class TuneSection(Section):
    """Search for hyper-parameters, of each tested part on its own inner folds."""

    trials: Annotated[int, Field(ge=0)] = Field(
        0, description="Trials of each arm and tested part; 0 searches nothing."
    )
    space: dict[str, Searched] = Field(
        {},
        description="Field of model, augment or train to what it may be: `train.learning_rate: "
        "{low: 0.0001, high: 0.01, log: true}`, `train.batch_size: {choices: [8, 16]}`.",
    )
    objective: Literal["loss", "auc", "mae"] = Field(
        "loss",
        description="Validation figure to improve, of each inner fold's best epoch, averaged over "
        "the inner folds.",
    )
    sampler: Literal["tpe", "random"] = Field(
        "tpe", description="How values are drawn: by what earlier trials found, or blindly."
    )
    pruner: Literal["median", "none"] = Field(
        "median",
        description="median ends a trial between two inner folds when its mean so far is worse "
        "than the median of the others'; without effect where a part is trained once.",
    )
    seed: Seed = Field(7, description="Seed of the search and of every training in it.")
    workers: Positive = Field(
        1,
        description="Jobs of the workflow that share a search; with 1 the same seed gives the same "
        "trials.",
    )


def check_space(tune: TuneSection, sections: Mapping[str, Section]) -> None:
    """Refuse a space with a field that is unknown, not to be searched, or out of its own rules.

    Args:
        tune: The search.
        sections: Every section in force, by name.

    Raises:
        ValueError: With the field and its rule; the configuration's own error is made of it.
    """
    if tune.trials and not tune.space:
        raise ValueError("tune.space must hold a field where tune.trials is above 0, got none")
    for key, searched in tune.space.items():
        section = _find_section(key, sections)
        if tune.objective == "loss" and key in _LOSS_FIELDS:
            raise ValueError(
                f"tune.objective must be auc where tune.space holds {key}, which changes what the "
                "loss means, got loss"
            )
        _check_values(key, searched, section=section)


def is_whole(key: str, sections: Mapping[str, Section]) -> bool:
    """Tell whether a searched field takes whole numbers only.

    Args:
        key: `section.field`, checked before.
        sections: Every section in force, by name.
    """
    return _list_kinds(key, sections[key.partition(".")[0]]) == {int}


def _find_section(key: str, sections: Mapping[str, Section]) -> Section:
    """Return the section of a field that may be searched."""
    name, _, field = key.partition(".")
    section = sections.get(name)
    if section is None or field not in type(section).model_fields:
        raise ValueError(f"tune.space: field must be section.field of the configuration, got {key}")
    if name not in SEARCHED_SECTIONS:
        raise ValueError(
            f"tune.space: field must be of {', '.join(SEARCHED_SECTIONS)}, got {key}: what comes "
            "before the training has seen the test subjects"
        )
    if key in _STANDING:
        raise ValueError(f"tune.space: field must be one to search, got {key}: {_STANDING[key]}")
    return section


def _check_values(key: str, searched: Searched, *, section: Section) -> None:
    """Refuse a range for what is no number, and each value that breaks the field's own rule."""
    tried: tuple[Choice, ...] = searched.choices or ()
    if searched.choices is None:
        kinds = _list_kinds(key, section)
        if not kinds & {int, float}:
            raise ValueError(f"tune.space.{key} must be choices: the field is no number, got low")
        ends = (searched.low, searched.high)
        if kinds == {int} and any(end is not None and end % 1 for end in ends):
            raise ValueError(f"tune.space.{key} must have whole ends, got {ends[0]} and {ends[1]}")
        tried = tuple(int(end) if kinds == {int} and end is not None else end for end in ends)
    for value in tried:
        _check_value(key, value, section=section)


def _check_value(key: str, value: Choice, *, section: Section) -> None:
    """Try a value in its section."""
    field = key.partition(".")[2]
    try:
        type(section).model_validate({**section.model_dump(), field: value})
    except ValidationError as error:
        detail = error.errors()[0]
        rule = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        raise ValueError(f"tune.space.{key}: value must be {rule}, got {value!r}") from error


def _list_kinds(key: str, section: Section) -> set[object]:
    """Return the plain types of a field, without None."""
    annotation = type(section).model_fields[key.partition(".")[2]].annotation
    is_union = get_origin(annotation) in (Union, UnionType)
    members = get_args(annotation) if is_union else (annotation,)
    plain = [get_args(m)[0] if get_origin(m) is Annotated else m for m in members]
    return set(plain) - {type(None)}
