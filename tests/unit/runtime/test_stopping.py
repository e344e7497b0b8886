"""SIGTERM and SIGUSR1 are noted, and the process goes on; a time limit foretells them."""

import math
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from medvision.errors import ConfigError, StoppedError
from medvision.runtime.stopping import TIME_LIMIT, heed_stop, plan_seconds


def test_sigterm_is_noted_and_the_handler_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with heed_stop() as has_come:
        assert not has_come()
        os.kill(os.getpid(), signal.SIGTERM)
        assert has_come()
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigusr1_is_noted_however_often_it_comes_and_a_sigterm_after_it():
    before = signal.getsignal(signal.SIGUSR1)
    with heed_stop() as has_come:
        for signum in (signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM):
            os.kill(os.getpid(), signum)
            assert has_come()
    assert signal.getsignal(signal.SIGUSR1) is before


def stop_by(signum: signal.Signals | None) -> None:
    """Stop as a training does, by a signal or without one."""
    with heed_stop():
        if signum is not None:
            os.kill(os.getpid(), signum)
        raise StoppedError("training: run must be left to end, it was asked to stop in epoch 2.")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_what_is_said_of_a_stop_names_the_signal_that_came(signum: signal.Signals) -> None:
    with pytest.raises(StoppedError, match="asked to stop in epoch 2: ") as caught:
        stop_by(signum)
    assert caught.value.message.endswith(f"epoch 2: {signum.name} came.")
    assert caught.value.exit_code == 75


def test_a_deadline_is_called_a_deadline_and_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv(TIME_LIMIT, "0.000001")
    with pytest.raises(StoppedError, match="epoch 2: the job's time is nearly over"):
        stop_by(None)


def test_of_one_that_others_stopped_no_cause_is_made_up() -> None:
    with pytest.raises(StoppedError) as caught:
        stop_by(None)
    assert caught.value.message.endswith("asked to stop in epoch 2.")


def test_a_file_is_heeded_as_a_signal_is(tmp_path, monkeypatch):
    mark = tmp_path / "stop"
    with heed_stop(mark=mark) as has_come:
        assert not has_come()
        mark.touch()
        monkeypatch.setattr("medvision.runtime.stopping._LOOK_S", 0.0)
        deadline = time.monotonic() + 5
        while not has_come() and time.monotonic() < deadline:
            time.sleep(0.05)
        mark.unlink()
        assert has_come()


def test_a_second_sigterm_kills():
    code = (
        "import os, signal\n"
        "from medvision.runtime.stopping import heed_stop\n"
        "with heed_stop():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('alive', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still alive', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGTERM
    assert done.stdout == "alive\n"


def test_a_patient_one_notes_them_all():
    with heed_stop(is_patient=True) as has_come:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert has_come()


def test_outside_the_main_thread_nothing_is_changed():
    before = signal.getsignal(signal.SIGTERM)
    said = []

    def work():
        with heed_stop() as has_come:
            said.append((has_come(), signal.getsignal(signal.SIGTERM) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == [(False, True)]


def plan(minutes: str, age_s: float = 0.0, **others: str) -> float:
    return plan_seconds({"SLURM_JOB_ID": "1", TIME_LIMIT: minutes, **others}, age_s=age_s)


@pytest.mark.parametrize(
    ("minutes", "seconds"),
    [
        ("1440", 1440 * 60 - 600),  # At most ten minutes are spared,
        ("60", 3600 - 360),  # else a tenth,
        ("2", 120 - 20),  # at least 20 s,
        ("0.5", 15),  # and half at most.
    ],
)
def test_a_job_ends_itself_before_its_time_limit(minutes: str, seconds: float) -> None:
    assert plan(minutes) == pytest.approx(seconds)
    assert plan(minutes, age_s=10) == pytest.approx(seconds - 10)


def test_no_limit_is_obeyed_where_no_batch_system_would_kill() -> None:
    assert plan_seconds({TIME_LIMIT: "1"}, age_s=0) == math.inf
    assert plan_seconds({"SLURM_JOB_ID": "1"}, age_s=0) == math.inf
    assert plan_seconds({TIME_LIMIT: "60"}, age_s=0) == math.inf


def test_a_pod_of_the_profile_kubernetes_has_an_end_too():
    pod = {"MEDVISION_JOB": "kubernetes", TIME_LIMIT: "60"}
    assert plan_seconds(pod, age_s=0) == 3600 - 360


def test_what_slurm_says_of_the_jobs_end_holds_where_it_is_earlier() -> None:
    soon = str(int(time.time()) + 60)
    assert plan("60", SLURM_JOB_END_TIME=soon) == pytest.approx(60 - 20, abs=2)
    assert plan("0.5", SLURM_JOB_END_TIME=soon) == pytest.approx(15)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan"])
def test_a_limit_that_is_no_number_of_minutes_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must be minutes above 0"):
        plan(text)


def test_the_end_of_the_time_is_told_like_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv(TIME_LIMIT, "1000000")
    with heed_stop() as should_stop:
        assert not should_stop()
    monkeypatch.setenv(TIME_LIMIT, "0.000001")
    with heed_stop() as should_stop:
        assert should_stop()
