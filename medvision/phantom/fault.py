"""One planted fault, and the place it is planted on."""

from dataclasses import dataclass

from medvision.domain.record import JsonValue
from medvision.phantom.delivery import Delivery, Files
from medvision.phantom.scan import Scan


@dataclass(frozen=True)
class Fault:
    """One planted fault and the verdict expected of the pipeline.

    Args:
        kind: Name of the fault.
        subject: Identifier of the subject that it is planted on.
        verdict: converted, duplicate, refused or non-image: what becomes of `files`.
        reason: Code of the verdict; empty where the files are converted.
        files: Names of the files that the verdict falls on.
        detail: What must follow further down the pipeline.
        related: Identifier of the other subject that the fault involves, if any.
    """

    kind: str
    subject: str
    verdict: str
    reason: str
    files: tuple[str, ...]
    detail: str
    related: str = ""

    def as_dict(self) -> dict[str, JsonValue]:
        """Return the fault as plain JSON types."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "verdict": self.verdict,
            "reason": self.reason,
            "files": [*sorted(self.files)],
            "detail": self.detail,
            "related": self.related,
        }


@dataclass(frozen=True)
class Planting:
    """Where a fault is planted: a subject of the base cohort, its scan, and a free index."""

    seed: int
    size: tuple[int, int, int]
    scan: Scan
    free_index: int


Planted = tuple[Fault, Delivery]


def plant_files(
    planting: Planting, files: Files, *, kind: str, verdict: str, reason: str, detail: str
) -> Planted:
    """Return a fault that is nothing but some files beside a subject's scan."""
    subject = planting.scan.subject.identifier
    fault = Fault(kind, subject, verdict, reason, tuple(files), detail)
    return fault, Delivery(files)
