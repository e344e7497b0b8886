"""What the questions of an audit have alike: where files lie, and answers without a look."""

from pathlib import Path

from medvision.audit.findings import Check, Finding
from medvision.audit.inventory import Inventory
from medvision.audit.manifest import STUDY
from medvision.audit.verify import Locate
from medvision.errors import AuditError, MedvisionError

FAULTS = (MedvisionError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError)
"""What reading and computing may raise because of what a bundle holds."""


def find_in(inventory: Inventory) -> Locate:
    """Return what tells where a file of the study lies.

    Args:
        inventory: Of the bundle.
    """

    def locate(path: str) -> Path:
        if STUDY + path not in inventory.sizes:
            raise AuditError(f"{path}: file must be in the bundle, got none.")
        return inventory.root / STUDY / path

    return locate


def skip(name: str, question: str, reason: str) -> Check:
    """Leave a question open, and say why."""
    return Check(name, question, "NOT CHECKED", note=reason)


def fail(name: str, question: str, error: Exception) -> Check:
    """Answer no to a question that cannot be asked because of what the bundle holds."""
    found = error.message if isinstance(error, MedvisionError) else f"{error!r}"
    fault = Finding(name, "content", "complete and readable", found)
    return Check(name, question, "FAIL", (fault,))
