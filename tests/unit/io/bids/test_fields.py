"""Sidecars: numbers in range and known terms pass, nothing that was typed does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.io.bids.fields import check_bids_fields, split_terms

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("EchoTime", 0),
        ("EchoTime", -4),
        ("EchoTime", float("nan")),
        ("EchoTime", 4600),
        ("EchoTime", [0.1]),
        ("EchoTime", "Doe^Jane"),
        ("MagneticFieldStrength", 15000),
        ("MagneticFieldStrength", 10**400),
        ("ScanningSequence", "Doe^Jane"),
        ("ImageType", ["JANE", ""]),
        ("SkullStripped", "yes"),
    ],
)
def test_what_is_not_believed_or_not_known_is_left_out(key, value):
    assert check_bids_fields({key: value}) == {}


@given(
    st.dictionaries(st.sampled_from(["EchoTime", "ImageType", "ScanningSequence", "Name"]), JSON)
)
def test_no_text_gets_through(sidecar):
    for value in check_bids_fields(sidecar).values():
        if isinstance(value, str):
            assert all(term.isalnum() and term.isupper() for term in split_terms(value))


def test_a_sidecar_passes_by_the_same_rules():
    sidecar = {
        "EchoTime": 0.0046,
        "RepetitionTime": True,
        "InversionTime": "0.9",
        "FlipAngle": 900,
        "ScanningSequence": "GR\\IR",
        "ImageType": ["ORIGINAL", "PRIMARY", "Jane"],
        "PatientName": "Jane",
        "ProtocolName": "Jane's head",
        "InjectedRadioactivity": 370,
    }
    assert check_bids_fields(sidecar) == {
        "EchoTime": 0.0046,
        "ScanningSequence": "GR_IR",
        "ImageType": "ORIGINAL_PRIMARY",
        "InjectedRadioactivity": 370.0,
    }


def test_what_passed_passes_again():
    sidecar = {"EchoTime": 0.0046, "SequenceVariant": "SP_MP", "SkullStripped": True}
    once = check_bids_fields(sidecar)
    assert check_bids_fields(json.loads(json.dumps(once))) == once == sidecar
