"""Tests of two networks as facts: what was tested, with p-values before and after correction."""

from dataclasses import dataclass

from medvision.report.sources import Row, Sources, parse_count, parse_number
from medvision.report.words import ARMS, say

_KINDS = {
    "areas": "Areas under the ROC curves",
    "decisions": "Right predictions, subject by subject",
    "errors": "Absolute errors, subject by subject",
}


@dataclass(frozen=True)
class PairTestFacts:
    """One test; `p` is None where the method says why."""

    words: str
    finding: str
    arm_a: str
    arm_b: str
    detail: str
    p: str
    p_holm: str
    n_subjects: int | None
    method: str

    @property
    def named(self) -> tuple[str, "PairTestFacts"]:
        """Return the two networks in words, and the test."""
        return f"{self.arm_a} − {self.arm_b}", self

    @property
    def made(self) -> tuple[str, str]:
        """Return what was tested, and how."""
        return self.words, self.method


def build_tests(sources: Sources) -> tuple[PairTestFacts, ...]:
    """Gather the tests.

    Args:
        sources: Table `tests`.
    """
    return tuple(build_test(row) for row in sources.table("tests"))


def build_test(row: Row) -> PairTestFacts:
    """Return one test as a fact.

    Args:
        row: Row of `evaluate/tests.tsv`, or one of its form.
    """
    return PairTestFacts(
        words=say(row["kind"], _KINDS),
        finding=row.get("finding", ""),
        arm_a=say(row["arm_a"], ARMS),
        arm_b=say(row["arm_b"], ARMS).lower(),
        detail=_say_detail(row),
        p=_say_p(row["p"]),
        p_holm=_say_p(row["p_holm"]),
        n_subjects=parse_count(row["n_subjects"]),
        method=row["method"],
    )


def _say_detail(row: Row) -> str:
    """Say what the p-value is of."""
    value = parse_number(row["statistic"])
    if value is None:
        return "–"
    if row["kind"] == "areas":
        return f"z = {value:+.2f}".replace("-", "−")
    return f"better on {value:.0f} of {row['n_unequal']} subjects"


def _say_p(text: str) -> str:
    """Return a p-value in three digits, never 0."""
    value = parse_number(text)
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
