"""Any bytes end in an image or a refusal; none in a crash, and none in memory without bound."""

import gzip
import io
import tracemalloc

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.io.nifti.read import read_nifti
from medvision.io.reasons import FLAGS, REFUSED, RefusalError
from medvision.runtime.files import hash_fast

ARRAY = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
SINGLE = nibabel.Nifti1Image(ARRAY, np.eye(4)).to_bytes()
LARGE = nibabel.Nifti2Image(ARRAY, np.eye(4)).to_bytes()


def build_pair():
    holders = nibabel.AnalyzeImage.make_file_map()
    for holder in holders.values():
        holder.fileobj = io.BytesIO()
    nibabel.AnalyzeImage(ARRAY, None).to_file_map(holders)
    return holders["header"].fileobj.getvalue(), holders["image"].fileobj.getvalue()


ANALYZE, VOXELS = build_pair()
SEEDS = {"nifti1": SINGLE, "nifti2": LARGE, "analyze": ANALYZE, "gzip": gzip.compress(SINGLE)}


def judge(content):
    """Read, and hold the result to the tables of codes."""
    try:
        read = read_nifti(content, partner=VOXELS)
    except RefusalError as refusal:
        return {code: code for code in REFUSED}[refusal.reason]
    assert set(read.flags) <= FLAGS.keys()
    assert np.isfinite(read.affine).all()
    assert read.digest == hash_fast(content)
    return "read"


@pytest.mark.parametrize("seed", SEEDS)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_changed_bytes_end_in_a_verdict(seed, data):
    content = bytearray(SEEDS[seed])
    limit = min(len(content), 560) - 1
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, limit))
        new = data.draw(st.binary(min_size=1, max_size=8))
        content[at : at + len(new)] = new
    judge(bytes(content))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_truncation_ends_in_a_verdict(seed):
    content = SEEDS[seed]
    for end in range(0, len(content), 7):
        assert judge(content[:end]) != "read" or end >= 348


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=700))
def test_random_bytes_end_in_a_verdict(content):
    judge(content)


def test_a_checksum_that_is_wrong_is_found():
    packed = bytearray(gzip.compress(SINGLE))
    packed[-6] ^= 0xFF
    assert judge(bytes(packed)) == "truncated"


def test_zero_padding_and_several_members_are_gzip_too():
    packed = gzip.compress(SINGLE[:200]) + gzip.compress(SINGLE[200:])
    assert judge(packed) == judge(packed + bytes(512)) == "read"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_a_header_claims_costs_no_memory(pack):
    raw = bytearray(LARGE)
    raw[16:48] = np.array([3, 2**40, 2**40, 2**40], "<i8").tobytes()
    tracemalloc.start()
    try:
        assert judge(pack(bytes(raw))) == "truncated"
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()


def test_an_image_beyond_the_limit_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr("medvision.io.nifti.stream._MOST_BYTES", 1000)
    assert judge(SINGLE) == "read"
    big = nibabel.Nifti1Image(np.zeros((9, 9, 9), np.int16), np.eye(4)).to_bytes()
    assert judge(big) == "too-large"


def test_an_endless_tail_is_refused(monkeypatch):
    monkeypatch.setattr("medvision.io.nifti.stream._MOST_TRAILING_BYTES", 1000)
    assert judge(SINGLE + bytes(999)) == "read"
    assert judge(gzip.compress(SINGLE + bytes(5000))) == "unreadable"


@pytest.mark.parametrize("at", [108, 168])
def test_voxels_that_begin_in_the_header_or_far_away_are_refused(at):
    content = bytearray(SINGLE if at == 108 else LARGE)
    for offset in (0, 100, -5, 2**31):
        value = np.float32(offset) if at == 108 else np.int64(offset)
        content[at : at + value.nbytes] = value.tobytes()
        assert judge(bytes(content)) == "unreadable"
