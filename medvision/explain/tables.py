"""The rows of the three tables: selection, attributions, checks."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from medvision.domain.attribution import Attribution, Check, Verdict, is_empty
from medvision.explain.bench import Finished
from medvision.explain.case import Case
from medvision.explain.checks import SOURCES
from medvision.explain.controls import EDGE, RANDOM

Cell = str | int | float | bool | None

SELECTION_COLUMNS = (
    *("image_id", "subject", "fold", "seed", "arm"),
    *("label", "predicted", "target", "rule"),
)
ATTRIBUTION_COLUMNS = (
    *("image_id", "method", "target", "layer", "parameters", "minimum", "maximum"),
    *("completeness_error", "output_difference", "map_digest", "verdict", "reason"),
)
CHECK_COLUMNS = (
    *("image_id", "method", "check", "statistic", "comparator", "threshold"),
    *("n", "verdict", "reason", "source"),
)
CASCADE_COLUMNS = (
    *("image_id", "subject", "method", "stage", "layer", "n_layers"),
    *("ssim", "rank_correlation", "entropy", "reason"),
)
STABILITY_COLUMNS = (
    *("image_id", "subject", "method", "comparison", "against", "split"),
    *("ssim", "rank_correlation", "reason"),
)


_BAD: tuple[tuple[Verdict, str], ...] = (("FAIL", "failed"), ("INCONCLUSIVE", "inconclusive"))


def list_selection(cases: Sequence[Case]) -> list[dict[str, Cell]]:
    """Return one row per case, in the order of the draw."""
    return [asdict(case) for case in cases]


def list_checks(cases: Sequence[Case], checks: Sequence[Check]) -> list[dict[str, Cell]]:
    """Return the checks by case in the order of the draw, by method, by check; controls last."""
    places = {case.image_id: place for place, case in enumerate(cases)}
    order = list(SOURCES)
    controls = (EDGE, RANDOM)

    def place(check: Check) -> tuple[int, bool, str, int]:
        is_control = check.method in controls
        return places[check.image_id], is_control, check.method, order.index(check.check)

    return [asdict(check) for check in sorted(checks, key=place)]


def list_attributions(
    finished: Sequence[Finished], checks: Sequence[Check]
) -> list[dict[str, Cell]]:
    """Return one row per map, with the verdict that all its checks give together."""
    return [
        _list_attribution(done, method, checks=checks)
        for done in finished
        for method in done.explained.attributions
    ]


def _list_attribution(done: Finished, method: str, *, checks: Sequence[Check]) -> dict[str, Cell]:
    """Return the row of one map."""
    case, attribution = done.explained.case, done.explained.attributions[method]
    own = [check for check in checks if (check.image_id, check.method) == (case.image_id, method)]
    verdict, reason = conclude(attribution, own)
    written = done.written[method]
    return {
        "image_id": case.image_id,
        "method": method,
        "target": case.target,
        "layer": attribution.layer,
        "parameters": json.dumps(attribution.parameters, sort_keys=True),
        "minimum": written.minimum,
        "maximum": written.maximum,
        "completeness_error": attribution.completeness_error,
        "output_difference": attribution.output_difference,
        "map_digest": written.digest,
        "verdict": verdict,
        "reason": reason,
    }


def conclude(attribution: Attribution, checks: Sequence[Check]) -> tuple[Verdict, str]:
    """Return the verdict on a map: it must pass every check that applies to it."""
    if is_empty(attribution.grid):
        return "EMPTY", "the map is zero everywhere"
    for verdict, word in _BAD:
        names = [check.check for check in checks if check.verdict == verdict]
        if names:
            return verdict, f"{word}: {', '.join(sorted(names))}"
    passed = [check.check for check in checks if check.verdict == "PASS"]
    return "PASS", f"passed: {', '.join(sorted(passed))}"
