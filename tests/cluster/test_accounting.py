"""A cluster that keeps accounts: states from its database, its outages, and who is charged."""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cluster.accounting import (
    ACCOUNT,
    is_network_possible,
    list_missing,
    running_accounted_cluster,
    start_database,
    start_slurmdbd,
)
from cluster.act import describe
from cluster.runs import CHECKOUT, QUICK, SITE, Run
from cluster.slurm import Cluster, wait_for
from pipeline import TINY, write_config

# As the profile ships, and where a site keeps jobs in squeue for too short a time.
STATUS = {"squeue": (), "sacct": ("--slurm-status-command", "sacct")}
AWAY_S = 40


@pytest.fixture(scope="module")
def accounted(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A SLURM with slurmdbd; where none can be, the tests say why."""
    if missing := list_missing():
        pytest.skip(
            f"{', '.join(missing)} not found: apt-get install --no-install-recommends slurmdbd "
            "mariadb-server (make test-cluster does, where it may)"
        )
    if not is_network_possible():
        pytest.skip("slurmdbd listens on all addresses, and no network of its own may be made here")
    request.getfixturevalue("cluster_is_possible")
    folder = Path(tempfile.mkdtemp(prefix="medvision-slurm-"))
    try:
        with running_accounted_cluster(folder) as started:
            yield started
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def runs(
    accounted: Cluster, study: "subprocess.Popen[str]", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Run]]:
    """A run by each command for the status, whose parts fail once, or take too long once."""
    faults = {"1": "fail", "2": "time"}
    started = {
        name: Run(accounted, tmp_path_factory.mktemp(name), faults=faults, parts=3).start(
            "--verbose", *options
        )
        for name, options in STATUS.items()
    }
    yield started
    for run in started.values():
        if run.process is not None:
            end(run.process)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny study whose site file names the user's account."""
    folder = tmp_path_factory.mktemp("accounts") / "study"
    configure(folder, ACCOUNT)
    return folder


@pytest.fixture(scope="module")
def study(accounted: Cluster, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """The first steps of that study; they run beside the other runs, which mostly wait."""
    process = begin(accounted, folder, "cluster", "run", *QUICK, "--until", "ingest")
    yield process
    end(process)


def configure(folder: Path, account: str) -> None:
    """Write a tiny study whose site file names an account."""
    folder.mkdir()
    site = {"account": account, **SITE}
    (folder / "site.yaml").write_text(yaml.safe_dump(site))
    ingest = {"workers": 1, "shards": 2}
    write_config(folder, {**TINY, "ingest": ingest, "cluster": {"site": str(folder / "site.yaml")}})


def begin(cluster: Cluster, folder: Path, *words: str) -> "subprocess.Popen[str]":
    """Start a command of medvision in a study's folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "medvision", *words, "--config", "config.yaml"],
        cwd=folder,
        env={**cluster.environment, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "300"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def call(cluster: Cluster, folder: Path, *words: str) -> tuple[int, str]:
    """Run a command of medvision to its end; return its code, and what it said."""
    process = begin(cluster, folder, *words)
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


def end(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """End what still runs."""
    if process.poll() is None:
        process.terminate()
        process.wait(60)


def list_accounted(cluster: Cluster, *names: str, folder: Path) -> dict[str, list[str]]:
    """Job to what the database knows of it, of the jobs of a folder."""
    told = ",".join(("JobID", "WorkDir", *names))
    lines = cluster.call("sacct", "-n", "-X", "-P", "-S", "now-1hour", "-o", told).splitlines()
    rows = [line.split("|") for line in lines]
    return {row[0]: row[2:] for row in rows if row[1] == str(folder)}


def list_states(run: Run, part: str) -> list[str]:
    """How the jobs of a part ended, by the database, which learns it a moment later."""
    jobs = [job for seen, job in run.list_seen("starts") if seen == part]

    def read() -> list[str]:
        known = list_accounted(run.cluster, "State", folder=run.folder)
        return [known.get(job, ["none"])[0] for job in jobs]

    ending = {"RUNNING", "COMPLETING", "none"}
    wait_for(lambda: not ending & set(read()), seconds=60, what=f"states of jobs {jobs}")
    return read()


def check_run(run: Run) -> None:
    """Check that a run lost no part and did none twice but the two that failed at first."""
    assert run.finish(300) == 0, run.log
    assert run.result == "".join(describe(str(n)) for n in range(1, run.parts + 1))
    assert sorted(part for part, _ in run.list_seen("starts")) == ["1", "1", "2", "2", "3"]
    assert run.list_overlaps() == []
    assert list_states(run, "1") == ["FAILED", "COMPLETED"]
    assert list_states(run, "2") == ["TIMEOUT", "COMPLETED"]
    assert list_states(run, "3") == ["COMPLETED"]


def test_an_outage_of_slurmdbd_and_of_its_database_drops_no_job(runs: dict[str, Run]) -> None:
    for run in runs.values():
        wait_for(lambda run=run: len(run.list_seen("starts")) >= 3, seconds=90, what=run.log)
    cluster = runs["sacct"].cluster
    cluster.kill("slurmdbd")
    time.sleep(AWAY_S / 2)
    cluster.kill("mariadbd")
    time.sleep(AWAY_S / 2)
    start_database(cluster)
    start_slurmdbd(cluster)
    # slurmdbd works on, and what it is asked waits.
    cluster.kill("mariadbd")
    time.sleep(5)
    start_database(cluster)
    for run in runs.values():
        check_run(run)


@pytest.mark.parametrize("name", STATUS)
def test_the_status_is_asked_of_what_the_profile_says_though_there_is_accounting(
    runs: dict[str, Run], name: str
) -> None:
    runs[name].finish(300)
    assert set(re.findall(r"cycle\): command=(\w+)", runs[name].log)) == {name}


def test_a_job_that_is_lost_with_its_node_is_done_on_another(
    accounted: Cluster, tmp_path: Path
) -> None:
    run = Run(accounted, tmp_path / "run", pause=8).start(*STATUS["sacct"])
    wait_for(lambda: len(run.list_seen("starts")) == 2, seconds=180, what=f"2 starts\n{run.log}")
    jobs = {job for _, job in run.list_seen("starts")}
    node = accounted.show(min(jobs))["NodeList"]
    accounted.kill(node)
    try:
        assert run.finish(240) == 0, run.log
    finally:
        accounted.start(node)
    assert run.result == describe("1") + describe("2")
    states = [list_states(run, part) for part in ("1", "2")]
    assert ["NODE_FAIL", "COMPLETED"] in states
    assert run.list_overlaps() == []
    accounted.wait_idle()


def test_the_account_of_the_site_file_is_charged_and_its_books_name_no_subject(
    accounted: Cluster, folder: Path, study: "subprocess.Popen[str]"
) -> None:
    code, said = call(accounted, folder, "doctor", "--profile", "slurm")
    assert code == 0, said
    assert re.search(rf"ok +Account +{ACCOUNT} ", said), said
    said, _ = study.communicate(timeout=300)
    assert study.returncode == 0, said
    jobs = list_accounted(accounted, "Account", "State", "Comment", folder=folder)
    assert {row[0] for row in jobs.values()} == {ACCOUNT}
    assert {f"rule_ingest_shard_wildcards_{n}_2" for n in (1, 2)} < {r[2] for r in jobs.values()}
    books = accounted.call("sacct", "-n", "-P", "-S", "now-1hour", "-o", "ALL")
    assert "sub-" not in books
    assert "img-" not in books
    assert "ingest " in (said := call(accounted, folder, "status")[1])
    assert "0.00 GPU hours" in said
    assert "Failed: " not in said


def test_an_account_of_nobody_is_found_by_the_doctor_and_stops_a_run_without_it(
    accounted: Cluster, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    configure(folder, "cardiology")
    code, said = call(accounted, folder, "doctor", "--profile", "slurm")
    assert code == 1
    assert re.search(r"fail +Account +cardiology is not yours", said), said
    assert f"yours are {ACCOUNT}" in said
    code, said = call(accounted, folder, "cluster", "run", *QUICK)
    assert code == 1
    assert "account cardiology appears to be invalid" in said
    assert list_accounted(accounted, folder=folder) == {}
    with pytest.raises(RuntimeError, match="Invalid account"):
        accounted.submit("true\n", "-A", "cardiology", folder=tmp_path)
