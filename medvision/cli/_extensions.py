"""What plug-ins, and steps of one modality, ask of a cohort, and what of them is recorded."""

import logging
from typing import TYPE_CHECKING

from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.errors import ConfigError

if TYPE_CHECKING:
    from medvision.cli._images import Images
    from medvision.cli._run import Step
    from medvision.preprocess.plan import Plan
    from medvision.preprocess.recipe import Recipe

_log = logging.getLogger(__name__)

_CORRECTED = {"MR", "unknown"}
"""Modalities whose bias field is corrected; NIfTI seldom tells, and the user asked for it."""


def check_grey(study: Study, images: "Images") -> None:
    """Refuse plug-ins on a cohort of colour images: their contract is one channel.

    Raises:
        ConfigError: The cohort is coloured.
    """
    if study.preprocess.plugins and images.channels != 1:
        raise ConfigError(
            "preprocess.plugins: images must be grey for a plug-in, got colour.",
            "set ingest.colour to luminance, or preprocess.plugins to [].",
        )


def find_passed_by(images: "Images", plan: "Plan") -> dict[str, frozenset[str]]:
    """Return the images that steps of one modality pass by, where the plan has such steps."""
    from medvision.preprocess.plan import BIAS_STEP

    if all(step.name != BIAS_STEP for step in plan.steps):
        return {}
    others = [name for name, modality in images.modality.items() if modality not in _CORRECTED]
    if len(others) == len(images.modality):
        _log.warning("preprocess.bias_field passes all %d images by: none is MR", len(others))
    return {BIAS_STEP: frozenset(others)}


def describe_passed_by(recipe: "Recipe") -> dict[str, JsonValue]:
    """Return how many images a step passed by, for the record."""
    if not recipe.passed_by:
        return {}
    return {"passed_by": {name: len(images) for name, images in recipe.passed_by.items()}}


def declare_plugins(step: "Step") -> None:
    """Put each plug-in's source and identity into the step's record.

    Raises:
        ConfigError: A module is not there.
    """
    functions = step.study.preprocess.plugins
    if not functions:
        return
    from medvision.preprocess.plugins import identify_plugin

    found = [identify_plugin(function) for function in functions]
    for item in found:
        step.source(f"plug-in {item.function.partition(':')[0]}", item.path)
    step.facts["plugins"] = {item.function: item.digest for item in found}
