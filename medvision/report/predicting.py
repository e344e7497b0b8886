"""What happened between networks and probabilities, as facts and in words."""

from collections.abc import Callable
from dataclasses import dataclass

from medvision.domain.arms import is_ensemble
from medvision.domain.record import JsonValue
from medvision.report.sources import Row, Sources, parse_count, parse_number
from medvision.report.words import ARMS, join_words, say

CITATIONS = {
    "views": "Krizhevsky A, Sutskever I, Hinton GE. ImageNet classification with deep "
    "convolutional neural networks. Commun ACM 2017;60:84-90. doi:10.1145/3065386.",
    "ensemble": "Lakshminarayanan B et al. Simple and scalable predictive uncertainty estimation "
    "using deep ensembles. NeurIPS 2017. arXiv:1612.01474.",
    "temperature": "Guo C et al. On calibration of modern neural networks. ICML 2017. "
    "arXiv:1706.04599.",
}

Cite = Callable[[str], str]


@dataclass(frozen=True)
class TemperatureRow:
    """The temperature of one network, or of one ensemble; of a finding where there are some."""

    arm: str
    fold: str
    seed: str
    finding: str
    value: float | None
    nll_before: float | None
    nll_after: float | None
    n_images: int | None
    rule: str


@dataclass(frozen=True)
class PredictionFacts:
    """What became of the logits.

    Args:
        views: Kinds of views over which probabilities were averaged, besides the image itself.
        has_ensemble: Whether the seeds' networks were also averaged.
        temperatures: One per network and ensemble; none where none was fitted.
    """

    views: tuple[str, ...]
    has_ensemble: bool
    temperatures: tuple[TemperatureRow, ...]

    @property
    def n_left(self) -> int:
        """Return how many temperatures are 1 because none was fitted."""
        return sum(row.rule.startswith("1,") for row in self.temperatures)


def build_prediction(sources: Sources) -> PredictionFacts:
    """Gather what was set and what was fitted.

    Args:
        sources: Section `predict` of the settings; tables `temperatures` and `metrics`.
    """
    views = sources.setting("predict", "views")
    return PredictionFacts(
        views=tuple(str(kind) for kind in views) if isinstance(views, list) else (),
        has_ensemble=any(is_ensemble(row["arm"]) for row in sources.table("metrics")),
        temperatures=tuple(_build_row(row) for row in sources.table("temperatures")),
    )


def write_prediction(sources: Sources, cite: Cite) -> str:
    """Write the methods' paragraph on prediction; empty where logits went straight to softmax.

    Args:
        sources: The settings in force.
        cite: Gives a citation's number.
    """

    def get(name: str) -> JsonValue:
        return sources.setting("predict", name)

    told = []
    what = "values" if sources.setting("data", "task") == "regression" else "probabilities"
    views = get("views")
    if isinstance(views, list) and views:
        told.append(
            f"The {what} predicted of each image were averaged over the image itself and fixed "
            f"views of it {cite('views')}: {_say_views(views, sources)}."
        )
    if get("ensemble") == "seeds":
        told.append(
            f"As an arm of its own, the {what} that each arm's networks of all seeds predict were "
            f"averaged {cite('ensemble')}."
        )
    if get("temperature") == "fit":
        pooled = ", and of each ensemble," if get("ensemble") == "seeds" else ""
        told.append(
            f"The logits of each network{pooled} were divided by a temperature fitted on its "
            f"validation images alone {cite('temperature')}."
        )
    if told:
        told.append("Validation and test images were treated alike.")
    return " ".join(told)


def list_prediction_limits(facts: PredictionFacts, *, is_explained: bool) -> tuple[str, ...]:
    """Say what the probabilities of the page are not.

    Args:
        facts: What became of the logits.
        is_explained: Whether predictions were explained.
    """
    limits = []
    if is_explained and facts.views:
        limits.append(
            "Predictions are means over views of an image; an attribution explains the network "
            "on the image itself."
        )
    if is_explained and facts.has_ensemble:
        limits.append("Attributions explain single networks, not the ensemble.")
    fitted = [row for row in facts.temperatures if not row.rule.startswith("1,")]
    if fitted:
        fewest = min(row.n_images or 0 for row in fitted)
        limits.append(
            f"Temperatures were fitted on as few as {fewest} validation images, and are themselves "
            "uncertain."
        )
    return tuple(limits)


def _say_views(views: list[JsonValue], sources: Sources) -> str:
    """Name the views, with their size."""
    axes = sources.setting("augment", "flip_axes")
    names = (
        ["ijk"[n] for n in sorted(a for a in axes if isinstance(a, int))]
        if (isinstance(axes, list))
        else []
    )
    voxels, zoom = (sources.setting("predict", name) for name in ("shift_voxels", "zoom"))
    share = f"{100 * zoom:g}%" if isinstance(zoom, int | float) else f"{zoom}"
    words = {
        "flip": f"flips along {' and '.join(names)}",
        "shift": f"shifts by {voxels} voxel{'' if voxels == 1 else 's'} either way along i and j",
        "zoom": f"zooms by {share} either way",
    }
    return join_words([text for kind, text in words.items() if kind in views])


def _build_row(row: Row) -> TemperatureRow:
    """Return a row of temperatures.tsv as a fact."""
    return TemperatureRow(
        arm=say(row["arm"], ARMS),
        fold=row["fold"],
        seed=row["seed"],
        finding=row.get("finding", ""),
        value=parse_number(row["temperature"]),
        nll_before=parse_number(row["nll_before"]),
        nll_after=parse_number(row["nll_after"]),
        n_images=parse_count(row["n_images"]),
        rule=row["rule"],
    )
