"""Attribution methods by name, all through Captum, on the array's grid."""

from medvision.explain.methods.paths import STEP_LIMIT
from medvision.explain.methods.scene import InapplicableError, Settings, Triple
from medvision.explain.methods.table import METHODS, attribute

__all__ = [
    "METHODS",
    "STEP_LIMIT",
    "InapplicableError",
    "Settings",
    "Triple",
    "attribute",
]
