"""What the gate writes: its criteria, which drawn images may be used, and the verdict."""

from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from medvision import __version__
from medvision.cli._run import Step
from medvision.cli._synthetic.mix import Drawn
from medvision.domain.intended_use import INTENDED_USE, RESEARCH_USE
from medvision.domain.record import JsonValue
from medvision.domain.synthesis.criterion import COLUMNS, Verdict
from medvision.io.tables import Cell, write_table
from medvision.runtime.files import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medvision.learn.extractor import Extractor

_FACTS = ("is_open", "reason", "n_drawn", "n_accepted", "n_refused")
GATE_SHUT = "the gate is shut"
"""Why an image is not accepted that is not refused itself."""

IMAGE_COLUMNS = ("image_id", "row", "label", "accepted", "reason")


def write_verdict(
    step: Step, verdict: Verdict, *, drawn: Drawn, networks: "Mapping[str, Extractor]"
) -> None:
    """Write the gate's tables and its verdict.

    Args:
        step: The running step; what is written is registered with it.
        verdict: All criteria, and images refused one by one.
        drawn: All drawn images.
        networks: Space to the network that gave its features; `backbone` is the classifier.
    """
    layout = step.layout
    criteria = [cast(dict[str, Cell], asdict(own)) for own in verdict.criteria]
    write_table(step.write(layout.table(step.name, "criteria")), criteria, columns=COLUMNS)
    images = list_images(verdict, drawn)
    write_table(step.write(layout.table(step.name, "images")), images, columns=IMAGE_COLUMNS)
    summary: dict[str, JsonValue] = {
        "is_open": verdict.is_open,
        "reason": verdict.reason,
        "n_drawn": len(drawn),
        "n_accepted": sum(row["accepted"] is True for row in images),
        "n_refused": len(verdict.refused),
        "networks": [
            {"space": space, "name": own.name, "digest": own.digest}
            for space, own in networks.items()
        ],
        "classifier_digest": networks["backbone"].digest,
        "medvision_version": __version__,
        INTENDED_USE: RESEARCH_USE,
    }
    write_json(step.write(layout.step(step.name) / "gate.json"), summary)
    step.facts |= {name: summary[name] for name in _FACTS}


def list_images(verdict: Verdict, drawn: Drawn) -> list[dict[str, Cell]]:
    """Return a row for every drawn image: whether a training may have it, and why not.

    Args:
        verdict: Of the gate.
        drawn: All drawn images, in the order of their positions in the verdict.
    """
    refused = {own.image: own.reason for own in verdict.refused}
    accepted = set(verdict.list_accepted(len(drawn)))
    shut = "" if verdict.is_open else GATE_SHUT
    return [
        {
            "image_id": name,
            "row": row,
            "label": label,
            "accepted": row in accepted,
            "reason": "; ".join(filter(None, (refused.get(row, ""), shut))),
        }
        for row, (name, label) in enumerate(zip(drawn.names, drawn.labels, strict=True))
    ]
