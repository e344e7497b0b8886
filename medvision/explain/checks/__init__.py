"""Checks on maps, one module to a subject; `table` holds those that need one case alone."""

from medvision.explain.checks.completeness import check_completeness
from medvision.explain.checks.deletion import DELETION_PASS, check_deletion, check_insertion
from medvision.explain.checks.randomisation import DEPTHS, check_randomisation
from medvision.explain.checks.row import LOCALISATION, SOURCES, About, judge

__all__ = [
    "DELETION_PASS",
    "DEPTHS",
    "LOCALISATION",
    "SOURCES",
    "About",
    "check_completeness",
    "check_deletion",
    "check_insertion",
    "check_randomisation",
    "judge",
]
