"""Dates and times of a header, moved back by one span per subject so that intervals are kept."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from medvision.io.deidentify import Pseudonymiser, build_date

_DATE = re.compile(r"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})")
_TIME = re.compile(r"([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2})(?:\.([0-9]{1,6}))?)?)?")
_DATETIME = re.compile(r"([0-9]{8})([0-9]{2}[0-9.]*)?([+-][0-9]{4})?")
_DAY = timedelta(days=1)
_MIDNIGHT = datetime(2000, 1, 1)


@dataclass(frozen=True)
class Shift:
    """How far a subject's dates and times go back.

    The sum of both is taken from a point in time; a date of which no time is known goes back by
    whole days, and a time of which no date is known turns round the clock.

    Args:
        days: Whole days, > 0.
        clock: Less than a day, > 0.
    """

    days: timedelta
    clock: timedelta


def build_shift(names: Pseudonymiser, subject: str) -> Shift:
    """Return a subject's own shift.

    Args:
        names: Holds the key.
        subject: As `Pseudonymiser.days` takes it.
    """
    clock = timedelta(microseconds=names.clock_us(subject))
    return Shift(timedelta(days=names.days(subject)), clock)


def shift_da(text: str, shift: Shift, *, time: str) -> str:
    """Move a date (DA).

    Args:
        text: `YYYYMMDD` or `YYYY.MM.DD`.
        shift: How far.
        time: The time (TM) that belongs to the date, "" where there is none.

    Returns:
        `YYYYMMDD`; "" where the text is no date.

    Source:
        PS3.5 6.2.
    """
    day = _parse_date(text)
    if day is None:
        return ""
    clock = _parse_time(time)
    try:
        if clock is None:
            return _format_date(day - shift.days)
        moment = datetime.combine(day, datetime.min.time()) + clock
        return _format_date((moment - shift.days - shift.clock).date())
    except OverflowError:
        return ""


def shift_tm(text: str, shift: Shift) -> str:
    """Move a time of the day (TM), round the clock, at the precision that it has.

    Returns:
        `HHMMSS.FFFFFF` or a part of it; "" where the text is no time.
    """
    clock = _parse_time(text)
    if clock is None:
        return ""
    digits = text.strip().replace(":", "")
    moved = _MIDNIGHT + (clock - shift.clock) % _DAY
    return moved.strftime("%H%M%S.%f")[: len(digits)]


def shift_dt(text: str, shift: Shift) -> str:
    """Move a point in time (DT), at the precision that it has; its offset from UTC stays.

    Returns:
        `YYYYMMDDHHMMSS.FFFFFF&ZZXX` or a part of it; "" where the text is no day or more exact.
    """
    match = _DATETIME.fullmatch(text.strip())
    if match is None:
        return ""
    day, time, offset = match[1], match[2] or "", match[3] or ""
    if time and _parse_time(time) is None:
        return ""
    moved = shift_da(day, shift, time=time)
    return moved and moved + (shift_tm(time, shift) if time else "") + offset


def _parse_date(text: str) -> date | None:
    """Return a day."""
    match = _DATE.fullmatch(text.strip())
    return None if match is None else build_date(match)


def _parse_time(text: str) -> timedelta | None:
    """Return the time since midnight."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds = (int(match[n] or 0) for n in (1, 2, 3))
    # A leap second is written as 60.
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    fraction_us = int((match[4] or "0").ljust(6, "0"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=fraction_us)


def _format_date(day: date) -> str:
    """Return `YYYYMMDD`; strftime writes early years with fewer digits on some systems."""
    return day.isoformat().replace("-", "")
