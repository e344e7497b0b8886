"""Attribution methods by name, all through Captum, on the array's grid."""

from medvision.explain.methods.paths import ERROR_FLOOR_LOGIT, STEP_LIMIT
from medvision.explain.methods.scene import InapplicableError, Settings, Triple
from medvision.explain.methods.table import METHODS, attribute

__all__ = [
    "ERROR_FLOOR_LOGIT",
    "METHODS",
    "STEP_LIMIT",
    "InapplicableError",
    "Settings",
    "Triple",
    "attribute",
]
