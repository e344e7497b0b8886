"""The rows of the tables: selection, attributions, checks, verdicts."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from medvision.domain.attribution import Check
from medvision.explain.case import Case
from medvision.explain.checks import SOURCES
from medvision.explain.names import is_control
from medvision.explain.verdicts import conclude, conclude_rows

if TYPE_CHECKING:  # An audit, which lists verdicts again, needs no torch.
    from medvision.explain.bench import Finished

Cell = str | int | float | bool | None

SELECTION_COLUMNS = (
    *("image_id", "subject", "fold", "seed", "arm"),
    *("label", "predicted", "target", "rule"),
)
ATTRIBUTION_COLUMNS = (
    *("image_id", "method", "target", "layer", "parameters", "minimum", "maximum"),
    *("completeness_error", "output_difference", "baseline_digest", "map_digest"),
    *("verdict", "reason"),
)
CHECK_COLUMNS = (
    *("image_id", "method", "check", "statistic", "comparator", "threshold"),
    *("n", "edge_map", "centre_prior", "edge_margin", "verdict", "reason", "source"),
)
VERDICT_COLUMNS = ("image_id", "method", "is_control", "verdict", "reason")
CASCADE_COLUMNS = (
    *("image_id", "subject", "method", "stage", "layer", "n_layers"),
    *("ssim", "rank_correlation", "entropy", "reason"),
)
STABILITY_COLUMNS = (
    *("image_id", "subject", "method", "comparison", "against", "split"),
    *("ssim", "rank_correlation", "reason"),
)


def list_selection(cases: Sequence[Case]) -> list[dict[str, Cell]]:
    """Return one row per case, in the order of the draw."""
    return [asdict(case) for case in cases]


def list_checks(cases: Sequence[Case], checks: Sequence[Check]) -> list[dict[str, Cell]]:
    """Return the checks by case in the order of the draw, by method, by check; controls last."""
    places = {case.image_id: place for place, case in enumerate(cases)}
    order = list(SOURCES)

    def place(check: Check) -> tuple[int, bool, str, int]:
        name = check.method
        return places[check.image_id], is_control(name), name, order.index(check.check)

    return [asdict(check) for check in sorted(checks, key=place)]


def list_attributions(
    finished: "Sequence[Finished]", checks: Sequence[Check]
) -> list[dict[str, Cell]]:
    """Return one row per map, with the verdict that all its checks give together."""
    return [
        _list_attribution(done, method, checks=checks)
        for done in finished
        for method in done.explained.attributions
    ]


def _list_attribution(done: "Finished", method: str, *, checks: Sequence[Check]) -> dict[str, Cell]:
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
        "baseline_digest": attribution.baseline_digest,
        "map_digest": written.digest,
        "verdict": verdict,
        "reason": reason,
    }


def list_verdicts(cases: Sequence[Case], checks: Sequence[Check]) -> list[dict[str, Cell]]:
    """Return the verdict on each map, methods' and controls', in the order of the checks."""
    rows: list[dict[str, Cell]] = []
    for image_id, name in dict.fromkeys(
        (str(row["image_id"]), str(row["method"])) for row in list_checks(cases, checks)
    ):
        own = [check for check in checks if (check.image_id, check.method) == (image_id, name)]
        verdict, reason = conclude_rows(own)
        if all(check.verdict == "NOT APPLICABLE" for check in own):
            verdict, reason = "NOT APPLICABLE", own[0].reason
        rows.append(
            {
                "image_id": image_id,
                "method": name,
                "is_control": is_control(name),
                "verdict": verdict,
                "reason": reason,
            }
        )
    return rows
