"""Progress in a log: what is worth saying after each item, and the time left."""

import logging
import re

from medvision.runtime.progress import _say_left, track


def test_each_item_is_told_with_the_time_left(caplog):
    seen = []
    with caplog.at_level(logging.INFO, logger="medvision"):
        for item in track([1, 2], "counting", total=2, tell=lambda: f"at {seen[-1]}"):
            seen.append(item)
    assert re.fullmatch(r"counting: at 1, 0:00:0\d left", caplog.messages[1])
    assert caplog.messages[2] == "counting: at 2"
    assert caplog.messages[-1] == "counting: done"


def test_time_left_is_by_the_pace_so_far():
    assert _say_left(100.0, n_done=2, total=75) == ", 1:00:50 left"
    assert _say_left(1.0, n_done=3, total=3) == ""
