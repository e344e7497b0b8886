"""What vendors' private attributes tell of a plane: each rule by hand, in every encoding."""

import struct
from io import BytesIO

import pydicom
import pytest
from dicoms import MR, new_file
from hypothesis import given, settings
from hypothesis import strategies as st
from mosaics import write_csa
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medvision.io.frames.private import PRIVATE_TAGS, read_private_variant
from medvision.io.frames.read import FRAME_KEYWORDS, FRAME_TAGS, read_frames

ENCODINGS = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
}

DIRECTION = [0.5, -0.25, 0.75]
WRITTEN = "0.5,-0.25,0.75"


def build(manufacturer, *elements):
    """A header with private elements: (group, creator, element, VR, value)."""
    dataset = new_file(MR, "1.2.3.8.1")
    dataset.Manufacturer = manufacturer
    for group, creator, element, vr, value in elements:
        block = dataset.private_block(group, creator, create=True)
        block.add_new(element, vr, value)
    return dataset


def write(dataset, encoding):
    """The header as it is read from a file: nothing but what ingestion asks for."""
    dataset.file_meta.TransferSyntaxUID = ENCODINGS[encoding]
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    stream.seek(0)
    return pydicom.dcmread(stream, specific_tags=[*FRAME_KEYWORDS, *FRAME_TAGS])


SIEMENS = (0x0019, "SIEMENS MR HEADER")
SIEMENS_CSA = (0x0029, "SIEMENS CSA HEADER")
GE = (0x0043, "GEMS_PARM_01")
GE_ACQUISITION = (0x0019, "GEMS_ACQU_01")
GE_RELATION = (0x0021, "GEMS_RELA_01")
GE_DIRECTION = [(*GE_ACQUISITION, 0xBB + k, "DS", str(v)) for k, v in enumerate(DIRECTION)]
PHILIPS = (0x2001, "Philips Imaging DD 001")
PHILIPS_MR = (0x2005, "Philips MR Imaging DD 001")
PHILIPS_DIRECTION = [(*PHILIPS_MR, 0xB0 + k, "FL", v) for k, v in enumerate(DIRECTION)]
DIFFUSION = {"b-value": 1000.0, "gradient": WRITTEN}
NO_DIFFUSION = {"b-value": 0.0, "gradient": ""}

CASES = {
    "siemens": (
        "SIEMENS",
        [(*SIEMENS, 0x0C, "IS", "1000"), (*SIEMENS, 0x0E, "FD", DIRECTION)],
        DIFFUSION,
    ),
    "siemens b0": ("SIEMENS", [(*SIEMENS, 0x0C, "IS", "0")], NO_DIFFUSION),
    "siemens csa": (
        "SIEMENS",
        [
            (
                *SIEMENS_CSA,
                0x10,
                "OB",
                write_csa(
                    {
                        "B_value": ("1000",),
                        "DiffusionGradientDirection": tuple(map(str, DIRECTION)),
                    }
                ),
            )
        ],
        DIFFUSION,
    ),
    "siemens csa b0": (
        "Siemens HealthCare GmbH",
        [
            (
                *SIEMENS_CSA,
                0x10,
                "OB",
                write_csa({"B_value": ("0",), "DiffusionGradientDirection": ()}),
            )
        ],
        NO_DIFFUSION,
    ),
    "siemens csa without diffusion": (
        "SIEMENS",
        [(*SIEMENS_CSA, 0x10, "OB", write_csa({"B_value": ()}))],
        {},
    ),
    "ge": (
        "GE MEDICAL SYSTEMS",
        [(*GE, 0x39, "IS", ["1000", "8", "0", "0"]), *GE_DIRECTION],
        DIFFUSION,
    ),
    "ge bias": (
        "GE MEDICAL SYSTEMS",
        [(*GE, 0x39, "IS", ["1000001000", "8", "0", "0"]), *GE_DIRECTION],
        DIFFUSION,
    ),
    "ge small bias": (
        "GE MEDICAL SYSTEMS",
        [(*GE, 0x39, "IS", ["1001000", "8", "0", "0"]), *GE_DIRECTION],
        DIFFUSION,
    ),
    "ge very high b-value": (
        "GE MEDICAL SYSTEMS",
        [(*GE, 0x39, "IS", ["1000030000", "8", "0", "0"])],
        {"b-value": 30000.0, "gradient": ""},
    ),
    "ge b0 of a tensor series": (
        "GE MEDICAL SYSTEMS",
        [(*GE, 0x39, "IS", ["0", "8", "0", "0"]), (*GE_RELATION, 0x5A, "SL", 16), *GE_DIRECTION],
        NO_DIFFUSION,
    ),
    "ge b0 by its flag": (
        "GE MEDICAL SYSTEMS",
        [(*GE, 0x39, "IS", ["0", "8", "0", "0"]), (*GE, 0x30, "SS", 14)],
        NO_DIFFUSION,
    ),
    "ge without diffusion": (
        "GE MEDICAL SYSTEMS",
        [(*GE, 0x39, "IS", ["0", "268435456", "0", "0"]), (*GE_RELATION, 0x5A, "SL", 0)],
        {},
    ),
    "ge magnitude": ("GE MEDICAL SYSTEMS", [(*GE, 0x2F, "SS", 0)], {"component": "M"}),
    "ge phase": ("GE MEDICAL SYSTEMS", [(*GE, 0x2F, "SS", 1)], {"component": "P"}),
    "ge real": ("GE MEDICAL SYSTEMS", [(*GE, 0x2F, "SS", 2)], {"component": "R"}),
    "ge imaginary": ("GE MEDICAL SYSTEMS", [(*GE, 0x2F, "SS", 3)], {"component": "I"}),
    "ge unknown component": ("GE MEDICAL SYSTEMS", [(*GE, 0x2F, "SS", 9)], {}),
    "philips": (
        "Philips Medical Systems",
        [(*PHILIPS, 0x03, "FL", 1000.0), *PHILIPS_DIRECTION],
        DIFFUSION,
    ),
    "philips isotropic": (
        "Philips",
        [(*PHILIPS, 0x03, "FL", 1000.0), *[(*PHILIPS_MR, 0xB0 + k, "FL", 0.0) for k in range(3)]],
        {"b-value": 1000.0, "gradient": ""},
    ),
    "philips phase": (
        "Philips Medical Systems",
        [(*PHILIPS, 0x08, "IS", "6"), (*PHILIPS, 0x17, "SL", 20)],
        {"cardiac-phase-percent": 25.0},
    ),
    "philips one phase": (
        "Philips Medical Systems",
        [(*PHILIPS, 0x08, "IS", "1"), (*PHILIPS, 0x17, "SL", 1)],
        {},
    ),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("case", CASES)
def test_each_vendor_is_read_by_its_own_rule(case, encoding):
    manufacturer, elements, expected = CASES[case]
    dataset = build(manufacturer, *elements)
    assert dict(read_private_variant(dataset)) == expected
    assert dict(read_private_variant(write(dataset, encoding))) == expected


@pytest.mark.parametrize("case", CASES)
def test_without_a_manufacturer_the_creators_tell(case):
    _, elements, expected = CASES[case]
    assert dict(read_private_variant(build("", *elements))) == expected


@pytest.mark.parametrize("case", CASES)
def test_another_vendor_reads_nothing_of_it(case):
    assert read_private_variant(build("Agfa", *CASES[case][1])) == ()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_uih_is_read_at_fixed_tags(encoding):
    dataset = build("UIH")
    dataset.add_new(0x0065_00FF, "LO", "Some Private Header")
    dataset.add_new(0x0065_1009, "FD", 1000.0)
    dataset.add_new(0x0065_1037, "FD", DIRECTION)
    assert dict(read_private_variant(write(dataset, encoding))) == DIFFUSION


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("b=1500(0.445,0.000,0.895)", {"b-value": 1500.0, "gradient": "0.445,0,0.895"}),
        ("b=0(0.000,0.000,0.000)", NO_DIFFUSION),
        ("b=800", {"b-value": 800.0, "gradient": ""}),
        ("b=800(x,y,z)", {"b-value": 800.0, "gradient": ""}),
        ("b=800(1-2,3,4)", {"b-value": 800.0, "gradient": ""}),
        ("seen by Dr Example", {}),
        ("", {}),
    ],
)
def test_canon_is_read_from_the_comment_and_no_more_than_numbers(comment, expected):
    for manufacturer in ("TOSHIBA", "CANON_MEC"):
        dataset = build(manufacturer)
        dataset.ImageComments = comment
        assert dict(read_private_variant(write(dataset, "explicit"))) == expected


def test_hitachi_is_read_from_the_shared_groups_of_a_classic_object():
    dataset = build("Hitachi Medical Corporation")
    shared = Dataset()
    shared.DiffusionBValue = 1000.0
    shared.DiffusionGradientOrientation = DIRECTION
    dataset.SharedFunctionalGroupsSequence = [shared]
    assert dict(read_private_variant(write(dataset, "explicit"))) == DIFFUSION
    nested = Dataset()
    nested.MRDiffusionSequence = [shared]
    dataset.SharedFunctionalGroupsSequence = [nested]
    assert dict(read_private_variant(write(dataset, "explicit"))) == DIFFUSION


def test_a_block_may_begin_anywhere_and_belongs_to_its_creator():
    dataset = build(
        "SIEMENS",
        (0x0019, "ANOTHER CREATOR", 0x0C, "IS", "77"),
        (*SIEMENS, 0x0C, "IS", "1000"),
        (*SIEMENS, 0x0E, "FD", DIRECTION),
    )
    assert 0x0019_110C in dataset
    assert dict(read_private_variant(write(dataset, "explicit"))) == DIFFUSION
    alone = build("SIEMENS", (0x0019, "ANOTHER CREATOR", 0x0C, "IS", "77"))
    assert read_private_variant(write(alone, "explicit")) == ()


def test_elements_whose_creator_was_stripped_count_as_the_usual_block():
    dataset = build("SIEMENS", (*SIEMENS, 0x0C, "IS", "1000"))
    del dataset[0x0019_0010]
    assert dict(read_private_variant(dataset)) == {"b-value": 1000.0, "gradient": ""}


def test_elements_of_unknown_vr_are_read_by_the_one_expected():
    dataset = build(
        "SIEMENS",
        (*SIEMENS, 0x0C, "UN", b"1000"),
        (*SIEMENS, 0x0E, "UN", struct.pack("<3d", *DIRECTION)),
    )
    assert dict(read_private_variant(write(dataset, "explicit"))) == DIFFUSION


def test_a_public_b_value_counts_before_the_private_one():
    dataset = build("GE MEDICAL SYSTEMS", *CASES["ge bias"][1])
    dataset.DiffusionBValue = 990.0
    (frame,) = read_frames(write(dataset, "explicit")).frames
    assert dict(frame.variant) == {"b-value": 990.0, "gradient": WRITTEN}


@settings(deadline=None)
@given(st.sampled_from(sorted(CASES)), st.binary(max_size=40), st.integers(0, 5))
def test_broken_private_elements_are_left_out(case, content, number):
    manufacturer, elements, _ = CASES[case]
    group, creator, element, *_ = elements[number % len(elements)]
    dataset = build(manufacturer, *elements)
    tag = dataset.private_block(group, creator).get_tag(element)
    dataset.add_new(tag, "UN", content)
    assert isinstance(read_private_variant(dataset), tuple)


def test_the_tags_asked_for_cover_every_block_and_creator():
    assert {0x0019_0010, 0x0019_001F, 0x0019_100C, 0x0019_1F0C, 0x0065_1050} <= set(PRIVATE_TAGS)
    assert all(tag >> 16 & 1 for tag in PRIVATE_TAGS)
