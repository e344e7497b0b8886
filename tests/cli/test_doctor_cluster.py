"""`medvision doctor --profile slurm`: each planted fault of a cluster is found and named."""

import os
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from fake_slurm import write_answer, write_command

from medvision.cli._doctor import cluster as _check_cluster
from medvision.cli._doctor import mounts as _check_mounts
from medvision.cli.main import main
from medvision.runtime.workflow import find_workflow

NODES = """\
cpu|up|1-00:00:00|128000|32|(null)|intel|1-infinite|n1|idle
gpu|up|2-00:00:00|256000|64|gpu:a100:4(S:0-1)|big|1-infinite|g1|mixed
"""
SITE = {
    "account": "radiology",
    "partitions": [
        {"name": "cpu", "runtime": 1440, "mem_mb": 128000, "cpus": 32},
        {
            "name": "gpu",
            "runtime": 2880,
            "mem_mb": 256000,
            "cpus": 64,
            "gpus": 4,
            "gpu_type": "a100",
        },
    ],
}
ACCOUNTED = "MinJobAge = 300 sec\nAccountingStorageType = accounting_storage/slurmdbd\n"
BARE = "MinJobAge = {} sec\nAccountingStorageType = (null)\n"
COMMANDS = ("sbatch", "squeue", "scancel", "srun")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A healthy cluster of commands that answer; PATH holds nothing else."""
    folder = tmp_path / "bin"
    write_answer(folder, "sinfo", NODES)
    write_answer(folder, "scontrol", ACCOUNTED)
    write_answer(folder, "sacctmgr", "radiology\n")
    for name in COMMANDS:
        write_answer(folder, name, "")
    (folder / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_check_mounts, "find_type", lambda _: "nfs4")
    return folder


def check(
    site: object = SITE, *options: str, config: dict[str, dict[str, object]] | None = None
) -> Result:
    """Run the command in the test's working directory."""
    arguments = ["doctor", "--profile", "slurm"]
    if site is not None:
        Path("site.yaml").write_text(yaml.safe_dump(site))
        arguments += ["--site", "site.yaml"]
    Path("config.yaml").write_text(yaml.safe_dump(config or {}))
    return CliRunner().invoke(main, [*arguments, "--config", "config.yaml", *options])


def with_partition(number: int, **changes: object) -> dict[str, object]:
    held = [dict(partition) for partition in SITE["partitions"]]  # type: ignore[arg-type]
    held[number] |= changes
    return {**SITE, "partitions": held}


def assert_found(result: Result, status: str, *words: str) -> None:
    lines = [line for line in result.output.splitlines() if line.split()[:1] == [status]]
    assert any(all(word in line for word in words) for line in lines), result.output
    assert result.exit_code == (status == "fail"), result.output


def test_a_healthy_cluster_is_ready(cluster: Path) -> None:
    result = check()
    assert result.exit_code == 0, result.output
    ready = "Ready to run: medvision cluster run --config config.yaml"
    assert result.output.rstrip().endswith(ready)
    for words in (
        ("Partition", "gpu: 1 node, 4 GPUs a node"),
        ("Account", "radiology"),
        ("Status", "squeue; jobs are remembered for 300 s"),
        ("Requests", "1 GPU"),
        ("Shared", "output, working, Python folder on nfs4"),
    ):
        assert_found(result, "ok", *words)


def test_a_partition_of_unlike_nodes_promises_gpus_of_some_alone(cluster: Path) -> None:
    also = NODES.splitlines()[-1].replace("gpu|up", "cpu|up")
    write_answer(cluster, "sinfo", f"{NODES}{also}\n")
    assert_found(check(), "ok", "Partition", "cpu: 2 nodes, up to 4 GPUs a node")


def test_the_login_nodes_own_cores_and_gpu_are_not_judged(cluster: Path) -> None:
    result = check(config={"compute": {"device": "cuda", "threads": 12}})
    assert result.exit_code == 0, result.output
    assert "compute.threads" not in result.output


def test_without_sinfo_it_says_what_was_not_checked(cluster: Path) -> None:
    (cluster / "sinfo").unlink()
    assert_found(check(), "warn", "SLURM", "no sinfo on this machine", "GPUs", "not checked")


def test_a_scheduler_that_does_not_answer_fails(cluster: Path) -> None:
    write_answer(cluster, "sinfo", "", code=1)
    assert_found(check(), "fail", "SLURM", "sinfo does not answer")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_missing_command_fails(cluster: Path, name: str) -> None:
    (cluster / name).unlink()
    assert_found(check(), "fail", "SLURM", f"no {name}")


def test_a_partition_that_is_not_there_fails_and_the_others_are_named(cluster: Path) -> None:
    result = check(with_partition(0, name="normal"))
    assert_found(result, "fail", "Partition", "normal is not there")
    assert "the cluster has cpu, gpu" in result.output


def test_a_partition_that_is_down_fails(cluster: Path) -> None:
    write_answer(cluster, "sinfo", NODES.replace("cpu|up", "cpu|down"))
    assert_found(check(), "fail", "Partition", "cpu: it is down")


def test_a_partition_whose_nodes_are_all_shut_fails_and_says_why(cluster: Path) -> None:
    write_answer(cluster, "sinfo", NODES.replace("n1|idle", "n1|drained"))
    assert_found(check(), "fail", "Nodes", "cpu: 0 of 1 take jobs (1 drained)")


def test_nodes_that_are_shut_are_counted_and_warned_of_where_the_rest_is_not_enough(
    cluster: Path,
) -> None:
    first, second = NODES.splitlines()
    shut = first.replace("n1|idle", "n2|down*")
    write_answer(cluster, "sinfo", f"{first}\n{shut}\n{second}\n")
    assert_found(check(), "ok", "Nodes", "cpu: 1 of 2 take jobs (1 down*)")
    less = first.replace("|32|", "|8|")
    write_answer(cluster, "sinfo", f"{less}\n{shut}\n{second}\n")
    assert_found(check(), "warn", "Nodes", "cpu: 1 of 2", "cpus is 32 in the site file")


PARTITIONS = """\
PartitionName=cpu AllowGroups=ALL QoS=N/A MaxCPUsPerNode=UNLIMITED MaxMemPerNode=UNLIMITED
PartitionName=gpu AllowGroups=ALL QoS=N/A MaxCPUsPerNode=UNLIMITED MaxMemPerNode=UNLIMITED
"""


def write_scontrol(cluster: Path, partitions: str, settings: str = ACCOUNTED) -> None:
    answers = f"*partition*) printf '%s' '{partitions}';; *) printf '%s' '{settings}';;"
    script = f'case "$*" in {answers} esac'
    write_command(cluster, "scontrol", script)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("MaxMemPerNode=UNLIMITED", "MaxMemPerNode=64000", ("mem_mb is 128000", "64000 MB")),
        ("MaxMemPerNode=UNLIMITED", "MaxMemPerCPU=2000", ("mem_mb is 128000", "64000 MB")),
        ("MaxCPUsPerNode=UNLIMITED", "MaxCPUsPerNode=16", ("cpus is 32", "16 CPUs")),
    ],
)
def test_what_a_partition_lets_a_job_have_is_held_against_the_site(
    cluster: Path, old: str, new: str, words: tuple[str, ...]
) -> None:
    write_scontrol(cluster, PARTITIONS)
    assert check().exit_code == 0
    write_scontrol(cluster, PARTITIONS.replace(old, new, 1))
    assert_found(check(), "fail", "Partition", *words)


def test_the_whole_clusters_cap_binds_where_a_partition_has_none(cluster: Path) -> None:
    write_scontrol(cluster, PARTITIONS, f"{ACCOUNTED}MaxMemPerNode           = 64000\n")
    assert_found(check(), "fail", "Partition", "cpu: mem_mb is 128000", "64000 MB")


def test_a_quality_of_service_must_be_there_and_let_a_job_have_what_the_site_says(
    cluster: Path,
) -> None:
    known = "normal||\nshort|12:00:00|cpu=16,mem=500G\n"
    script = f"case \"$*\" in *qos*) printf '%s' '{known}';; *) echo radiology;; esac"
    write_command(cluster, "sacctmgr", script)
    assert check({**SITE, "qos": "normal"}).exit_code == 0
    result = check({**SITE, "qos": "short"})
    assert_found(result, "fail", "runtime is 1440 in the site file, qos short lets a job have 720")
    assert_found(result, "fail", "cpus is 32 in the site file, qos short lets a job have 16 CPUs")
    assert_found(check({**SITE, "qos": "long"}), "fail", "qos long is not there", "normal, short")
    # A partition may have one of its own.
    write_scontrol(cluster, PARTITIONS.replace("QoS=N/A", "QoS=short", 1))
    assert_found(check(), "fail", "cpu: runtime is 1440 in the site file, the cluster has 720")


@pytest.mark.parametrize(
    ("number", "changes", "words"),
    [
        (0, {"runtime": 2000}, "runtime is 2000 in the site file, the cluster has 1440 minutes"),
        (0, {"mem_mb": 500000}, "mem_mb is 500000 in the site file, the cluster has 128000 MB"),
        (0, {"cpus": 40}, "cpus is 40 in the site file, the cluster has 32 CPUs"),
        (1, {"gpus": 8}, "gpus is 8 of type a100 in the site file, nodes have 4"),
        (
            1,
            {"gpu_type": "h100"},
            "of type h100 in the site file, nodes have 0 (its GPUs are of a100)",
        ),
        (1, {"constraint": "huge"}, "no node has the feature huge"),
        (1, {"constraint": "no-such-feature"}, "no node has the feature no-such-feature"),
        (1, {"constraint": "big&huge"}, "no node has the feature big&huge"),
    ],
)
def test_a_promise_that_the_cluster_does_not_keep_fails(
    cluster: Path, number: int, changes: dict[str, object], words: str
) -> None:
    assert_found(check(with_partition(number, **changes)), "fail", "Partition", words)


def test_an_expression_of_features_is_left_to_the_scheduler(cluster: Path) -> None:
    assert check(with_partition(1, constraint="big|huge")).exit_code == 0


def test_an_account_of_somebody_else_fails_and_the_own_ones_are_named(cluster: Path) -> None:
    write_answer(cluster, "sacctmgr", "cardiology\n")
    result = check()
    assert_found(result, "fail", "Account", "radiology is not yours")
    assert "yours are cardiology" in result.output


def test_an_account_that_nobody_can_judge_fails_since_the_plugin_gives_such_jobs_up(
    cluster: Path,
) -> None:
    (cluster / "sacctmgr").unlink()
    result = check()
    assert_found(result, "fail", "Account", "neither sacctmgr nor sshare answers")
    assert "leave account out" in result.output
    assert check({"partitions": SITE["partitions"]}).exit_code == 0


def test_accounts_are_asked_of_sshare_where_sacctmgr_knows_none(cluster: Path) -> None:
    write_answer(cluster, "sacctmgr", "")
    write_answer(cluster, "sshare", "radiology\n")
    assert_found(check(), "ok", "Account", "radiology")


def test_a_status_that_would_hang_the_run_fails(cluster: Path) -> None:
    write_answer(cluster, "scontrol", BARE.format(10))
    assert_found(check(), "warn", "Status", "squeue forgets a job after 10 s")
    # The plugin takes sacct where its program exists and squeue forgets too soon.
    write_answer(cluster, "sacct", "")
    assert_found(check(), "fail", "Status", "MinJobAge 10 s", "would hang")
    write_answer(cluster, "scontrol", BARE.format(300))
    assert check().exit_code == 0


@pytest.mark.parametrize(("kept_s", "status"), [(60, "warn"), (239, "warn"), (240, "ok")])
def test_squeue_must_remember_a_job_from_one_look_to_the_next(
    cluster: Path, kept_s: int, status: str
) -> None:
    write_answer(cluster, "scontrol", BARE.format(kept_s))
    assert_found(check(), status, "Status", f"{kept_s} s")


def test_the_profile_says_the_doctors_number() -> None:
    profile = (find_workflow().parent / "profiles" / "slurm" / "config.yaml").read_text()
    assert f"less than {_check_cluster._REMEMBERED_S}, " in profile


def test_what_squeue_forgets_may_be_asked_of_accounting(cluster: Path) -> None:
    write_answer(cluster, "scontrol", ACCOUNTED.replace("300", "10"))
    result = check()
    assert_found(result, "warn", "Status", "squeue forgets a job after 10 s")
    assert "--slurm-status-command sacct" in result.output
    write_answer(cluster, "sacct", "")
    assert_found(check(), "ok", "Status", "sacct, by accounting")


def test_a_training_without_any_gpu_on_the_site_fails(cluster: Path) -> None:
    site = {"partitions": SITE["partitions"][:1]}  # type: ignore[index]
    assert check(site).exit_code == 0
    result = check(site, config={"compute": {"device": "cuda"}})
    assert_found(
        result,
        "fail",
        "Requests",
        "train, predict_fold, explain, control: a GPU, the site has none",
    )


def test_more_cores_than_any_node_has_fail(cluster: Path) -> None:
    site = with_partition(0, cpus=4)
    result = check(site, config={"ingest": {"workers": 8}})
    assert_found(
        result, "fail", "Requests", "ingest, measure: 8 CPUs at attempt 1, partition cpu has 4 CPUs"
    )


def test_a_first_attempt_that_is_cut_warns_and_a_cut_retry_is_told(cluster: Path) -> None:
    result = check(with_partition(1, runtime=1000))
    said = "train, control: 1440 minutes at attempt 1, partition gpu has 1000 minutes"
    assert_found(result, "warn", "Requests", said)
    assert result.output.count("may end before its work") == 1
    said = "train, control: 4320 minutes at attempt 3, partition gpu has 2880 minutes; a retry"
    assert_found(check(), "ok", "Requests", said)


def test_the_clusters_own_limit_counts_where_the_site_names_none(cluster: Path) -> None:
    write_answer(cluster, "sinfo", NODES.replace("2-00:00:00", "10:00:00"))
    site = {"partitions": [{"name": "cpu"}, {"name": "gpu", "gpus": 4}]}
    said = "train, control: 1440 minutes at attempt 1, partition gpu has 600 minutes"
    assert_found(check(site), "warn", "Requests", said)


def test_more_cores_than_the_profile_lets_a_job_have_fail(cluster: Path) -> None:
    result = check(config={"preprocess": {"workers": 20}})
    assert_found(result, "fail", "Cores", "preprocess", "more than 16")


def test_nodes_below_the_profiles_bound_are_told_since_a_group_may_ask_for_it(
    cluster: Path,
) -> None:
    assert "a group of jobs" not in check().output
    assert_found(check(with_partition(0, cpus=4)), "ok", "Cores", "ask for 16 CPUs", "have 4")


def test_a_bad_site_file_fails_in_its_own_words(cluster: Path) -> None:
    assert_found(check({**SITE, "acount": "x"}), "fail", "Site", "acount: key must be one of")


def test_no_site_warns_and_names_the_default_partition(cluster: Path) -> None:
    write_command(
        cluster, "sinfo", f"case \"$*\" in *%P*) echo 'cpu*';; *) printf '%s' '{NODES}';; esac"
    )
    result = check(None)
    assert_found(result, "warn", "Site", "no job gets a GPU")
    assert_found(result, "ok", "Partition", "cpu, the cluster's default")


def test_credentials_that_a_queued_pull_would_lack_warn(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDVISION_PACS_PASSWORD", "hunter2")
    assert "Secrets" not in check().output
    Path("labels.csv").write_text("subject,label\na,yes\nb,no\n")
    pacs = {"protocol": "dicomweb", "url": "https://pacs.invalid", "since": "2020-01-01"}
    said = check(config={"data": {"kind": "dicom", "labels": "labels.csv"}, "pacs": pacs}).output
    (line,) = [line.split() for line in said.splitlines() if "Secrets" in line]
    assert line[:3] == ["warn", "Secrets", "MEDVISION_PACS_PASSWORD:"]
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("tmpfs", "fail", "this machine's memory"),
        ("ext4", "warn", "may be this machine's own"),
        (None, "warn", "unknown disk"),
        ("lustre", "ok", "lustre"),
    ],
)
def test_folders_must_lie_on_a_disk_that_all_nodes_see(
    cluster: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, status: str, words: str
) -> None:
    monkeypatch.setattr(_check_mounts, "find_type", lambda _: kind)
    assert_found(check(), status, "Shared", words)


def test_results_on_the_nodes_own_disk_fail(cluster: Path, tmp_path: Path) -> None:
    result = check({**SITE, "scratch": str(tmp_path)})
    assert_found(result, "fail", "Shared", "each node's own disk")


def test_a_scratch_folder_that_is_not_here_warns(cluster: Path) -> None:
    result = check({**SITE, "scratch": "/nowhere/scratch"})
    assert_found(result, "warn", "Scratch", "is not on this machine; nodes may have it")


def test_the_type_of_a_disk_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    place = tmp_path.resolve()
    mounts.write_text(f"a / ext4 rw 0 0\nb {place} nfs4 rw 0 0\nc {place}x lustre rw 0 0\n")
    assert _check_mounts.find_type(tmp_path / "not" / "there", mounts=mounts) == "nfs4"
    assert _check_mounts.find_type(Path("/etc"), mounts=mounts) == "ext4"
    assert _check_mounts.find_type(Path("/etc"), mounts=tmp_path / "none") is None


def test_site_and_probe_need_the_profile() -> None:
    result = CliRunner().invoke(main, ["doctor", "--probe"])
    assert result.exit_code == 2
    assert "need --profile slurm" in result.output


def probing(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    """Probe with a srun that runs its command here."""
    monkeypatch.setenv("PATH", f"{cluster}:/usr/bin:/bin")
    write_command(
        cluster,
        "srun",
        'printf "%s\\n" "$@" "token ${MEDVISION_PACS_TOKEN:-none}" >> "$(dirname "$0")/asked"\n'
        'while [ "$1" != sh ]; do shift; done\nexec "$@"\n',
    )
    return check({**SITE, "scratch": str(cluster)}, "--probe")


def test_a_probe_asks_a_node_of_each_partition_and_leaves_no_file(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_answer(cluster, "nvidia-smi", "GPU 0: one\nGPU 1: two\n")
    monkeypatch.setenv("MEDVISION_PACS_TOKEN", "hunter2")
    result = probing(cluster, monkeypatch)
    assert_found(result, "ok", "Probe", "cpu: ", "sees output folder and Python")
    assert_found(result, "ok", "Probe", "gpu: ", "2 GPUs")
    asked = (cluster / "asked").read_text()
    assert "--gres=gpu:a100:1" in asked
    assert "--account=radiology" in asked
    assert "token none" in asked
    assert list(Path("results").iterdir()) == []


def test_a_probe_makes_a_folder_that_others_may_not_read(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = os.umask(0o022)
    try:
        write_answer(cluster, "nvidia-smi", "GPU 0: one\n")
        probing(cluster, monkeypatch)
        assert Path("results").stat().st_mode & 0o777 == 0o750
    finally:
        os.umask(held)


def test_a_node_that_shows_no_gpu_fails(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_answer(cluster, "nvidia-smi", "")
    assert_found(probing(cluster, monkeypatch), "fail", "Probe", "gpu: ", "shows no GPU")


def test_a_node_that_does_not_see_the_output_folder_fails(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_answer(cluster, "cat", "")
    result = probing(cluster, monkeypatch)
    assert_found(result, "fail", "Probe", "does not see what this machine wrote")


def test_a_partition_that_is_busy_is_told_as_not_asked(cluster: Path) -> None:
    write_answer(cluster, "srun", "", code=1)
    result = check(SITE, "--probe")
    assert_found(result, "warn", "Probe", "cpu: no node answered")


def with_team(nodes: int, processes: int) -> dict[str, dict[str, object]]:
    return {"compute": {"nodes": nodes, "processes_per_node": processes}}


def test_a_team_that_the_partition_holds_is_fine(cluster: Path) -> None:
    write_answer(cluster, "sinfo", NODES + NODES.splitlines()[-1].replace("g1", "g2") + "\n")
    result = check(config=with_team(2, 4))
    assert result.exit_code == 0, result.output
    assert_found(result, "ok", "Requests", "4 GPUs, 2 nodes")


def test_a_team_of_more_nodes_than_have_its_gpus_never_starts(cluster: Path) -> None:
    less = NODES.splitlines()[-1].replace("g1", "g2").replace("a100:4", "a100:2")
    write_answer(cluster, "sinfo", f"{NODES}{less}\n")
    found = check(config=with_team(2, 4))
    assert_found(found, "fail", "Requests", "train: 2 nodes at attempt 1, partition gpu has 1 node")
    assert check(config=with_team(2, 2)).exit_code == 0


def test_a_team_of_more_gpus_than_a_node_has_never_starts(cluster: Path) -> None:
    found = check(config=with_team(1, 6))
    assert_found(found, "fail", "Requests", "6 GPUs at attempt 1, partition gpu has 4 GPUs")


def test_a_partition_whose_jobs_are_of_one_node_holds_no_team_of_two(cluster: Path) -> None:
    two = NODES + NODES.splitlines()[-1].replace("g1", "g2") + "\n"
    write_answer(cluster, "sinfo", two.replace("big|1-infinite", "big|1"))
    assert_found(
        check(config=with_team(2, 1)),
        "fail",
        "Requests",
        "2 nodes at attempt 1, partition gpu has 1 node",
    )
