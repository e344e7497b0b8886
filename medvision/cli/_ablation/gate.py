"""The gate in the ablation: what a share's generator drew, judged by that share's own network."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from medvision.cli._gate.files import GATE_SHUT
from medvision.cli._gate.judge import judge_drawn
from medvision.cli._synthetic.mix import Drawn
from medvision.cli._training.fitting import Job, Trained
from medvision.domain.record import JsonValue

if TYPE_CHECKING:
    from medvision.learn.extractor import Extractor

OPEN, SHUT = "open", "shut"
ALL_REFUSED = "the gate refuses every image"


@dataclass(frozen=True)
class Gatekeeper:
    """What judges every generator of a job.

    Args:
        extractor: The fixed network.
        groups: Subject to the group of subjects that are one.
        is_obeyed: Whether only accepted images are added.
    """

    extractor: "Extractor"
    groups: Mapping[str, str]
    is_obeyed: bool


@dataclass(frozen=True)
class Draw:
    """What a generator gave to its share.

    Args:
        added: The images that a training has.
        n_drawn: Images drawn.
        reason: Why none were added; empty where some were.
        gate: open or shut; empty where there was nothing to judge.
        gate_reason: The verdict in words.
        n_refused: Images that the gate refuses one by one, whether it is open or shut.
        criteria: All that was asked, by column; what is undefined is None.
    """

    added: Drawn
    n_drawn: int
    reason: str
    gate: str = ""
    gate_reason: str = ""
    n_refused: int = 0
    criteria: tuple[dict[str, JsonValue], ...] = ()


def judge_draw(keeper: Gatekeeper, job: Job, plain: Trained, drawn: Drawn) -> Draw:
    """Ask the gate's criteria, but the one of the explanations, which takes trainings of its own.

    Args:
        keeper: Who judges.
        job: The share's, real images alone.
        plain: The network trained on them without additions.
        drawn: What the share's generator drew.

    Returns:
        The images that may be added, with the verdict; all of them where it is not obeyed.

    Raises:
        DataError: Features are not finite.
    """
    if not len(drawn):
        return Draw(drawn, 0, "no image is wanted")
    judged = judge_drawn(job, plain, drawn, extractor=keeper.extractor, groups=keeper.groups)
    verdict = judged.verdict
    rows = verdict.list_accepted(len(drawn)) if keeper.is_obeyed else range(len(drawn))
    reason = "" if len(rows) else ALL_REFUSED if verdict.is_open else GATE_SHUT
    return Draw(
        drawn.take(rows),
        len(drawn),
        reason,
        gate=OPEN if verdict.is_open else SHUT,
        gate_reason=verdict.reason,
        n_refused=len(verdict.refused),
        criteria=tuple(
            {name: _blank(value) for name, value in asdict(own).items()} for own in verdict.criteria
        ),
    )


def _blank(value: JsonValue) -> JsonValue:
    """Return a cell, None where the number is undefined."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
