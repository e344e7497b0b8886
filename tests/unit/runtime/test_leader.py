"""The leader of a cluster's run, with files as the queue and a script as Snakemake."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medvision.errors import ClusterError, StoppedError
from medvision.runtime.lead import ask_to_cancel, is_led, read_prefix, take_lead, tell_of_run
from medvision.runtime.leader import Care, lead_run
from medvision.runtime.queue import cancel_jobs, list_queued, wait_for_jobs

CARE = Care(patience_s=60, grace_s=5)
# A job is a file of its number in jobs/, which holds its name.
SQUEUE = """\
#!/bin/sh
[ -z "$SQUEUE_PARTITION" ] || exit 0
cd {folder}/jobs && for n in *; do [ -e "$n" ] && echo "$n|$(cat "$n")|RUNNING"; done
exit 0
"""
SCANCEL = """\
#!/bin/sh
[ -z "$SCANCEL_NAME" ] || exit 0
echo "scancel $*" >> {folder}/said
cd {folder}/jobs && rm -f "$@"
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files are the queue; PATH leads to clients that read it."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "bin").mkdir()
    for name, text in (("squeue", SQUEUE), ("scancel", SCANCEL)):
        path = tmp_path / "bin" / name
        path.write_text(text.format(folder=tmp_path))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr("medvision.runtime.queue._PAUSE_S", 0.05)
    monkeypatch.setattr("medvision.runtime.leader._TICK_S", 0.05)
    monkeypatch.setattr("medvision.runtime.lead._ALONE_S", 0.2)
    monkeypatch.setattr("medvision.runtime.lead._PAUSE_S", 0.05)
    monkeypatch.setattr("medvision.runtime.leader._HUNG_GRACE_S", 0.5)
    return tmp_path


def queue(slurm: Path, number: int, name: str) -> None:
    (slurm / "jobs" / str(number)).write_text(name)


def write_child(slurm: Path, body: str) -> list[str]:
    """A stand-in of Snakemake: notes how it is called, then does what the body says."""
    path = slurm / "child.py"
    path.write_text(
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        f"folder = Path({str(slurm)!r})\n"
        "with (folder / 'said').open('a') as said:\n"
        "    said.write(' '.join(['snakemake', *sys.argv[1:]]) + '\\n')\n"
        "if '--unlock' in sys.argv:\n    sys.exit(0)\n"
        "n = len([w for w in (folder / 'said').read_text().split() if w == 'snakemake'])\n"
        f"{body}\n"
    )
    return [sys.executable, str(path)]


def lead(slurm: Path, command: list[str], care: Care = CARE) -> int:
    with take_lead(slurm / "cluster", working_folder=slurm) as held:
        return lead_run(command, held, care=care)


JOB = (
    "import json\np = json.load(open(folder / 'cluster' / 'run.json'))['prefix']\n"
    "(folder / 'jobs' / '5').write_text(p + '_x')\n"
)


def is_open(slurm: Path) -> bool:
    return bool(json.loads((slurm / "cluster" / "run.json").read_text())["is_open"])


def read_said(slurm: Path) -> list[str]:
    path = slurm / "said"
    return path.read_text().splitlines() if path.is_file() else []


def leave_behind(slurm: Path) -> str:
    """A run whose leader was killed: open, with two jobs in the queue."""
    with take_lead(slurm / "cluster", working_folder=slurm) as held:
        prefix = held.prefix
    for number in (7, 8):
        queue(slurm, number, f"{prefix}_1234")
    return prefix


@pytest.fixture
def in_a_moment() -> Iterator[Callable[..., None]]:
    """Do something while the leader is at work, from a process of its own."""
    made: list[subprocess.Popen[bytes]] = []

    def plan(code: str) -> None:
        made.append(subprocess.Popen([sys.executable, "-c", f"import time, os\n{code}"]))

    yield plan
    for each in made:
        each.wait(20)


def test_only_jobs_of_the_prefix_are_seen_and_cancelled(slurm: Path) -> None:
    queue(slurm, 1, "mv-1a_x")
    queue(slurm, 2, "mv-1ab_x")
    queue(slurm, 3, "other")
    assert [job.number for job in list_queued("mv-1a")] == ["1"]
    assert cancel_jobs("mv-1a") == 1
    assert sorted(path.name for path in (slurm / "jobs").iterdir()) == ["2", "3"]


def test_a_queue_that_does_not_answer_is_no_empty_queue(slurm: Path) -> None:
    (slurm / "bin" / "squeue").write_text("#!/bin/sh\necho no controller >&2\nexit 1\n")
    with pytest.raises(ClusterError, match="squeue must answer, got: no controller"):
        list_queued("mv-1a")
    (slurm / "bin" / "squeue").unlink()
    if not Path("/usr/bin/squeue").exists():
        with pytest.raises(ClusterError, match="squeue must be on PATH"):
            list_queued("mv-1a")


def test_the_exit_code_is_snakemakes_and_nothing_is_unlocked(slurm: Path) -> None:
    assert lead(slurm, write_child(slurm, "sys.exit(3)")) == 3
    assert read_said(slurm) == ["snakemake"]


def test_a_run_that_ended_leaves_nothing_to_clear(slurm: Path) -> None:
    command = write_child(slurm, "sys.exit(0)")
    assert lead(slurm, command) == lead(slurm, command) == 0
    assert read_said(slurm) == ["snakemake", "snakemake"]


def test_orphans_are_cancelled_before_the_lock_is_taken_away(slurm: Path) -> None:
    leave_behind(slurm)
    assert lead(slurm, write_child(slurm, "sys.exit(0)")) == 0
    assert read_said(slurm) == ["scancel 7 8", "snakemake --unlock", "snakemake"]


def test_orphans_may_be_waited_for(slurm: Path, in_a_moment: Callable[..., None]) -> None:
    leave_behind(slurm)
    in_a_moment(
        f"time.sleep(1)\nos.remove('{slurm}/jobs/7')\ntime.sleep(1)\n"
        f"open('{slurm}/said', 'a').write('ended\\n')\nos.remove('{slurm}/jobs/8')"
    )
    care = Care(patience_s=60, orphans="wait")
    assert lead(slurm, write_child(slurm, "sys.exit(0)"), care) == 0
    assert read_said(slurm) == ["ended", "snakemake --unlock", "snakemake"]


def test_waiting_ends_where_it_is_told_to(slurm: Path) -> None:
    prefix = leave_behind(slurm)
    assert wait_for_jobs(prefix, should_stop=lambda: True) == 2


def test_orphans_of_another_study_are_left_alone(slurm: Path) -> None:
    leave_behind(slurm)
    queue(slurm, 9, "mv-00000000_1")
    lead(slurm, write_child(slurm, "sys.exit(0)"))
    assert [path.name for path in (slurm / "jobs").iterdir()] == ["9"]


def test_a_copied_study_does_not_touch_the_jobs_of_the_original(slurm: Path) -> None:
    prefix = leave_behind(slurm)
    (slurm / "copy").mkdir()
    (slurm / "cluster" / "run.json").rename(slurm / "copy" / "run.json")
    assert read_prefix(slurm / "copy") is None
    with take_lead(slurm / "copy", working_folder=slurm) as held:
        assert held.prefix != prefix


def test_a_second_leader_is_refused_while_the_first_one_or_its_child_lives(slurm: Path) -> None:
    with take_lead(slurm / "cluster", working_folder=slurm):
        assert is_led(slurm / "cluster")
        with (
            pytest.raises(ClusterError, match="one process alone must lead"),
            take_lead(slurm / "cluster", working_folder=slurm),
        ):
            pass
    assert not is_led(slurm / "cluster")


def test_the_lock_is_not_taken_from_another_study_of_the_working_folder(slurm: Path) -> None:
    leave_behind(slurm)
    with (
        take_lead(slurm / "other", working_folder=slurm),
        pytest.raises(ClusterError, match="no other run must go on in this folder"),
    ):
        lead(slurm, write_child(slurm, "sys.exit(0)"))
    assert not any("--unlock" in line for line in read_said(slurm))


@pytest.fixture
def not_under_nohup() -> Iterator[None]:
    """Let a lost terminal be heeded, however these tests were started."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("not_under_nohup")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_becomes_the_one_at_which_snakemake_cancels(
    slurm: Path, in_a_moment: Callable[..., None], name: str
) -> None:
    command = write_child(
        slurm,
        "def note(signum, frame):\n"
        "    (folder / 'got').write_text(signal.Signals(signum).name)\n    sys.exit(1)\n"
        "signal.signal(signal.SIGINT, note)\nsignal.signal(signal.SIGTERM, note)\n"
        "(folder / 'ready').touch()\ntime.sleep(30)",
    )
    in_a_moment(
        f"while not os.path.exists('{slurm}/ready'): time.sleep(0.05)\n"
        f"os.kill({os.getpid()}, {int(signal.Signals[name])})"
    )
    with pytest.raises(StoppedError, match="must be left to end"):
        lead(slurm, command)
    assert (slurm / "got").read_text() == "SIGINT"


def test_what_snakemake_submits_to_its_very_end_is_cancelled_by_name(
    slurm: Path, in_a_moment: Callable[..., None]
) -> None:
    late = JOB.replace("\n", "\n    ")
    command = write_child(
        slurm,
        f"def note(signum, frame):\n    {late}sys.exit(1)\n"
        "signal.signal(signal.SIGINT, note)\n(folder / 'ready').touch()\ntime.sleep(30)",
    )
    in_a_moment(
        f"while not os.path.exists('{slurm}/ready'): time.sleep(0.05)\n"
        f"time.sleep(0.5)\nopen('{slurm}/cluster/cancel', 'w')"
    )
    with pytest.raises(StoppedError, match=r"and cancelled: \d"):
        lead(slurm, command)
    assert list((slurm / "jobs").iterdir()) == []


def test_a_request_to_cancel_of_an_earlier_run_does_not_end_the_next(slurm: Path) -> None:
    leave_behind(slurm)
    ask_to_cancel(slurm / "cluster")
    assert lead(slurm, write_child(slurm, "sys.exit(0)")) == 0


def test_a_killed_snakemake_is_started_again_after_its_orphans_are_gone(slurm: Path) -> None:
    command = write_child(
        slurm,
        "import json\np = json.load(open(folder / 'cluster' / 'run.json'))['prefix']\n"
        "if n > 1:\n    sys.exit(0)\n"
        "(folder / 'jobs' / '5').write_text(p + '_x')\nos.kill(os.getpid(), signal.SIGKILL)",
    )
    assert lead(slurm, command) == 0
    assert read_said(slurm) == ["snakemake", "scancel 5", "snakemake --unlock", "snakemake"]


def test_one_that_is_killed_each_time_is_given_up(slurm: Path) -> None:
    command = write_child(slurm, "os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ClusterError, match="got 3 times that it was killed or hung"):
        lead(slurm, command, Care(patience_s=60, restarts=2))


def test_one_that_does_nothing_while_the_queue_is_empty_is_started_again(slurm: Path) -> None:
    command = write_child(slurm, "if n > 1:\n    sys.exit(0)\ntime.sleep(60)")
    begin = time.monotonic()
    assert lead(slurm, command, Care(patience_s=1)) == 0
    assert 1 <= time.monotonic() - begin < 30
    assert read_said(slurm) == ["snakemake", "snakemake --unlock", "snakemake"]


@pytest.mark.parametrize(
    "body",
    [
        "end = time.monotonic() + 4\nwhile time.monotonic() < end: pass",
        "import subprocess\nsubprocess.run(['sleep', '4'])",
        "import json\np = json.load(open(folder / 'cluster' / 'run.json'))['prefix']\n"
        "(folder / 'jobs' / '5').write_text(p + '_x')\ntime.sleep(4)\n"
        "(folder / 'jobs' / '5').unlink()",
    ],
    ids=["computes", "has a child", "has a job"],
)
def test_one_that_is_at_work_is_left_alone(slurm: Path, body: str) -> None:
    assert lead(slurm, write_child(slurm, body), Care(patience_s=1.5)) == 0
    assert read_said(slurm) == ["snakemake"]


def test_an_outage_of_the_queue_is_no_emptiness(slurm: Path) -> None:
    (slurm / "bin" / "squeue").write_text("#!/bin/sh\nexit 1\n")
    assert lead(slurm, write_child(slurm, "time.sleep(3)"), Care(patience_s=1)) == 0
    assert read_said(slurm) == ["snakemake"]


def test_jobs_that_snakemake_forgot_when_it_failed_are_cancelled(slurm: Path) -> None:
    command = write_child(slurm, f"if n > 1:\n    sys.exit(0)\n{JOB}sys.exit(1)")
    assert lead(slurm, command) == 1
    assert read_said(slurm) == ["snakemake", "scancel 5"]
    assert lead(slurm, command) == 0
    assert read_said(slurm)[2:] == ["snakemake --unlock", "snakemake"]


def test_a_run_whose_end_the_queue_does_not_attest_stays_open(slurm: Path) -> None:
    body = "(folder / 'bin' / 'squeue').write_text('#!/bin/sh\\nexit 1\\n')\nsys.exit(1)"
    assert lead(slurm, write_child(slurm, body)) == 1
    assert is_open(slurm)


def test_a_job_whose_node_is_being_cleared_keeps_no_run_open(slurm: Path) -> None:
    squeue = slurm / "bin" / "squeue"
    squeue.write_text(squeue.read_text().replace("RUNNING", "COMPLETING"))
    assert lead(slurm, write_child(slurm, f"{JOB}sys.exit(0)")) == 0
    assert read_said(slurm) == ["snakemake"]
    assert not is_open(slurm)


@pytest.mark.parametrize(
    ("at_sigint", "unlocks"),
    [("sys.exit(1)", False), ("pass", True)],
    ids=["ends by itself", "is killed"],
)
def test_after_a_stop_the_next_run_unlocks_where_snakemake_had_to_be_killed(
    slurm: Path, in_a_moment: Callable[..., None], at_sigint: str, unlocks: bool
) -> None:
    command = write_child(
        slurm,
        f"if n > 1:\n    sys.exit(0)\ndef note(signum, frame):\n    {at_sigint}\n"
        f"signal.signal(signal.SIGINT, note)\n{JOB}(folder / 'ready').touch()\n"
        "end = time.monotonic() + 30\nwhile time.monotonic() < end:\n    time.sleep(0.1)",
    )
    in_a_moment(
        f"while not os.path.exists('{slurm}/ready'): time.sleep(0.05)\n"
        f"open('{slurm}/cluster/cancel', 'w')"
    )
    with pytest.raises(StoppedError):
        lead(slurm, command, Care(patience_s=60, grace_s=1))
    assert lead(slurm, command) == 0
    assert ("snakemake --unlock" in read_said(slurm)) == unlocks


def test_jobs_are_cancelled_by_name_before_snakemakes_grace_is_over(
    slurm: Path, in_a_moment: Callable[..., None]
) -> None:
    # As one whose thread sleeps: it ends once no job is left, long before its grace.
    command = write_child(
        slurm,
        f"signal.signal(signal.SIGINT, signal.SIG_IGN)\n{JOB}(folder / 'ready').touch()\n"
        "while (folder / 'jobs' / '5').exists():\n    time.sleep(0.05)",
    )
    in_a_moment(
        f"while not os.path.exists('{slurm}/ready'): time.sleep(0.05)\n"
        f"open('{slurm}/cluster/cancel', 'w')"
    )
    begin = time.monotonic()
    with pytest.raises(StoppedError):
        lead(slurm, command, Care(patience_s=60, grace_s=30))
    assert time.monotonic() - begin < 15


def test_a_stop_while_orphans_are_waited_for_starts_nothing_and_keeps_the_run_open(
    slurm: Path, in_a_moment: Callable[..., None]
) -> None:
    leave_behind(slurm)
    in_a_moment(f"time.sleep(1)\nopen('{slurm}/cluster/cancel', 'w')")
    with pytest.raises(StoppedError, match="the same command does it"):
        lead(slurm, write_child(slurm, "sys.exit(0)"), Care(patience_s=60, orphans="wait"))
    assert read_said(slurm) == []
    assert is_open(slurm)


def test_the_lock_is_not_taken_from_a_run_that_nobody_leads(slurm: Path) -> None:
    leave_behind(slurm)
    told = tell_of_run(slurm)
    assert told is not None
    with told, pytest.raises(ClusterError, match="no other run must go on in this folder"):
        lead(slurm, write_child(slurm, "sys.exit(0)"))
    assert not any("--unlock" in line for line in read_said(slurm))
    assert lead(slurm, write_child(slurm, "sys.exit(0)")) == 0


def can_be_alone(slurm: Path) -> bool:
    with (slurm / ".snakemake" / "medvision-lead").open("a") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_a_leader_that_was_refused_the_folder_still_holds_its_share(slurm: Path) -> None:
    with take_lead(slurm / "cluster", working_folder=slurm) as held:
        other = tell_of_run(slurm)
        assert other is not None
        with other, pytest.raises(ClusterError), held.alone():
            pass
        assert not can_be_alone(slurm)
        with held.alone():
            pass
        assert not can_be_alone(slurm)


def test_a_leader_waits_for_its_share_while_another_one_unlocks(
    slurm: Path, in_a_moment: Callable[..., None]
) -> None:
    (slurm / ".snakemake").mkdir()
    path = slurm / ".snakemake" / "medvision-lead"
    in_a_moment(
        f"import fcntl\nother = open('{path}', 'a')\nfcntl.flock(other, fcntl.LOCK_EX)\n"
        f"open('{slurm}/ready', 'w')\ntime.sleep(1)"
    )
    while not (slurm / "ready").exists():
        time.sleep(0.05)
    with take_lead(slurm / "cluster", working_folder=slurm):
        time.sleep(1.5)
        assert not can_be_alone(slurm)


def test_a_job_that_ends_before_it_is_cancelled_is_no_failure(slurm: Path) -> None:
    queue(slurm, 1, "mv-1a_x")
    scancel = slurm / "bin" / "scancel"
    scancel.write_text(scancel.read_text() + "echo Invalid job id >&2\nexit 1\n")
    assert cancel_jobs("mv-1a") == 1


def test_a_users_own_filter_of_the_queue_hides_no_job(
    slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQUEUE_PARTITION", "other")
    monkeypatch.setenv("SCANCEL_NAME", "other")
    queue(slurm, 1, "mv-1a_x")
    assert cancel_jobs("mv-1a") == 1
    assert not any((slurm / "jobs").iterdir())
