"""Pseudonyms: stable under one key, unrelated under another, valid as names."""

import hashlib
import hmac
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from medvision.errors import DataError
from medvision.io.deidentify import Pseudonymiser, read_key, read_or_create_key

NAMES = Pseudonymiser(bytes(range(32)))


@given(st.text())
def test_uid_is_valid_and_of_the_uuid_root(text):
    uid = UID(NAMES.uid(text))
    assert uid.is_valid
    assert uid.startswith("2.25.")
    number = int(uid[5:])
    assert number < 1 << 128
    assert (number >> 76) & 0xF == 4
    assert (number >> 62) & 0x3 == 2


def test_subject_is_the_keyed_hash_and_nothing_else():
    digest = hmac.new(NAMES.key, b"subject\0P-1", hashlib.sha256).hexdigest()
    assert NAMES.subject("P-1") == f"sub-{digest[:10]}"


def test_another_key_gives_unrelated_names():
    other = Pseudonymiser(bytes(32))
    for make in ("subject", "uid", "image_key", "file_id"):
        assert getattr(NAMES, make)("x") != getattr(other, make)("x")


def test_kinds_of_names_are_unrelated():
    tails = {
        getattr(NAMES, make)("x").rpartition("-")[2][:10]
        for make in ("subject", "image_key", "file_id")
    }
    assert len(tails) == 3


def test_label_tables_may_write_subjects_with_the_bids_prefix():
    assert NAMES.subject("sub-01 ") == NAMES.subject("01")


def test_path_that_is_no_unicode_has_an_id():
    assert NAMES.file_id("a\udcff").startswith("file-")


def test_key_is_secret_random_and_read_back(tmp_path):
    path = tmp_path / "secret" / "pseudonym.key"
    key = read_or_create_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_create_key(path) == key
    assert read_or_create_key(tmp_path / "other.key") != key
    assert [entry.name for entry in path.parent.iterdir()] == ["pseudonym.key"]


@pytest.mark.parametrize("text", ["", "0011", "SECRET that is no hexadecimal"])
def test_broken_key_is_refused_without_being_quoted(tmp_path, text):
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_key(path)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_key_that_others_can_read_is_warned_about(tmp_path, caplog):
    path = tmp_path / "key"
    path.write_text("00" * 32)
    path.chmod(0o644)
    read_key(path)
    assert "0600" in caplog.text


def test_key_never_shows_in_the_object_that_holds_it():
    assert NAMES.key.hex() not in repr(NAMES)
    assert str(NAMES.key) not in repr(NAMES)
    assert NAMES.key_id in repr(NAMES)
