"""The configuration of the statistics on held-out subjects."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from medvision.config.sections import Fraction, Positive, PositiveFloat, Section, Seed


def _name_by_text(value: object) -> object:
    """Take names that YAML reads as numbers for the text that they are in the labels."""
    if not isinstance(value, dict):
        return value
    for name in value:
        if isinstance(name, bool):
            word = "yes or true" if name else "no or false"
            raise ValueError(f"must have names in quotation marks where YAML reads {word}")
    return {str(name): held for name, held in value.items()}


class EvaluateSection(Section):
    """Statistics on held-out subjects."""

    n_resamples: Annotated[int, Field(ge=100)] = Field(2000, description="Bootstrap resamples.")
    interval: Literal["bca", "percentile"] = Field(
        "bca",
        description="How resamples become an interval: bca, corrected for bias and skewness "
        "(percentiles where that is undefined); percentile, their quantiles as they are.",
    )
    confidence: Fraction = Field(0.95, description="Level of the intervals.")
    seed: Seed = Field(3, description="Seed of the bootstrap.")
    calibration_bins: Annotated[int, Field(ge=2)] = Field(5, description="Bins of equal count.")
    operating_point: Literal["youden", "sensitivity", "specificity", "cost"] = Field(
        "youden",
        description="What thresholds are fitted for, on validation only: the largest Youden index; "
        "the most specific one that reaches a sensitivity, or the most sensitive one that reaches "
        "a specificity; the least expected cost.",
    )
    operating_target: Fraction = Field(
        0.9, description="Sensitivity or specificity that validation must reach."
    )
    miss_cost: PositiveFloat = Field(
        1.0, description="Cost of a missed positive, where a false alarm costs 1."
    )
    subgroups: tuple[str, ...] = Field(
        (),
        description="Columns of the labels, such as site or sex: the main figures of the test "
        "images of each value, and their gap to all others.",
    )
    smallest_subgroup: Positive = Field(
        20, description="Subjects below which a subgroup has a warning."
    )
    prevalence: Annotated[Fraction | dict[str, Fraction] | None, BeforeValidator(_name_by_text)] = (
        Field(
            None,
            description="Share of positives where the model is to be used, for predictive "
            "values, costs and decision curves; when omitted that of the images. Of two classes "
            "one number; of more the share of each by name, together 1; of findings the share of "
            "those that are named.",
        )
    )
