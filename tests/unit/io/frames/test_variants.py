"""What public attributes tell of a plane: each by hand, and any text without an exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.study import AXES, PARTS
from medvision.io.frames.variants import (
    VARIANT_KEYWORDS,
    merge_variants,
    name_component,
    name_kind,
    read_variant,
)


@pytest.mark.parametrize(
    ("keyword", "text", "name", "value"),
    [
        ("EchoTime", "2.46", "echo-time-ms", 2.46),
        ("EchoNumbers", "2", "echo-number", 2.0),
        ("TemporalPositionIdentifier", "17", "temporal-position", 17.0),
        ("NominalPercentageOfCardiacPhase", "35.5", "cardiac-phase-percent", 35.5),
        ("TriggerTime", "416", "trigger-time-ms", 416.0),
        ("InversionTime", "900", "inversion-time-ms", 900.0),
        ("AcquisitionNumber", "3", "acquisition-number", 3.0),
        ("FrameReferenceTime", "150000.0", "frame-time-ms", 150000.0),
        ("InstanceNumber", "41", "instance-number", 41.0),
        ("AcquisitionTime", "124458.102500", "acquisition-time-s", 45898.1025),
        ("ContentTime", "00:01:02", "content-time-s", 62.0),
        ("AcquisitionDateTime", "20181022083635.635000+0100", "acquisition-time-s", 30995.635),
        ("ComplexImageComponent", "PHASE", "component", "P"),
    ],
)
def test_each_attribute_has_its_name_and_unit(keyword, text, name, value):
    assert read_variant({keyword: (text,)}) == ((name, value),)


def test_names_are_sorted_and_are_those_of_the_domain():
    texts = dict.fromkeys(VARIANT_KEYWORDS, ("1",))
    names = [name for name, _ in read_variant(texts)]
    assert names == sorted(names)
    assert set(names) <= {*PARTS, *AXES}


@given(
    st.dictionaries(st.sampled_from(VARIANT_KEYWORDS), st.lists(st.text(max_size=20)).map(tuple))
)
def test_any_text_is_read_or_left_out(texts):
    for name, value in read_variant(texts):
        assert name in (*PARTS, *AXES)
        assert isinstance(value, str) or value == value  # noqa: PLR0124 - NaN is what differs


@pytest.mark.parametrize("text", ["", "none", "nan", "inf", "1e999", "12 13"])
def test_what_is_no_finite_number_is_left_out(text):
    assert read_variant({"EchoTime": (text,), "DiffusionBValue": (text,)}) == ()


@pytest.mark.parametrize("text", ["", "noon", "250000", "126100", "1261"])
def test_what_is_no_time_is_left_out(text):
    found = dict(read_variant({"AcquisitionTime": (text,)}))
    assert "acquisition-time-s" not in found or text == "1261"


def test_a_time_may_end_anywhere():
    assert read_variant({"AcquisitionTime": ("10",)}) == (("acquisition-time-s", 36000.0),)
    assert read_variant({"AcquisitionTime": ("1030",)}) == (("acquisition-time-s", 37800.0),)


def test_times_go_on_through_midnight():
    before = {"StudyDate": ("20240229",), "AcquisitionTime": ("235950",)}
    after = before | {"AcquisitionTime": ("000010",), "AcquisitionDate": ("20240301",)}
    assert read_variant(before) == (("acquisition-time-s", 86390.0),)
    assert read_variant(after) == (("acquisition-time-s", 86410.0),)
    moment = {"StudyDate": ("20240229",), "AcquisitionDateTime": ("20240301000010",)}
    assert read_variant(moment) == read_variant(after)


@pytest.mark.parametrize("day", ["20240401", "20230301", "20249999", "soon"])
def test_a_date_that_is_no_next_day_does_not_count(day):
    texts = {
        "StudyDate": ("20240301",),
        "AcquisitionDate": (day,),
        "AcquisitionTime": ("000010",),
    }
    assert read_variant(texts) == (("acquisition-time-s", 10.0),)


def test_a_gradient_is_written_by_its_components_and_is_empty_without_direction():
    texts = {
        "DiffusionBValue": ("1000",),
        "DiffusionGradientOrientation": ("0.70710678", "-0.0", "-0.70710678"),
    }
    assert dict(read_variant(texts)) == {"b-value": 1000.0, "gradient": "0.70711,0,-0.70711"}
    assert dict(read_variant({"DiffusionBValue": ("0",)})) == {"b-value": 0.0, "gradient": ""}
    texts["DiffusionGradientOrientation"] = ("0", "0", "0")
    assert dict(read_variant(texts))["gradient"] == ""


@pytest.mark.parametrize(
    ("image_type", "component", "kind"),
    [
        (("ORIGINAL", "PRIMARY", "M", "ND"), "M", "ND"),
        (("ORIGINAL", "PRIMARY", "P", "ND"), "P", "ND"),
        (("ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"), "M", "NORM+DIS2D"),
        (("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"), "M", "ND"),
        (("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"), "M", "FFE"),
        (("ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"), "P", "PHASE MAP+FFE"),
        (("ORIGINAL", "PRIMARY", "R_IR", "R", "IR"), "R", "IR"),
        (("ORIGINAL", "PRIMARY", "I_SE", "I", "SE"), "I", "SE"),
        (("DERIVED", "PRIMARY", "W", "W", "DERIVED"), "", "W+DERIVED"),
        (("DERIVED", "PRIMARY", "IP", "IP", "DERIVED"), "", "IP+DERIVED"),
        (("ORIGINAL", "PRIMARY", "AXIAL"), "", ""),
        (("ORIGINAL", "PRIMARY", "LOCALIZER"), "", ""),
        (("ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI DUAL"), "", "CT_SOM5 SPI DUAL"),
        (("DERIVED", "PRIMARY", "DIFFUSION", "ADC", "NORM"), "", "DIFFUSION+ADC+NORM"),
        (("M", "P"), "", ""),
        ((), "", ""),
    ],
)
def test_image_type_gives_component_and_kind(image_type, component, kind):
    assert name_component(image_type) == component
    assert name_kind(image_type) == kind


def test_free_text_never_becomes_a_kind():
    assert name_kind(("ORIGINAL", "PRIMARY", "Müller^Anna")) == "OTHER"
    assert name_kind(("ORIGINAL", "PRIMARY", "A NAME LONGER THAN A TERM")) == "OTHER"


def test_image_type_counts_before_the_complex_component():
    texts = {"ImageType": ("ORIGINAL", "PRIMARY", "P"), "ComplexImageComponent": ("MAGNITUDE",)}
    assert read_variant(texts) == (("component", "P"),)
    texts["ComplexImageComponent"] = ("MIXED",)
    texts["ImageType"] = ("ORIGINAL", "PRIMARY", "T1")
    assert read_variant(texts) == (("image-kind", "T1"),)


def test_the_first_variant_counts_and_an_empty_gradient_gives_way():
    public = (("b-value", 1000.0), ("gradient", ""))
    private = (("b-value", 990.0), ("component", "M"), ("gradient", "0,0,1"))
    assert merge_variants((public, private)) == (
        ("b-value", 1000.0),
        ("component", "M"),
        ("gradient", "0,0,1"),
    )
    assert merge_variants((private, public)) == private
