"""The train images beside each explained one: the nearest, and those that moved its loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from medvision.domain.record import JsonValue
from medvision.report.sources import Row, Sources, list_unique, parse_count, parse_number

KINDS = {
    "nearest": "Nearest train images",
    "raised": "Raised its loss most",
    "lowered": "Lowered its loss most",
}

SHOWN_CASES = 8
"""Cases for which a page has pictures, however many were explained."""


@dataclass(frozen=True)
class Beside:
    """One train image beside an explained one.

    Args:
        image_id: Its name.
        label: Its label.
        is_same: Whether that is the explained image's own.
        score: Distance in standard deviations, or influence in nats; None where it is not told.
    """

    image_id: str
    label: str
    is_same: bool
    score: float | None


@dataclass(frozen=True)
class BesideGroup:
    """The train images of one kind, the first in front."""

    kind: str
    words: str
    images: tuple[Beside, ...]


@dataclass(frozen=True)
class InfluenceFacts:
    """Which train images stand beside which explained one.

    Args:
        cases: Explained image to its groups.
        sentence: Over how many checkpoints and among how many images they were looked for; empty
            where none was.
        reasons: Why the influence of train images is not known, of some or all networks.
        limits: What it cannot show.
    """

    cases: Mapping[str, tuple[BesideGroup, ...]] = field(default_factory=dict)
    sentence: str = ""
    reasons: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    @property
    def images(self) -> list[str]:
        """Names of the train images beside the cases that the page shows."""
        return list_unique(
            image.image_id
            for groups in list(self.cases.values())[:SHOWN_CASES]
            for group in groups
            for image in group.images
        )


def build_influence(sources: Sources) -> InfluenceFacts:
    """Gather what the explanation stage found in the train images.

    Args:
        sources: Tables `influence` and `selection`, document `explain_summary`.
    """
    rows = sources.table("influence")
    told = sources.document("explain_summary").get("influence")
    if not rows or not isinstance(told, dict):
        return InfluenceFacts()
    networks = told.get("networks")
    listed = networks if isinstance(networks, list) else []
    held = [each for each in listed if isinstance(each, dict)]
    limits = told.get("limits")
    return InfluenceFacts(
        cases={
            case["image_id"]: _group([r for r in rows if r["image_id"] == case["image_id"]], case)
            for case in sources.table("selection")
        },
        sentence=_say(held),
        reasons=tuple(list_unique(str(each["reason"]) for each in held if each.get("reason"))),
        limits=tuple(map(str, limits)) if isinstance(limits, list) else (),
    )


def _group(rows: Sequence[Row], case: Row) -> tuple[BesideGroup, ...]:
    """Return one explained image's groups, in the order of the words."""
    groups = []
    for kind, words in KINDS.items():
        images = tuple(
            Beside(
                row["train_image_id"],
                row["train_label"],
                row["train_label"] == case["label"],
                parse_number(row["score"]),
            )
            for row in rows
            if row["kind"] == kind
        )
        groups += [BesideGroup(kind, words, images)] if images else []
    return tuple(groups)


def _say(networks: Sequence[Mapping[str, JsonValue]]) -> str:
    """Say among how many images, and over how many checkpoints."""
    compared = [parse_count(str(each["n_compared"])) or 0 for each in networks]
    train = [parse_count(str(each["n_train"])) or 0 for each in networks]
    kept = [len(own) for each in networks if isinstance(own := each.get("checkpoints"), list)]
    among = f"Looked for among {_span(compared)} train images of each network"
    if compared != train:
        among += f", taken evenly from {_span(train)}"
    over = f"; influence is summed over {_span(kept)} checkpoints" if any(kept) else ""
    return f"{among}{over}."


def _span(values: Sequence[int]) -> str:
    """Return the range of some counts in words."""
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
