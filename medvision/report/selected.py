"""How many test images could have been explained, were, and gave no map."""

from dataclasses import dataclass

from medvision.report.sources import Sources


@dataclass(frozen=True)
class SelectionCounts:
    """From the images that could be explained to the maps that there are.

    Args:
        n_eligible: Test images with a prediction of the models explained.
        n_explained: Images chosen and explained.
        n_maps: Maps that were made.
        n_empty: Of them, those that are zero everywhere.
        n_failed: Of them, those that fail a check.
    """

    n_eligible: int
    n_explained: int
    n_maps: int
    n_empty: int
    n_failed: int


def count_selected(sources: Sources) -> SelectionCounts:
    """Count eligible and explained images, and their maps.

    Args:
        sources: Tables `selection`, `attributions`, `predictions`.
    """
    selection, maps = sources.table("selection"), sources.table("attributions")
    arms = {row["arm"] for row in selection}
    eligible = {
        row["image_id"]
        for row in sources.table("predictions")
        if row["split"] == "test" and row["arm"] in arms
    }
    verdicts = [row["verdict"] for row in maps]
    return SelectionCounts(
        n_eligible=len(eligible),
        n_explained=len({row["image_id"] for row in selection}),
        n_maps=len(maps),
        n_empty=verdicts.count("EMPTY"),
        n_failed=verdicts.count("FAIL"),
    )
