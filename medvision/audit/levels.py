"""The levels of an audit: how deep each question goes, and what it needs."""

from typing import Final

LEVELS: Final = {
    0: "hashes and signature",
    1: "one story: records, settings, plan, tables, statistics, verdicts, peaks",
    2: "pictures drawn again from their maps",
    3: "arrays and maps computed again from source pixels and weights",
    4: "checks, controls, stability and influence run again",
    5: "another implementation agrees",
}
"""Level to what is asked at it; a level asks all that those below it ask."""

BUNDLE_ALONE: Final = 2
"""The deepest level that needs nothing but the bundle."""

_QUESTIONS = {
    **dict.fromkeys(("manifest", "folder", "files", "extra", "signature", "timestamp"), 0),
    **dict.fromkeys(("study", "reviews"), 0),
    "pictures": 2,
    **dict.fromkeys(("arrays", "maps", "synthetic"), 3),
    **dict.fromkeys(("checks", "stability", "influence"), 4),
    "independent": 5,
}


def find_level(name: str) -> int:
    """Return the level of a question by its name; what is not named asks for one story."""
    if name.startswith("level "):
        return int(name.removeprefix("level "))
    return _QUESTIONS.get(name, 1)
