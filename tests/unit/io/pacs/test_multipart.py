"""Multipart bodies cut anywhere come out as the mail library reads them."""

from contextlib import suppress
from email import message_from_bytes
from email.policy import HTTP
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.io.pacs.multipart import Mark, find_boundary, split_parts
from medvision.io.pacs.reasons import TransientError

BOUNDARY = "a-b_c"


def collect(body: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(edges)]
    parts: list[bytes] = []
    for piece in split_parts(chunks, BOUNDARY):
        if piece is Mark.BEGIN:
            parts.append(b"")
        elif isinstance(piece, bytes):
            parts[-1] += piece
    return parts


def build(parts: list[bytes], *, preamble: bytes = b"", header: bytes = b"X: y\r\n") -> bytes:
    body = b"".join(b"--a-b_c\r\n" + header + b"\r\n" + part + b"\r\n" for part in parts)
    return preamble + body + b"--a-b_c--\r\n"


binary = st.binary(max_size=60) | st.sampled_from(
    [b"\r\n", b"\r\n--", b"\r\n--a-b", b"--a-b_c", b"\r\n\r\n", b"-" * 9]
)


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(st.lists(binary, max_size=4).map(b"".join), max_size=4),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
    preamble=st.sampled_from([b"", b"\r\n", b"to be ignored\r\n"]),
    header=st.sampled_from([b"", b"Content-Type: application/dicom\r\n"]),
)
def test_parts_come_out_whole_wherever_the_body_is_cut(
    parts: list[bytes], cuts: list[int], preamble: bytes, header: bytes
) -> None:
    if any(b"\r\n--a-b_c" in b"\r\n" + part for part in parts):
        return
    assert collect(build(parts, preamble=preamble, header=header), cuts) == parts


@given(parts=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4))
def test_the_mail_library_reads_the_same_parts(parts: list[bytes]) -> None:
    parts = [part.hex().encode() for part in parts]
    body = build(parts)
    head = b"Content-Type: multipart/related; boundary=a-b_c\r\n\r\n"
    message = message_from_bytes(head + body, policy=HTTP)
    theirs = [part.get_payload(decode=True) for part in message.iter_parts()]
    assert collect(body, [7, 20]) == theirs


@given(parts=st.lists(st.binary(max_size=40), min_size=1, max_size=3), cut=st.integers(0, 1000))
def test_a_body_that_ends_early_is_never_taken_for_a_whole_one(
    parts: list[bytes], cut: int
) -> None:
    if any(b"\r\n--a-b_c" in b"\r\n" + part for part in parts):
        return
    body = build(parts)
    end = len(body) - len(b"--\r\n") - cut % (len(body) - len(b"--\r\n"))
    with pytest.raises(TransientError, match="broken-answer"):
        collect(body[:end], [3])


@given(body=st.binary(max_size=300))
def test_any_bytes_end_in_parts_or_in_a_verdict(body: bytes) -> None:
    with suppress(TransientError):
        collect(body, [5, 50])


@pytest.mark.parametrize("filler", [b"x" * 200_000, b"--a-b_c\r\nX: " + b"y" * 200_000])
def test_memory_is_bounded_without_boundary_or_end_of_headers(filler: bytes) -> None:
    with pytest.raises(TransientError):
        collect(filler, list(range(0, 200_000, 1000)))


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', "abc"),
        ('multipart/related;boundary="a b:c";type=x', "a b:c"),
        ("Multipart/Related; Boundary=abc", "abc"),
        ("application/dicom; boundary=abc", None),
        ("multipart/related", None),
        ("", None),
    ],
)
def test_the_boundary_is_found_in_the_header(content_type: str, boundary: str | None) -> None:
    assert find_boundary(content_type) == boundary
