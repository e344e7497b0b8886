"""Pseudonyms: stable under one key, unrelated under another, valid as names."""

import hashlib
import hmac
import pickle
import stat
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from medvision.errors import DataError
from medvision.io.deidentify import (
    MAX_SHIFT_DAYS,
    Pseudonymiser,
    cap_age,
    parse_age,
    read_key,
    read_or_create_key,
)

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


@given(st.binary(min_size=16, max_size=130), st.text())
def test_names_are_plain_hmac_of_any_key(key, text):
    digest = hmac.new(key, f"file\0{text}".encode(errors="surrogateescape"), hashlib.sha256)
    assert Pseudonymiser(key).file_id(text) == f"file-{digest.hexdigest()[:12]}"


def test_names_are_those_of_earlier_releases():
    assert NAMES.subject("P-1") == "sub-4dce916e64"
    assert NAMES.uid("1.2.3") == "2.25.323208961630152148644988635546095983220"
    assert NAMES.key_id == "37a0c7d3a7f2"


def test_names_travel_between_processes():
    copy = pickle.loads(pickle.dumps(NAMES))
    assert copy == NAMES
    assert copy.uid("1.2") == NAMES.uid("1.2")


def test_one_number_of_two_issuers_names_two_subjects():
    names = {NAMES.subject("1"), NAMES.subject("1", issuer="A"), NAMES.subject("1", issuer="B")}
    assert len(names) == 3


def test_label_tables_may_write_the_issuer_before_the_number():
    assert NAMES.subject(" A | sub-1 ") == NAMES.subject("1", issuer="A")
    assert NAMES.subject("1", issuer="  ") == NAMES.subject("1")


DAYS = st.dates(min_value=date(1000, 1, 1))


@given(DAYS, DAYS, st.text(max_size=20))
def test_intervals_within_a_subject_are_kept(first, second, subject):
    shifted = [
        date.fromisoformat(NAMES.shift_date(day.strftime("%Y%m%d").zfill(8), subject=subject))
        for day in (first, second)
    ]
    assert shifted[1] - shifted[0] == second - first
    assert first - shifted[0] == timedelta(days=NAMES.days(subject))
    assert 1 <= NAMES.days(subject) <= MAX_SHIFT_DAYS


def test_subjects_are_shifted_by_days_of_their_own():
    assert len({NAMES.days(str(number)) for number in range(300)}) > 250


@pytest.mark.parametrize(
    "text", ["20200229", "2020-02-29", "2020.02.29", " 20200229101112.5+0100", "2020-02-29T10:11"]
)
def test_a_date_may_be_written_in_many_ways(text):
    assert NAMES.shift_date(text, subject="s") == NAMES.shift_date("20200229", subject="s") != ""


@pytest.mark.parametrize(
    "text", ["", "2020", "202002", "20200230", "2020-0229", "00010101", "name", "²⁰²⁰0101"]
)
def test_what_is_no_date_is_dropped(text):
    assert NAMES.shift_date(text, subject="s") == ""


@pytest.mark.parametrize(
    ("text", "years"),
    [("045Y", 45), ("006M", 0.5), ("000D", 0), ("7Y ", 7), ("", None), ("45", None), ("9Q", None)],
)
def test_age_is_read_in_years(text, years):
    assert parse_age(text) == pytest.approx(years)


def test_age_in_weeks_and_days_is_read_in_years():
    assert parse_age("052W") == pytest.approx(364 / 365.25)
    assert parse_age("100D") == pytest.approx(100 / 365.25)


@pytest.mark.parametrize(("age", "capped"), [(0, 0), (89, 89), (89.1, 90), (90, 90), (104, 90)])
def test_ages_above_89_are_one(age, capped):
    assert cap_age(age) == capped


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
