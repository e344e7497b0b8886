"""Coded concepts: kept where a dictionary holds them, in the dictionary's own words."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pydicom import Dataset

_Concepts = Mapping[str, Mapping[str, Mapping[str, tuple[str, list[int]]]]]
"""Scheme, keyword, value, then meaning and context groups."""

_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")
_SCHEME = "CodingSchemeDesignator"
_OLD_SNOMED = ("SRT", "SNM3", "99SDM")


def is_code(item: "Dataset") -> bool:
    """Say whether a sequence's item is a code."""
    return any(keyword in item for keyword in _VALUES)


def clean_code(item: "Dataset") -> "Dataset | None":
    """Return a code with nothing but value, scheme and meaning, None for one that is not known.

    A code of a hospital's own scheme, and any meaning that is typed, may tell who somebody is.

    Args:
        item: An item of a code sequence.

    Source:
        PS3.3 table 8.8-1; the codes of PS3.16 as pydicom lists them.
    """
    from pydicom import Dataset

    value, scheme = (str(item.get(name) or "").strip() for name in (_VALUES[0], _SCHEME))
    meaning = find_meaning(value, scheme)
    if not meaning:
        return None
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def find_meaning(value: str, scheme: str) -> str:
    """Return what a code means, "" where no dictionary holds it.

    Args:
        value: Such as 69536005.
        scheme: Such as SCT, DCM, or one of the old names of SNOMED.
    """
    from pydicom.sr._snomed_dict import mapping

    if scheme in _OLD_SNOMED:
        value, scheme = mapping["SRT"].get(value, ""), "SCT"
    return _read_meanings().get((scheme, value), "")


@cache
def _read_meanings() -> dict[tuple[str, str], str]:
    """Return the meaning of each (scheme, value)."""
    from pydicom.sr import _concepts_dict

    concepts = cast(_Concepts, _concepts_dict.concepts)
    meanings: dict[tuple[str, str], str] = {}
    for scheme, keywords in concepts.items():
        for value, (meaning, *_) in (pair for codes in keywords.values() for pair in codes.items()):
            # The header names no character set, so that only ASCII can be written.
            text = meaning.encode("ascii", errors="replace").decode()
            held = meanings.setdefault((scheme, value), text)
            # Of several wordings the shortest, so that their order counts for nothing.
            meanings[scheme, value] = min(held, text, key=lambda word: (len(word), word))
    return meanings
