"""The names of the negative controls and of the comparator of localisation."""

EDGE = "control_edge"
RANDOM = "control_random"
CENTRE = "centre_prior"
"""No control but a comparator of localisation: the middle of every image."""


def is_control(name: str) -> bool:
    """Tell whether a map is a negative control."""
    return name.startswith("control_")


def name_randomised(method: str) -> str:
    """Return the name of a method's map of the network with random weights."""
    return f"control_randomised.{method}"


def name_other_class(method: str) -> str:
    """Return the name of a method's map of another class, shown as that of the class explained."""
    return f"control_other_class.{method}"
