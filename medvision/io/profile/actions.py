"""What PS3.15 asks to be done with each attribute, under the options that are chosen."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

from medvision.io.profile.table import (
    BASIC_PROFILE,
    DEVICE_IDENTITY,
    EDITION,
    NEVER_SHIFTED,
    PATIENT_CHARACTERISTICS,
    REPEATING_GROUPS,
)

Action = Literal["remove", "empty", "dummy", "uid", "items", "shift", "patient", "keep", "sort"]
"""What is done with an attribute.

remove: it goes. empty: its value goes. dummy: a fixed value takes the place of its own. uid: a
UID of the key takes its place. items: a sequence whose items are cleaned. shift: its date goes
back. patient: kept if it is a controlled value. keep: kept. sort: not in the table; its kind of
value decides.
"""

_ACTIONS: dict[str, Action] = {
    "X": "remove",
    "Z": "empty",
    "D": "dummy",
    "U": "uid",
    # Where the type in the object decides, the choice that fits every type which it may have.
    "X/Z": "empty",
    "X/D": "dummy",
    "Z/D": "dummy",
    "X/Z/D": "dummy",
    "X/Z/U*": "items",
}
_DATES = ("DA", "DT", "TM")
_FIRST_GROUP = 0x0008
_GROUP_LENGTH = 0x0000

METHOD = f"DICOM PS3.15 {EDITION} Basic Application Level Confidentiality"
"""Text of DeidentificationMethod, at most 64 characters."""


@dataclass(frozen=True)
class Options:
    """The standard's options to the Basic Profile that are offered here.

    Args:
        dates: shift = Retain Longitudinal Temporal Information with Modified Dates.
        patient: keep = Retain Patient Characteristics, of which free text is removed all the same.
        device: keep = Retain Device Identity.
    """

    dates: Literal["shift", "remove"]
    patient: Literal["keep", "remove"]
    device: Literal["keep", "remove"]

    @property
    def codes(self) -> tuple[tuple[str, str], ...]:
        """Code value and meaning of the profile and its options, as an object states them.

        Source:
            PS3.16 CID 7050 De-identification Method.
        """
        codes = [("113100", "Basic Application Confidentiality Profile")]
        if self.dates == "shift":
            meaning = "Retain Longitudinal Temporal Information Modified Dates Option"
            codes.append(("113107", meaning))
        if self.patient == "keep":
            codes.append(("113108", "Retain Patient Characteristics Option"))
        if self.device == "keep":
            codes.append(("113109", "Retain Device Identity Option"))
        return tuple(codes)


def choose_action(tag: int, vr: str, *, options: Options) -> Action:
    """Return what is to be done with an attribute.

    Args:
        tag: Group and element, 32 bits.
        vr: Its value representation.
        options: Chosen by the user.

    Source:
        PS3.15 E.1.1 and table E.1-1; an attribute outside the table is never kept for that alone.
    """
    if is_excluded(tag):
        return "remove"
    basic = read_profile().get(tag)
    if basic is None:
        return "sort"
    return _choose_option(tag, vr, options=options) or choose_basic(tag, vr)


def choose_basic(tag: int, vr: str) -> Action:
    """Return what the Basic Profile does with an attribute of the table when no option helps."""
    action = _ACTIONS[read_profile()[tag]]
    # A dummy sequence would need dummy items: none is what all images may hold.
    return "empty" if action == "dummy" and vr == "SQ" else action


def _choose_option(tag: int, vr: str, *, options: Options) -> Action | None:
    """Return the action of the first option that has one."""
    if options.dates == "shift" and vr in _DATES and tag not in _read_tags(NEVER_SHIFTED):
        return "shift"
    if options.device == "keep" and tag in _read_tags(DEVICE_IDENTITY):
        return "items" if vr == "SQ" else "keep"
    if options.patient == "keep" and tag in _read_tags(PATIENT_CHARACTERISTICS):
        return "patient"
    return None


def is_excluded(tag: int) -> bool:
    """Say whether an attribute goes for its group alone: private, curve, overlay, or no image's."""
    group, element = tag >> 16, tag & 0xFFFF
    is_repeating = group & 0xFF00 in REPEATING_GROUPS
    return bool(group % 2) or group < _FIRST_GROUP or element == _GROUP_LENGTH or is_repeating


@cache
def read_profile() -> dict[int, str]:
    """Return the table: tag to the action's code in the standard."""
    return {
        tag: action for action, words in BASIC_PROFILE.items() for tag in sorted(_read_tags(words))
    }


@cache
def _read_tags(words: str) -> frozenset[int]:
    """Return the tags of keywords or hexadecimal digits."""
    from pydicom.datadict import tag_for_keyword

    return frozenset(tag_for_keyword(word) or int(word, 16) for word in words.split())
