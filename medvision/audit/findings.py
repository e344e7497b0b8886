"""What a check found: one fault and where, one check and its verdict, a whole verification."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from medvision.audit.levels import find_level
from medvision.domain.record import JsonValue
from medvision.errors import AuditError

Status = Literal["PASS", "FAIL", "NOT CHECKED"]

_MAX_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One fault.

    Args:
        where: The step, or the path below the bundle or the study.
        thing: What is wrong there.
        rule: What it must be.
        found: What it is.
    """

    where: str
    thing: str
    rule: str
    found: str

    def __str__(self) -> str:
        found = self.found.removesuffix(".")
        return escape(f"{self.where}: {self.thing} must be {self.rule}, got {found}.")


@dataclass(frozen=True)
class Check:
    """One question put to a bundle, and the answer.

    Args:
        name: Short name, stable, used in the JSON and in the documentation.
        question: What is asked, in words.
        status: PASS, FAIL, or NOT CHECKED where something needed was not given.
        findings: The faults; none unless the status is FAIL.
        note: What a reader must know about a check that did not fail.
    """

    name: str
    question: str
    status: Status
    findings: tuple[Finding, ...] = ()
    note: str = ""

    @property
    def level(self) -> int:
        """How deep the question goes, from 0 for hashes to 5 for another implementation."""
        return find_level(self.name)


@dataclass(frozen=True)
class Verification:
    """All checks of one bundle; `root_digest` is that of the manifest, "" if it is unreadable."""

    root_digest: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """No check failed; checks that were not made do not count against a bundle."""
        return not any(check.status == "FAIL" for check in self.checks)

    def as_dict(self) -> dict[str, JsonValue]:
        """Return plain JSON types, for machines."""
        return {
            "format": "medvision-verification/1",
            "verdict": "PASS" if self.passed else "FAIL",
            "root_digest": self.root_digest,
            "checks": [_check_as_dict(check) for check in self.checks],
        }


def answer(name: str, question: str, *, findings: Iterable[Finding], note: str = "") -> Check:
    """Return a check that fails when there is a finding."""
    found = tuple(findings)
    return Check(name, question, "FAIL" if found else "PASS", found, "" if found else note)


def raise_findings(findings: Sequence[Finding], *, hint: str | None = None) -> None:
    """Raise the findings as one error, the first ones in full.

    Raises:
        AuditError: There is at least one finding.
    """
    if not findings:
        return
    lines = [str(finding) for finding in findings[:_MAX_SHOWN]]
    if len(findings) > _MAX_SHOWN:
        lines.append(f"... and {len(findings) - _MAX_SHOWN} more.")
    raise AuditError("\n".join(lines), hint)


def escape(text: str) -> str:
    """Return text fit for a terminal: names in a bundle are not to be trusted."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _check_as_dict(check: Check) -> dict[str, JsonValue]:
    """Return one check as plain JSON types."""
    return {
        "name": check.name,
        "level": check.level,
        "question": check.question,
        "status": check.status,
        "findings": [_finding_as_dict(finding) for finding in check.findings],
        "note": check.note,
    }


def _finding_as_dict(finding: Finding) -> JsonValue:
    """Return one finding as plain JSON types."""
    return {name: escape(text) for name, text in asdict(finding).items()}
