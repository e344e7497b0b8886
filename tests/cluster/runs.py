"""Runs of `medvision cluster` in a folder of their own, and what was seen of their jobs."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cluster.slurm import Cluster

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
SITE = {
    "partitions": [
        {"name": "cpu", "runtime": 60, "mem_mb": 8000, "cpus": 4},
        {"name": "gpu", "runtime": 60, "mem_mb": 8000, "cpus": 4, "gpus": 2, "gpu_type": "fake"},
    ]
}
# The profile that ships, with looks at the queue as often as only a test may have them.
QUICK = (
    *("--latency-wait", "10", "--seconds-between-status-checks", "1"),
    *("--slurm-init-seconds-before-status-checks", "2", "--max-status-checks-per-second", "1"),
)


@dataclass
class Run:
    """The tiny workflow in a folder, led by `medvision cluster run`.

    Args:
        cluster: Where its jobs run.
        folder: Working folder; the study's output lies in it.
        faults: Part to the fault that it meets at its first attempt.
        pause: Seconds that each part takes.
        parts: How many parts.
        scratch: Folder of temporary files that jobs are told of.
    """

    cluster: Cluster
    folder: Path
    faults: dict[str, str] = field(default_factory=dict)
    pause: float = 1
    parts: int = 2
    scratch: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> "Run":
        """Start the run, or start it again."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "study.yaml").write_text("output: {path: results}\n")
        settings = {
            "faults": self.faults,
            "pause": self.pause,
            "parts": self.parts,
            "scratch": str(self.scratch) if self.scratch else None,
        }
        (self.folder / "tiny.json").write_text(json.dumps(settings))
        workflow = ["--snakefile", str(HERE / "Snakefile")]
        with (self.folder / "run.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._words("run", *QUICK, *options, *workflow),
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        return self

    @property
    def environment(self) -> dict[str, str]:
        """The cluster's, and this checkout's package rather than an installed one."""
        return {**self.cluster.environment, "PYTHONPATH": str(CHECKOUT)}

    def cancel(self) -> "subprocess.CompletedProcess[str]":
        """Call `medvision cluster cancel`."""
        return subprocess.run(
            self._words("cancel"),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    @staticmethod
    def _words(name: str, *options: str) -> list[str]:
        given = ["--config", "study.yaml", *options]
        return [sys.executable, "-m", "medvision", "cluster", name, *given]

    def finish(self, seconds: float = 300) -> int:
        """Wait for its end; return the exit code."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait(60)
            raise TimeoutError(self.log) from None

    @property
    def log(self) -> str:
        return (self.folder / "run.log").read_text()

    @property
    def result(self) -> str | None:
        path = self.folder / "sum.txt"
        return path.read_text() if path.is_file() else None

    def is_equal(self, other: "Run") -> bool:
        """Whether its result is that of a run of at least as many parts."""
        assert other.result is not None
        return self.result == "".join(other.result.splitlines(keepends=True)[: self.parts])

    def find_children(self) -> list[int]:
        """The leader's own children: Snakemake."""
        assert self.process is not None
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(word) for word in path.read_text().split()]

    def list_seen(self, word: str) -> list[tuple[str, str]]:
        """Part and job of each start or end, in the order in which it was seen."""
        path = self.folder / "seen.txt"
        rows = [line.split() for line in path.read_text().splitlines()] if path.is_file() else []
        return [(row[0], row[3]) for row in rows if row[1] == word]

    def list_states(self, part: str) -> list[str]:
        """How the jobs of a part ended, in SLURM's words."""
        ended = {row["JobId"]: row["JobState"] for row in self.cluster.list_ended()}
        return [ended[job] for seen, job in self.list_seen("starts") if seen == part]

    def list_overlaps(self) -> list[tuple[str, str]]:
        """Part and job of each process that met another at its part, and pairs of such jobs.

        A process holds its part by a lock, which needs no clock. Of jobs, SLURM's own times tell;
        those of one number are not compared, since a job that was requeued, or of which a killed
        controller forgot that it had begun, begins anew under its number. Nor are those of a number
        that a controller which forgot them altogether gave out again, to another part.
        """
        ended = {row["JobId"]: row for row in self.cluster.list_ended()}
        begun = dict.fromkeys(self.list_seen("starts"))
        given = Counter(job for _, job in begun)
        spans = [
            (part, job, *(read_time(ended[job][name]) for name in ("StartTime", "EndTime")))
            for part, job in begun
            if given[job] == 1
        ]
        return self.list_seen("overlaps") + [
            (one[1], other[1])
            for i, one in enumerate(spans)
            for other in spans[i + 1 :]
            if one[0] == other[0] and one[2] < other[3] and other[2] < one[3]
        ]


def call(cluster: Cluster, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a module of Python in a folder as a user of the cluster would."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**cluster.environment, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )


def list_jobs(cluster: Cluster, folder: Path) -> dict[str, dict[str, str]]:
    """Return number to what SLURM says of each job of a folder that it still remembers."""
    lines = cluster.call("scontrol", "show", "job", "-o").splitlines()
    jobs = [dict(w.split("=", 1) for w in line.split() if "=" in w) for line in lines]
    return {job["JobId"]: job for job in jobs if job.get("WorkDir") == str(folder)}


def read_time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def freeze_and_kill(run: Run) -> None:
    """Kill a leader and its Snakemake at once, as a machine that loses its power would."""
    import signal

    assert run.process is not None
    children = run.find_children()
    run.process.send_signal(signal.SIGSTOP)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    run.process.kill()
    run.process.wait()
