"""The verdict on a map, and on a method over all its maps: the conjunction of the checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medvision.domain.attribution import Attribution, Check, Verdict, is_empty
from medvision.domain.metrics.calibration import compute_wilson
from medvision.domain.record import JsonValue
from medvision.explain.checks import DEPTHS

CONFIDENCE = 0.95
"""Level of the intervals."""

COHORT_PASS = 0.95
"""Share of the maps that must pass a check for the method to pass it."""

LEAST_LOW = 0.5
"""What the lower end of that share's interval must be above: fewer than four maps never suffice."""

_BAD: tuple[tuple[Verdict, str], ...] = (("FAIL", "failed"), ("INCONCLUSIVE", "inconclusive"))
_JUDGED = ("PASS", "FAIL", "EMPTY")


def conclude(attribution: Attribution, checks: Sequence[Check]) -> tuple[Verdict, str]:
    """Return the verdict on a map: it must pass every check that applies to it.

    Args:
        attribution: The map.
        checks: Its rows.
    """
    if is_empty(attribution.grid):
        return "EMPTY", "the map is zero everywhere"
    return conclude_rows(checks)


def conclude_rows(checks: Sequence[Check]) -> tuple[Verdict, str]:
    """Return the same where the map is not at hand: an empty one has EMPTY rows.

    Args:
        checks: All rows of one map.
    """
    if any(check.verdict == "EMPTY" for check in checks):
        return "EMPTY", "the map is zero everywhere"
    for verdict, word in _BAD:
        names = [check.check for check in checks if check.verdict == verdict]
        if names:
            return verdict, f"{word}: {', '.join(sorted(names))}"
    passed = [check.check for check in checks if check.verdict == "PASS"]
    if not passed:
        return "INCONCLUSIVE", "no check applies"
    return "PASS", f"passed: {', '.join(sorted(passed))}"


def summarise_rows(rows: Sequence[Check]) -> JsonValue:
    """Return rate, interval and means; maps that marked nothing count as not passed.

    Args:
        rows: All rows of one method and check.
    """
    verdicts = [row.verdict for row in rows]
    n = sum(verdict in _JUDGED for verdict in verdicts)
    return {
        **_count(verdicts.count("PASS"), n),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
        "mean_statistic": _mean([row.statistic for row in rows]),
        "mean_comparator": _mean([row.comparator for row in rows]),
        "mean_threshold": _mean([row.threshold for row in rows]),
    }


def _count(passed: int, n: int) -> dict[str, JsonValue]:
    """Return a share with Wilson's interval."""
    low, high = compute_wilson(passed / n, n, confidence=CONFIDENCE) if n else (None, None)
    return {
        "n": n,
        "n_passed": passed,
        "rate": passed / n if n else None,
        "low": low,
        "high": high,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of those values that are there."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def conclude_cohort(checks: Sequence[Check]) -> dict[str, JsonValue]:
    """Return the verdict on a method or control: it must pass every check over all its maps.

    A check is passed where at least 95 % of the maps that it applies to pass it, and the lower end
    of Wilson's interval is above one half; it is failed where even the upper end is below 95 %.
    Between the two, and of weight randomisation of fewer than two maps, it is inconclusive. Weight
    randomisation is judged by its mean, as it is defined.

    Args:
        checks: All rows of the method.

    Returns:
        verdict, reason; of the maps that pass every check the number, share and interval; the
        verdict of each check.

    Source:
        95 %: own choice, of Wilson 1927, doi:10.1080/01621459.1927.10502953; mean of weight
        randomisation: Arun 2021, doi:10.1148/ryai.2021200267.
    """
    by_check = _group([(check.check, check) for check in checks])
    by_map = _group([(check.image_id, check) for check in checks])
    maps = [conclude_rows(rows)[0] for rows in by_map.values() if _was_made(rows)]
    judged = {name: _judge(name, rows) for name, rows in by_check.items()}
    verdict, reason = _join(maps, judged)
    return {
        "verdict": verdict,
        "reason": reason,
        **_count(maps.count("PASS"), len(maps)),
        "maps": {name: maps.count(name) for name in sorted(set(maps))},
        "checks": {name: found.verdict for name, found in judged.items()},
    }


@dataclass(frozen=True)
class _Judged:
    """What a check came to over all maps, and the figures of it."""

    verdict: Verdict
    figures: str


def _group(pairs: Sequence[tuple[str, Check]]) -> dict[str, list[Check]]:
    """Gather rows by a key."""
    groups: dict[str, list[Check]] = {}
    for key, row in pairs:
        groups.setdefault(key, []).append(row)
    return groups


def _was_made(rows: Sequence[Check]) -> bool:
    """Say whether there is a map: of a refused one no check applies."""
    return any(row.verdict != "NOT APPLICABLE" for row in rows)


def _judge(name: str, rows: Sequence[Check]) -> _Judged:
    """Return what a check came to over all maps."""
    verdicts = [row.verdict for row in rows if row.verdict != "NOT APPLICABLE"]
    if not verdicts:
        return _Judged("NOT APPLICABLE", "")
    n, passed = len(verdicts), verdicts.count("PASS")
    low, high = compute_wilson(passed / n, n, confidence=CONFIDENCE)
    figures = f"{passed} of {n}"
    if verdicts.count("EMPTY") == n:
        return _Judged("EMPTY", figures)
    if name in DEPTHS:
        return _judge_mean(rows, figures)
    if passed / n >= COHORT_PASS and low > LEAST_LOW:
        return _Judged("PASS", figures)
    return _Judged("FAIL" if high < COHORT_PASS else "INCONCLUSIVE", figures)


def _judge_mean(rows: Sequence[Check], figures: str) -> _Judged:
    """Hold the mean similarity to the maps of random weights against that of other cases."""
    similarity = _mean([row.statistic for row in rows])
    threshold = _mean([row.threshold for row in rows])
    if similarity is None or threshold is None:
        return _Judged("INCONCLUSIVE", figures)
    figures = f"mean SSIM {similarity:.3f}, {threshold:.3f} between cases"
    return _Judged("PASS" if similarity < threshold else "FAIL", figures)


def _join(maps: Sequence[Verdict], judged: Mapping[str, _Judged]) -> tuple[Verdict, str]:
    """Join the checks: one that fails decides."""
    if not maps:
        return "NOT APPLICABLE", "there is no map"
    if maps.count("EMPTY") == len(maps):
        return "EMPTY", "every map is zero everywhere"
    for verdict, word in _BAD:
        found = [f"{name} ({j.figures})" for name, j in judged.items() if j.verdict == verdict]
        if found:
            return verdict, f"{word}: {', '.join(found)}"
    passed = [name for name, found in judged.items() if found.verdict == "PASS"]
    return "PASS", f"passed: {', '.join(passed)}"
