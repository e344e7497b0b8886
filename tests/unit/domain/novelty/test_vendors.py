"""Vendors: known ones by any of their usual texts, and nothing of any other text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.novelty.vendors import OTHER, find_vendor, name_vendor

KNOWN = {
    "GE MEDICAL SYSTEMS": "GE",
    "GE Healthcare": "GE",
    "ge": "GE",
    "SIEMENS": "Siemens",
    "Siemens Healthineers": "Siemens",
    "Philips Medical Systems": "Philips",
    "PhilipsMedical": "Philips",
    "TOSHIBA": "Toshiba",
    "CANON_MEC": "Canon",
    "Hitachi, Ltd.": "Hitachi",
    "FUJIFILM Corporation": "Fujifilm",
    "FUJI PHOTO FILM Co., ltd.": "Fujifilm",
    "UIH": "UIH",
    "United Imaging": "UIH",
    "Agfa-Gevaert": "Agfa",
    "Carestream Health": "Carestream",
    "EASTMAN KODAK COMPANY": "Carestream",
    "HOLOGIC, Inc.": "Hologic",
    "Samsung Electronics": "Samsung",
    "KONICA MINOLTA": "Konica Minolta",
    "SHIMADZU": "Shimadzu",
    "Esaote S.p.A.": "Esaote",
    "Mindray": "Mindray",
    "Neusoft Medical Systems": "Neusoft",
}
NAMES = {*KNOWN.values(), "Bruker", OTHER, ""}


@pytest.mark.parametrize(("text", "name"), KNOWN.items())
def test_known_vendors_are_named_whatever_stands_beside_and_in_any_case(text, name):
    for typed in (text, text.upper(), text.lower(), f"{text}; SN 4711", f"  {text} "):
        assert name_vendor(typed) == name
    assert name_vendor(name) == name


@pytest.mark.parametrize("text", ["Doe^Jane", "4711", "George Geiger", "imaging", "agfanate", "-"])
def test_any_other_text_is_other_or_nothing(text):
    assert (name_vendor(text), find_vendor(text)) == (OTHER, "")


def test_no_text_is_no_vendor():
    assert name_vendor("") == name_vendor("  ") == ""


@given(st.text(max_size=40))
def test_nothing_that_was_typed_goes_on(text):
    assert name_vendor(text) in NAMES
    assert not re.search(r"[0-9^;,]", name_vendor(text))
