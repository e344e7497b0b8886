"""Table E.1-1: complete, unambiguous, and read as the standard means it."""

from collections import Counter
from itertools import product

import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from medvision.io.profile.actions import METHOD, Options, choose_action, read_profile
from medvision.io.profile.table import (
    BASIC_PROFILE,
    DEVICE_IDENTITY,
    N_ROWS,
    NEVER_SHIFTED,
    PATIENT_CHARACTERISTICS,
)

PLAIN = Options("remove", "remove", "remove")
ALL = [Options(*values) for values in product(("shift", "remove"), *[("keep", "remove")] * 2)]


def choose(keyword, options=PLAIN):
    tag = tag_for_keyword(keyword)
    return choose_action(tag, dictionary_VR(tag), options=options)


def test_table_has_all_its_rows():
    # Three ranges of groups and the private attributes are rows without a tag of their own.
    assert len(read_profile()) + 3 + 1 == N_ROWS


def test_no_attribute_has_two_actions():
    words = Counter(word for text in BASIC_PROFILE.values() for word in text.split())
    assert set(words.values()) == {1}


def test_attributes_are_written_as_digits_only_where_the_dictionary_lacks_them():
    for text in (*BASIC_PROFILE.values(), DEVICE_IDENTITY, PATIENT_CHARACTERISTICS, NEVER_SHIFTED):
        for word in text.split():
            is_digits = word[0].isdigit()
            assert (tag_for_keyword(word) is None) == is_digits, word
            assert not is_digits or not keyword_for_tag(int(word, 16)), word


def test_options_are_for_attributes_of_the_table():
    for text in (DEVICE_IDENTITY, PATIENT_CHARACTERISTICS, NEVER_SHIFTED):
        assert {tag_for_keyword(word) for word in text.split()} <= set(read_profile())


@pytest.mark.parametrize(
    ("keyword", "action"),
    [
        ("PatientName", "empty"),
        ("PatientID", "dummy"),
        ("PatientBirthDate", "empty"),
        ("PatientAge", "remove"),
        ("StudyDate", "empty"),
        ("SOPInstanceUID", "uid"),
        ("ContentSequence", "empty"),
        ("SourceImageSequence", "items"),
        ("OperatorsName", "dummy"),
        ("RequestAttributesSequence", "remove"),
        ("Rows", "sort"),
        ("ImageComments", "remove"),
    ],
)
def test_basic_profile_without_options(keyword, action):
    assert choose(keyword) == action


@pytest.mark.parametrize("options", ALL, ids=str)
def test_no_option_keeps_who_somebody_is(options):
    for keyword in (
        *("PatientName", "PatientID", "PatientBirthDate", "PatientBirthTime", "OtherPatientIDs"),
        *("InstitutionName", "ReferringPhysicianName", "AccessionNumber", "PatientAddress"),
    ):
        assert choose(keyword, options) in ("empty", "remove", "dummy")
    for tag in (0x00091001, 0x50003000, 0x60003000, 0x60204000, 0x00080000, 0x00020016):
        assert choose_action(tag, "LO", options=options) == "remove"


def test_dates_are_shifted_only_if_asked_for():
    assert choose("StudyDate", Options("shift", "remove", "remove")) == "shift"
    assert choose("StudyTime", Options("shift", "remove", "remove")) == "shift"
    assert choose("PatientBirthDate", Options("shift", "keep", "keep")) == "empty"


@pytest.mark.parametrize("options", ALL, ids=str)
def test_object_states_the_profile_and_each_option_once(options):
    codes = dict(options.codes)
    assert "113100" in codes
    assert len(codes) == len(options.codes)
    assert ("113107" in codes) == (options.dates == "shift")
    assert ("113108" in codes) == (options.patient == "keep")
    assert ("113109" in codes) == (options.device == "keep")
    assert all(len(text) <= 64 for text in (METHOD, *codes.values()))


def test_meanings_are_those_of_the_standard():
    from medvision.io.profile.codes import find_meaning

    for value, meaning in Options("shift", "keep", "keep").codes:
        assert find_meaning(value, "DCM").lower() == meaning.lower()
