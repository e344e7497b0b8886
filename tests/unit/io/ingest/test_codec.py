"""What the index keeps comes back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.study import AXES, PARTS, Frame, Instance, PixelLayout
from medvision.io.ingest.codec import (
    decode_instance,
    decode_outcome,
    decode_verdict,
    encode_content,
    encode_outcome,
)
from medvision.io.ingest.verdict import Outcome, Verdict

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = NUMBERS | st.text(max_size=8)
TRIPLES = st.tuples(NUMBERS, NUMBERS, NUMBERS)
NAMES = st.text(max_size=12)

PIXELS = st.builds(
    PixelLayout,
    syntax=NAMES,
    offset=st.none() | st.integers(0, 2**63),
    length=st.none() | st.integers(0, 2**63),
    bits_allocated=st.integers(0, 64),
    bits_stored=st.integers(0, 64),
    high_bit=st.integers(-1, 64),
    is_signed=st.booleans(),
    is_big_endian=st.booleans(),
    is_plain=st.booleans(),
)
FRAMES = st.builds(
    Frame,
    index=st.integers(0, 10**6),
    position_mm=st.none() | TRIPLES,
    orientation=st.none() | st.tuples(*[NUMBERS] * 6),
    spacing_mm=st.none() | st.tuples(NUMBERS, NUMBERS),
    slope=NUMBERS,
    intercept=NUMBERS,
    variant=st.lists(st.tuples(st.sampled_from(PARTS + AXES), VALUES), max_size=3).map(tuple),
    tile=st.none() | st.tuples(st.integers(0, 512), st.integers(0, 512)),
)
INSTANCES = st.builds(
    Instance,
    **dict.fromkeys(("file", "path", "subject", "study_uid", "series_uid", "sop_uid"), NAMES),
    **dict.fromkeys(("sop_class", "modality", "photometric", "units", "manufacturer"), NAMES),
    **dict.fromkeys(("frame_of_reference", "image_key", "date", "sex"), NAMES),
    **dict.fromkeys(("rows", "columns", "samples"), st.integers(0, 65535)),
    image_type=st.lists(NAMES, max_size=3).map(tuple),
    thickness_mm=st.none() | NUMBERS,
    frames=st.lists(FRAMES, min_size=1, max_size=3).map(tuple),
    flags=st.lists(NAMES, max_size=2).map(tuple),
    role=st.sampled_from(["original", "derived", "localizer", "capture"]),
    pixels=st.none() | PIXELS,
    is_partial=st.booleans(),
    age_years=st.none() | NUMBERS,
    protocol=st.lists(st.tuples(NAMES, VALUES), max_size=3).map(tuple),
    fault=st.none() | st.tuples(NAMES, NAMES),
)
VERDICTS = st.builds(Verdict, NAMES, NAMES, NAMES)
BY_FILE = st.dictionaries(NAMES, NAMES, max_size=3)


@given(INSTANCES)
def test_an_instance_comes_back_as_it_was(instance):
    text = encode_content(instance)
    assert decode_instance(text, file=instance.file, path=instance.path) == instance


@given(INSTANCES)
def test_neither_id_nor_path_is_part_of_what_is_kept(instance):
    moved = decode_instance(encode_content(instance), file="file-1", path="elsewhere")
    assert encode_content(moved) == encode_content(instance)


@given(VERDICTS)
def test_a_verdict_comes_back_as_it_was(verdict):
    assert decode_verdict(encode_content(verdict)) == verdict


@given(
    st.lists(BY_FILE, max_size=3).map(tuple),
    st.dictionaries(NAMES, VERDICTS, max_size=3),
    BY_FILE,
    BY_FILE,
)
def test_an_outcome_comes_back_as_it_was_and_order_leaves_no_trace(rows, files, images, digests):
    outcome = Outcome(rows, files, images, digests)
    text = encode_outcome(outcome)
    assert decode_outcome(text) == outcome
    turned = Outcome(rows, dict(reversed(files.items())), images, dict(reversed(digests.items())))
    assert encode_outcome(turned) == text


@pytest.mark.parametrize("text", ["{}", "[]", "[1,2]"])
def test_what_is_no_instance_is_refused(text):
    with pytest.raises(ValueError, match="instance must"):
        decode_instance(text, file="", path="")
