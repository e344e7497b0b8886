"""Waits: exponential, spread, bounded, the same for the same seed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.io.pacs.reasons import TransientError
from medvision.io.pacs.retry import Fuse, Policy, ask


@given(retries=st.integers(0, 20), backoff_s=st.floats(0.001, 100), seed=st.integers(0, 2**31))
def test_waits_double_within_half_of_themselves_and_never_pass_a_minute_and_a_half(
    retries: int, backoff_s: float, seed: int
) -> None:
    waits = list(Policy(retries, backoff_s).waits_s(seed))
    assert len(waits) == retries
    for n, wait_s in enumerate(waits):
        plain = min(60.0, backoff_s * 2**n)
        assert 0.5 * plain <= wait_s <= 1.5 * plain
    assert waits == list(Policy(retries, backoff_s).waits_s(seed))


def test_requests_side_by_side_wait_differently() -> None:
    policy = Policy(3, 1.0)
    assert len({tuple(policy.waits_s(seed)) for seed in range(20)}) == 20


def test_work_is_done_again_until_it_works() -> None:
    faults, slept = [TransientError("x"), TransientError("x", wait_s=7)], []

    def work() -> str:
        if faults:
            raise faults.pop(0)
        return "done"

    assert ask(work, Policy(5, 1.0), seed=0, sleep=slept.append) == "done"
    assert len(slept) == 2
    assert slept[1] == 7


def test_a_server_cannot_ask_to_be_left_alone_for_hours() -> None:
    slept: list[float] = []

    def work() -> None:
        raise TransientError("no-resources", wait_s=86400)

    with pytest.raises(TransientError):
        ask(work, Policy(2, 1.0), seed=0, sleep=slept.append)
    assert slept == [60.0, 60.0]


def test_patience_ends() -> None:
    calls = []

    def work() -> None:
        calls.append(1)
        raise TransientError("server-error")

    with pytest.raises(TransientError, match="server-error"):
        ask(work, Policy(3, 1.0), seed=0, sleep=lambda _: None)
    assert len(calls) == 4


def test_a_fuse_blows_after_silence_in_a_row_and_stays_blown() -> None:
    fuse = Fuse(limit=3)
    for code in ("timed-out", "connection-lost", "", "timed-out", "not-found", "timed-out"):
        fuse.note(code)
    assert not fuse.is_blown
    for _ in range(2):
        fuse.note("connection-lost")
    assert fuse.is_blown
    fuse.note("")
    assert fuse.is_blown
