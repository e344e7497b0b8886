"""The demo, run whole: by a leader on the cluster, and on one machine."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml
from cluster.runs import CHECKOUT, QUICK, SITE, list_jobs
from cluster.slurm import Cluster
from pipeline import TINY

# The demo's own sizes take about 16 CPU minutes for both runs, a third of them to explain, so every
# step is there at the smallest ones; a variable asks for all of it, as `make demo` runs it.
SIZES = {name: TINY[name] for name in TINY if name != "control"}
DEMO: dict[str, object] = {
    **yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text()),
    **({} if os.environ.get("MEDVISION_WHOLE_DEMO") else SIZES),
}
# And what a cluster adds.
SHARDS = {"shards": 2}
DIVIDED = {
    **DEMO,
    **{name: {**dict(DEMO.get(name, {})), **SHARDS} for name in ("ingest", "preprocess")},
}
LED = {**DIVIDED, "cluster": {"site": "site.yaml"}}
ENDS_S = 2400.0
# SLURM forgets a job five minutes after its end.
_LOOK_S = 20.0


@dataclass(frozen=True)
class Led:
    """A run to its end, and what SLURM said of its jobs while it remembered them."""

    folder: Path
    code: int
    said: str
    jobs: Mapping[str, Mapping[str, str]]

    @property
    def results(self) -> Path:
        return self.folder / "results"


@dataclass(frozen=True)
class AtHome:
    """A run on this machine beside the test."""

    folder: Path
    process: "subprocess.Popen[bytes]"

    def finish(self) -> Path:
        """Wait for its end, which must be a good one; return its results."""
        code = self.process.wait(ENDS_S)
        assert code == 0, (self.folder / "said.log").read_text()
        return self.folder / "results"


def write_demo(folder: Path, values: object) -> None:
    """Write a study as `medvision init` lays one out, and a site file beside it."""
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(values))))
    (folder / "site.yaml").write_text(yaml.safe_dump(SITE))


def lead(cluster: Cluster, folder: Path) -> Led:
    """Call `medvision cluster run` as a user does; look at SLURM's jobs meanwhile."""
    jobs: dict[str, dict[str, str]] = {}
    words = [sys.executable, "-m", "medvision", "cluster", "run", *QUICK]
    end = time.monotonic() + ENDS_S
    with _started(folder, words, cluster.environment) as process:
        while process.poll() is None and time.monotonic() < end:
            jobs |= list_jobs(cluster, folder)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
    jobs |= list_jobs(cluster, folder)
    return Led(folder, process.wait(), (folder / "said.log").read_text(), jobs)


@contextmanager
def running_at_home(folder: Path) -> Iterator[AtHome]:
    """Run the study without a cluster, as `make demo` does, with what time others leave."""
    words = ["nice", sys.executable, "-m", "snakemake", "--cores", "2"]
    with _started(folder, [*words, "--snakefile", str(CHECKOUT / "Snakefile")], os.environ) as one:
        yield AtHome(folder, one)


@contextmanager
def _started(
    folder: Path, words: list[str], environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a command in a folder, which does not outlive the test."""
    with (folder / "said.log").open("wb") as said:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env={**environment, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "200"},
            stdout=said,
            stderr=said,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
