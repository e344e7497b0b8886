"""The bounded scan on odd and on damaged files: it never raises, and never contradicts pydicom."""

from dicom_bytes import (
    EXPLICIT,
    IMPLICIT,
    build_file,
    change,
    compare,
    element,
    is_trusted,
    odd_files,
    sequence,
    text,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.io.dicom.scan import WINDOW_BYTES, scan_content

ITEM = element(0x00081155, "UI", b"1.2\0", implicit=False)
FILES = (
    build_file(),
    build_file(syntax=IMPLICIT),
    build_file(
        change(PatientID=text("P 7"), DiffusionBValue=bytes(8), Units=text("BQML")),
        inserts={
            0x00081140: sequence([ITEM, ITEM], tag=0x00081140, implicit=False, undefined=True),
            0x00191008: element(0x00191008, "UN", bytes(20), implicit=False),
        },
    ),
)
LONG_FILE = build_file(
    inserts={0x00291010: element(0x00291010, "OB", bytes(2 * WINDOW_BYTES), implicit=False)}
)


@given(odd_files())
@settings(max_examples=400, deadline=None)
def test_an_odd_file_is_told_as_pydicom_tells_it_or_not_at_all(content):
    compare(content)


@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3),
)
@settings(max_examples=600, deadline=None)
def test_a_file_with_changed_bytes_is_told_as_pydicom_tells_it_or_not_at_all(content, changes):
    damaged = bytearray(content)
    for place, value in changes:
        damaged[128 + place % (len(content) - 128)] = value
    compare(bytes(damaged))


@given(st.sampled_from(FILES), st.integers(0, 10**6), st.binary(max_size=8))
@settings(max_examples=250, deadline=None)
def test_a_file_cut_or_with_bytes_put_in_is_told_as_pydicom_tells_it(content, place, put_in):
    at = place % (len(content) + 1)
    compare(content[:at] + put_in)
    compare(content[:at] + put_in + content[at:])


@given(st.integers(128, WINDOW_BYTES), st.integers(0, 255))
@settings(max_examples=250, deadline=None)
def test_a_damaged_window_of_a_long_header_is_told_as_pydicom_tells_it(place, value):
    damaged = bytearray(LONG_FILE)
    damaged[place] = value
    compare(bytes(damaged))


@given(st.binary(max_size=400))
def test_any_bytes_end_without_error(content):
    for syntax in (EXPLICIT, IMPLICIT):
        start = build_file(syntax=syntax).index(b"\x08\x00\x08\x00")
        scan_content(build_file(syntax=syntax)[:start] + content)
    scan_content(content)


def test_the_files_that_are_damaged_are_trusted_before():
    assert all(map(is_trusted, (*FILES, LONG_FILE)))
