"""The checks of some cases alone: of maps that are made to be measured, and not to be kept."""

from collections.abc import Sequence

from medvision.domain.attribution import Check
from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatGrid
from medvision.explain.bench import Finished, Hands, explain_cases
from medvision.explain.case import Case
from medvision.explain.network import reference_precision
from medvision.explain.sanity import check_randomisations
from medvision.explain.work import Plan


def gather_checks(finished: Sequence[Finished], *, seed: int) -> list[Check]:
    """Return the rows of each case, and those that need all cases.

    Args:
        finished: All explained cases.
        seed: Seed of the draw of pairs of cases.
    """
    explained = [done.explained for done in finished]
    own = [check for case in explained for check in case.checks]
    return own + check_randomisations(explained, seed=seed)


def check_cases(
    cases: Sequence[Case], *, hands: Hands, plan: Plan, description: str
) -> list[Check]:
    """Explain cases and return what their checks measured, of methods and controls.

    Args:
        cases: All before one network.
        hands: How images and the network are got.
        plan: Methods and parameters.
        description: What the progress display says.

    Raises:
        ExplanationError: The network changed while it was explained, or its copy has other logits.
    """
    with reference_precision():
        finished, _ = explain_cases(cases, hands=hands, plan=plan, description=description)
    return gather_checks(finished, seed=plan.seed)


def forget_map(image_id: str, method: str, *, grid: FloatGrid, affine: Affine) -> str:
    """Take a map that nobody wants to keep, and write nothing; the digest is empty."""
    del image_id, method, grid, affine
    return ""
