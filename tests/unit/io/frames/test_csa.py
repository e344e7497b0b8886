"""The CSA header: both kinds are read as nibabel reads them, and hostile bytes end quickly."""

import gzip
import struct
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mosaics import MosaicPlan, write_csa, write_protocol

from medvision.io.frames.csa import read_csa, read_protocol_positions

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from nibabel.nicom import csareader

TAGS = {
    "EchoLinePosition": ("32",),
    "NumberOfImagesInMosaic": ("35",),
    "SliceNormalVector": ("0.0", "0.10799944", "0.99415095"),
    "B_value": (),
    "Odd": ("a", "ab", "abc", "abcd", "abcde"),
}


@pytest.mark.parametrize("kind", [1, 2])
def test_both_kinds_give_the_values_that_were_written(kind):
    assert read_csa(write_csa(TAGS, kind=kind), tuple(TAGS)) == TAGS


def test_values_equal_those_of_nibabel():
    # The newer kind alone: nibabel stumbles over the first tag's items in the older one.
    content = write_csa({name: TAGS[name] for name in list(TAGS)[:3]})
    reference = csareader.read(content)["tags"]
    found = read_csa(content, tuple(TAGS))
    assert len(found) == 3
    for name, values in found.items():
        assert [float(value) for value in values] == reference[name]["items"]


@pytest.mark.parametrize("name", ["csa2_b0.bin", "csa2_b1000.bin", "csa2_zero_len.bin.gz"])
def test_real_headers_of_nibabels_own_tests_equal_nibabel(name):
    path = Path(csareader.__file__).parent / "tests" / "data" / name
    if not path.is_file():
        pytest.skip("nibabel was installed without its test files")
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    reference = csareader.read(content)["tags"]
    found = read_csa(content, tuple(reference))
    for key, tag in reference.items():
        expected = [item for item in tag["items"] if item != ""]
        assert [type(item)(text) for text, item in zip(found[key], expected, strict=True)] == [
            item.strip() if isinstance(item, str) else item for item in expected
        ]


def test_more_items_than_values_are_read_to_the_next_tag():
    content = write_csa(TAGS, n_items=60)
    assert read_csa(content, ("Odd",))["Odd"] == TAGS["Odd"]


def test_only_the_names_asked_for_are_kept():
    assert list(read_csa(write_csa(TAGS), ("B_value",))) == ["B_value"]


def test_values_before_the_break_are_kept_and_those_behind_are_absent():
    content = write_csa(TAGS)
    found = read_csa(content[: len(content) * 2 // 3], tuple(TAGS))
    assert found["NumberOfImagesInMosaic"] == ("35",)
    assert "Odd" not in found


@pytest.mark.parametrize("kind", [1, 2])
@given(data=st.data())
def test_any_change_of_bytes_ends_in_values(kind, data):
    content = bytearray(write_csa(TAGS, kind=kind))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    found = read_csa(bytes(content), tuple(TAGS))
    assert all(isinstance(value, str) for values in found.values() for value in values)


@given(st.binary(max_size=600))
def test_any_bytes_end_in_values(content):
    assert isinstance(read_csa(content, ("B_value",)), dict)
    assert isinstance(read_csa(b"SV10" + content, ("B_value",)), dict)


def test_a_count_of_items_beyond_the_bytes_ends_at_their_end():
    head = b"SV10\x04\x03\x02\x01" + struct.pack("<2I", 1, 77)
    tag = struct.pack("<64si4siii", b"B_value", 1, b"IS", 3, 2**31 - 1, 77)
    assert read_csa(head + tag + bytes(1600), ("B_value",)) == {}


def test_a_negative_length_or_count_of_items_gives_nothing():
    head = b"SV10\x04\x03\x02\x01" + struct.pack("<2I", 1, 77)
    for count, length in ((1, -5), (-3, 4)):
        tag = struct.pack("<64si4siii", b"B_value", 1, b"IS", 3, count, 77)
        item = struct.pack("<4i", 4, length, 77, 4) + b"100\0"
        assert read_csa(head + tag + item, ("B_value",)).get("B_value", ()) == ()


def test_positions_of_the_protocol_are_read_by_slice(volume_plan):
    positions = read_protocol_positions(write_protocol(volume_plan))
    assert positions is not None
    assert sorted(positions) == list(range(5))
    step = [b - a for a, b in zip(positions[0], positions[1], strict=True)]
    assert step == pytest.approx([0, 0, 4.5])


def test_a_protocol_numbered_against_its_slices_tells_nothing(volume_plan):
    assert read_protocol_positions(write_protocol(volume_plan, is_reversed=True)) is None
    assert read_protocol_positions("sSliceArray.asSlice[0].sPosition.dTra = four") is None
    assert read_protocol_positions("") is None


@pytest.fixture
def volume_plan():
    import numpy as np

    return MosaicPlan(np.zeros((4, 3, 5), dtype=np.int16))
