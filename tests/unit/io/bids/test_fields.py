"""Acquisition under BIDS's names: numbers in range and known terms pass, nothing typed does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.io.bids.fields import PROTOCOL_KEYWORDS, build_bids_fields, check_bids_fields


def test_units_are_those_of_bids():
    texts = {
        "EchoTime": ("4.6",),
        "RepetitionTime": ("2300",),
        "InversionTime": ("900",),
        "FlipAngle": ("9",),
        "MagneticFieldStrength": ("3",),
        "ScanningSequence": ("GR", "IR"),
        "MRAcquisitionType": ("3D ",),
    }
    assert dict(build_bids_fields(texts)) == {
        "EchoTime": 0.0046,
        "RepetitionTime": 2.3,
        "InversionTime": 0.9,
        "FlipAngle": 9.0,
        "MagneticFieldStrength": 3.0,
        "ScanningSequence": "GR_IR",
        "MRAcquisitionType": "3D",
    }


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("EchoTime", ("0",)),
        ("EchoTime", ("-4",)),
        ("EchoTime", ("nan",)),
        ("EchoTime", ("1e9",)),
        ("EchoTime", ()),
        ("EchoTime", ("Doe^Jane",)),
        ("MagneticFieldStrength", ("15000",)),
        ("ScanningSequence", ("Doe^Jane",)),
        ("ImageType", ("JANE", "")),
    ],
)
def test_what_is_not_believed_or_not_known_is_left_out(keyword, values):
    assert build_bids_fields({keyword: values}) == ()


@given(
    st.dictionaries(
        st.sampled_from([*PROTOCOL_KEYWORDS, "PatientName"]),
        st.lists(st.text(max_size=12), max_size=3).map(tuple),
    )
)
def test_no_text_gets_through(texts):
    for _, value in build_bids_fields(texts):
        if isinstance(value, str):
            assert all(term.isalnum() and term.isupper() for term in value.split("_"))


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


def test_fields_survive_the_sidecar():
    fields = build_bids_fields({"EchoTime": ("4.6",), "SequenceVariant": ("SP", "MP")})
    assert check_bids_fields(json.loads(json.dumps(dict(fields)))) == dict(fields)
