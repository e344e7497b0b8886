"""Dates and times that go back: one span per subject, intervals kept to the microsecond."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.io.deidentify import MAX_CLOCK_S, MAX_SHIFT_DAYS, Pseudonymiser
from medvision.io.profile.shift import Shift, build_shift, shift_da, shift_dt, shift_tm

SHIFT = Shift(timedelta(days=100), timedelta(minutes=30, microseconds=250_000))
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))


@given(MOMENTS, MOMENTS)
def test_interval_of_date_and_time_is_kept(first, second):
    moved = []
    for moment in (first, second):
        time = moment.strftime("%H%M%S.%f")
        day = shift_da(moment.strftime("%Y%m%d"), SHIFT, time=time)
        moved.append(datetime.strptime(day + shift_tm(time, SHIFT), "%Y%m%d%H%M%S.%f"))
    assert moved[1] - moved[0] == second - first
    assert first - moved[0] == SHIFT.days + SHIFT.clock


@given(MOMENTS)
def test_a_datetime_moves_as_date_and_time_do(moment):
    day, time = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f")
    moved = shift_da(day, SHIFT, time=time) + shift_tm(time, SHIFT)
    assert shift_dt(day + time, SHIFT) == moved


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("20200410", "20200101"),
        ("2020.04.10", "20200101"),
        ("20200410 ", "20200101"),
    ],
)
def test_date_without_time_moves_by_days(text, moved):
    assert shift_da(text, SHIFT, time="") == moved
    assert shift_da(text, SHIFT, time="noon") == moved


def test_date_moves_by_one_more_day_where_the_clock_passes_midnight():
    assert shift_da("20200410", SHIFT, time="0029") == "20191231"
    assert shift_da("20200410", SHIFT, time="0031") == "20200101"


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("10", "09"),
        ("1031", "1000"),
        ("103100", "100059"),
        ("103100.5", "100100.2"),
        ("10:31:00.500000", "100100.250000"),
        ("000000", "232959"),
    ],
)
def test_time_keeps_its_precision(text, moved):
    assert shift_tm(text, SHIFT) == moved


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("20200410", "20200101"),
        ("20200410103100.500000+0100", "20200101100100.250000+0100"),
        ("202004101031", "202001011000"),
    ],
)
def test_datetime_keeps_its_precision_and_offset(text, moved):
    assert shift_dt(text, SHIFT) == moved


@pytest.mark.parametrize(
    "text", ["", "2020", "202004", "20201301", "20200410-20200411", "x", "00010101", "²⁰²⁰0410"]
)
def test_what_is_no_date_is_dropped(text):
    assert shift_da(text, SHIFT, time="") == ""
    assert shift_dt(text, SHIFT) == ""


@pytest.mark.parametrize("text", ["", "24", "1060", "100061", "10-11", "1", "x", "101112.1234567"])
def test_what_is_no_time_is_dropped(text):
    assert shift_tm(text, SHIFT) == ""
    assert not text or shift_dt(f"20200410{text}", SHIFT) == ""


@given(st.text(max_size=12))
def test_shift_of_a_subject_is_within_its_bounds(subject):
    shift = build_shift(Pseudonymiser(bytes(16)), subject)
    assert timedelta(days=1) <= shift.days <= timedelta(days=MAX_SHIFT_DAYS)
    assert timedelta(seconds=1) <= shift.clock <= timedelta(seconds=MAX_CLOCK_S)
