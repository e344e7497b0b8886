"""Who made a scanner: a known vendor's name for what a header says, and never its free text."""

import re

OTHER = "other"
"""Stands for a text that names no known vendor."""

_VENDORS = (
    ("siemens", "Siemens"),
    ("ge", "GE"),
    ("general electric", "GE"),
    ("gems", "GE"),
    ("philips", "Philips"),
    ("canon", "Canon"),
    ("toshiba", "Toshiba"),
    ("hitachi", "Hitachi"),
    ("fuji", "Fujifilm"),
    ("fujifilm", "Fujifilm"),
    ("uih", "UIH"),
    ("united imaging", "UIH"),
    ("agfa", "Agfa"),
    ("carestream", "Carestream"),
    ("kodak", "Carestream"),
    ("hologic", "Hologic"),
    ("lorad", "Hologic"),
    ("samsung", "Samsung"),
    ("bruker", "Bruker"),
    ("shimadzu", "Shimadzu"),
    ("konica", "Konica Minolta"),
    ("esaote", "Esaote"),
    ("mindray", "Mindray"),
    ("neusoft", "Neusoft"),
)
"""Words that stand in a text, in lower case, and the name that goes on in its place."""

_LEAST_WITHIN = 5
"""Letters of a word that is also found within another, such as `philips` in PhilipsMedical."""


def find_vendor(text: str) -> str:
    """Return the known vendor that a free text names, or nothing.

    Args:
        text: What a header says of its manufacturer, any text.

    Returns:
        A name of a fixed list; nothing else of the text goes on.

    Source:
        none: own list.
    """
    words = f" {' '.join(re.findall(r'[a-z0-9]+', text.casefold()))} "
    return next((name for part, name in _VENDORS if _holds(words, part)), "")


def name_vendor(text: str) -> str:
    """Return the known vendor that a text names, `other` for another text, nothing for none.

    Args:
        text: What a header says of its manufacturer, any text.

    Returns:
        A name of a fixed list, `other`, or an empty text; a name stays what it is.
    """
    return find_vendor(text) or (OTHER if text.strip() else "")


def _holds(words: str, part: str) -> bool:
    """Tell whether spaced words hold a vendor's, a short one only as a whole."""
    return (part if len(part) >= _LEAST_WITHIN else f" {part} ") in words
