"""The plan: which cases will be explained, by which methods, and what their checks ask."""

from collections.abc import Mapping

from medvision.domain.explanation.plan import CASE_KEYS, FORMAT
from medvision.domain.intended_use import INTENDED_USE, RESEARCH_USE
from medvision.domain.record import JsonValue
from medvision.explain.checks import DELETION_PASS, SOURCES
from medvision.explain.outcomes import say_explained
from medvision.explain.selection import Selection
from medvision.explain.tables import list_selection

_BY_SOURCE = "as its source and the attribution page of this version say"
_PAIRS = "SSIM below the mean SSIM of the trained network's maps of different cases"

PASSES_WHEN = {
    "completeness": "error at most settings.completeness of the output difference, or 0.01 logit; "
    "for deeplift 0.001 of it, or 0.0001 logit",
    "deletion": f"a lower area than at least {DELETION_PASS} of settings.random_orders random "
    "orders",
    "insertion": f"a higher area than at least {DELETION_PASS} of the same random orders",
    "weight_randomisation_top": _PAIRS,
    "weight_randomisation": _PAIRS,
    "class_sensitivity": "rank correlation with the map of another class below 0 where there are "
    "two classes that exclude each other, else below 0.71",
    "pointing": "the map's peak is positive, and in the mask or as near as the tolerance",
    "relevance_mass": "a larger share of the positive map in the mask than in 95 of 100 "
    "copies of it at random places",
    "rank_accuracy": "more of the strongest voxels in the mask than in 95 of 100 copies of it at "
    "random places",
    "iou": "a larger overlap of the outline at Otsu's threshold with the mask than with 95 of 100 "
    "copies of it at random places",
}
"""Check to when it passes; one that is not here is judged as the page of this version says."""


def build_plan(
    selection: Selection,
    settings: Mapping[str, JsonValue],
    *,
    version: str,
    predictions: Mapping[str, str],
    classes: Mapping[str, str],
    models: Mapping[str, str],
) -> dict[str, JsonValue]:
    """Write down what will be explained and how it is judged, before anything is explained.

    Args:
        selection: The cases, and how they were drawn.
        settings: The section `explain`, as plain JSON types.
        version: Version of medvision.
        predictions: Path of the predictions to their sha256.
        classes: Path of the class names to their sha256.
        models: Path of each model that is explained to its sha256.

    Returns:
        Plain JSON types; equal inputs give equal plans.
    """
    explained, _ = say_explained(selection.task, selection.target)
    return {
        "format": FORMAT,
        INTENDED_USE: RESEARCH_USE,
        "medvision": version,
        "explained": explained,
        "selection": selection.as_dict(),
        "cases": [{key: row[key] for key in CASE_KEYS} for row in list_selection(selection.cases)],
        "methods": settings["methods"],
        "checks": [
            {"check": name, "passes_when": PASSES_WHEN.get(name, _BY_SOURCE), "source": source}
            for name, source in SOURCES.items()
        ],
        "settings": dict(settings),
        "predictions": dict(predictions),
        "classes": dict(classes),
        "models": dict(models),
    }
