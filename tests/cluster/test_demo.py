"""The whole demo, led by `medvision cluster run` on SLURM: to the bytes that one machine makes.

It is run twice, since only a second run shows that none of a cluster's ways (nodes, what a job is
handed) reaches a result: a bundle verifies too where all of it was made with one wrong setting.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.demos import DIVIDED, ENDS_S, LED, AtHome, Led, lead, running_at_home, write_demo
from cluster.runs import call
from cluster.slurm import Cluster
from pipeline import digest_tree

from medvision.config.model import build_study
from medvision.config.requests import list_rules
from medvision.layout import STEPS

# Both runs, on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * ENDS_S)]

_FINISHED = re.compile(r"Finished jobid: (\d+) \(Rule: (\w+)\)")
_QUEUED = re.compile(r"Job (\d+) has been submitted with SLURM jobid (\d+)")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AtHome]:
    """The demo on one machine, while it is run on the cluster too."""
    folder = tmp_path_factory.mktemp("home")
    write_demo(folder, DIVIDED)
    with running_at_home(folder) as running:
        yield running


@pytest.fixture(scope="module")
def led(home: AtHome, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Led:
    """The demo on the cluster, to its end."""
    folder = tmp_path_factory.mktemp("led")
    write_demo(folder, LED)
    run = lead(cluster, folder)
    assert run.code == 0, run.said
    return run


def read_log(folder: Path) -> str:
    """Return what Snakemake itself wrote down of the run that it was in last."""
    return max((folder / ".snakemake" / "log").iterdir()).read_text()


def count_rules(led: Led) -> Counter[str]:
    """Return how many jobs SLURM had of each rule, by their comments."""
    comments = [job["Comment"] for job in led.jobs.values()]
    return Counter(re.sub("^rule_|_wildcards_.*$", "", comment) for comment in comments)


def test_every_job_but_the_workflow_s_goal_went_to_slurm_once_and_ended_well(led: Led) -> None:
    said = read_log(led.folder)
    finished = dict(_FINISHED.findall(said))
    queued = dict(_QUEUED.findall(said))
    assert {rule for number, rule in finished.items() if number not in queued} <= {"all"}
    assert set(queued.values()) == set(led.jobs)
    assert {job["JobState"] for job in led.jobs.values()} == {"COMPLETED"}
    assert count_rules(led) == Counter(finished[number] for number in queued)
    assert set(count_rules(led)) == set(list_rules(build_study(LED)))
    assert len({job["Comment"] for job in led.jobs.values()}) == len(led.jobs)


def test_every_job_is_placed_by_the_site_and_asks_by_the_table(led: Led) -> None:
    jobs = {job["Comment"]: job for job in led.jobs.values()}
    assert {f"rule_ingest_shard_wildcards_{n}_2" for n in (1, 2)} < set(jobs)
    cohort, training = jobs["rule_cohort"], jobs["rule_train_wildcards_transfer_0"]
    assert (cohort["Partition"], cohort["TimeLimit"]) == ("cpu", "01:00:00")
    assert cohort["MinMemoryNode"] in ("4000M", "4G")
    assert training["Partition"] == "gpu"
    assert "gpu:fake:1" in training["TresPerJob"].replace("gres:", "")


def test_other_users_see_no_subject_in_names_and_comments(led: Led) -> None:
    for job in led.jobs.values():
        assert re.fullmatch(r"mv-[0-9a-f]{8}_[0-9a-f-]{36}", job["JobName"])
        # A rule; an arm or a control; numbers.
        wildcards = r"(_wildcards_(transfer|scratch|permuted|image-level)?[\d_]*)?"
        assert re.fullmatch(rf"rule_[a-z_]+?{wildcards}", job["Comment"]), job["Comment"]


def test_results_are_those_of_one_machine(led: Led, home: AtHome) -> None:
    ours, theirs = digest_tree(led.results), digest_tree(home.finish())
    assert set(ours) == set(theirs)
    assert {path for path in ours if ours[path] != theirs[path]} == set()
    for name in ("evaluate/metrics.json", "predict/predictions.tsv", "report/report.html"):
        assert name in ours
    assert [name for name in ours if name.startswith("explain/maps/")]


def test_its_bundle_is_verified_by_computing_again(cluster: Cluster, led: Led) -> None:
    words = ("audit", "verify", "results/audit/bundle", "--study", "results", "--level", "3")
    done = call(cluster, led.folder, "medvision", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict     PASS" in done.stdout


def test_status_says_that_all_is_done_in_how_many_jobs_and_hours(
    cluster: Cluster, led: Led
) -> None:
    said = call(cluster, led.folder, "medvision", "status").stdout
    rows = {words[0]: words for line in said.splitlines() if (words := line.split())}
    # The index, two shards, and what gathers them.
    for stage, n in {"ingest": "4", "measure": "3", "preprocess": "3", "explain": "1"}.items():
        assert rows[stage][1:] == [n, "✓", "done"]
    assert set(rows) >= {step for step in STEPS if count_rules(led)[step]}
    assert "failed" not in said.replace("failed   at work", "")
    assert re.search(r"[\d.]+ job hours, [\d.]+ CPU hours, 0\.00 GPU hours", said)
    assert "All stages are done." in said
    assert said.strip() in led.said, "the run's own end says the same"


def test_what_it_leaves_is_not_for_others_to_read(led: Led) -> None:
    assert [p for p in led.results.rglob("*") if p.stat().st_mode & 0o007] == []


def test_the_same_command_again_does_nothing(cluster: Cluster, led: Led) -> None:
    times = {p: p.stat().st_mtime_ns for p in led.results.glob("*/record.json")}
    again = lead(cluster, led.folder)
    assert again.code == 0, again.said
    assert "Nothing to be done" in read_log(led.folder)
    assert set(again.jobs) <= set(led.jobs)
    assert {p: p.stat().st_mtime_ns for p in times} == times
