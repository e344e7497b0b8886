"""A run leaves nothing that others may read, tells its jobs no secret, and names nobody in its own
notes, logs and metadata."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from canaries import WORD
from dicoms import Plan, make_volume, write_series
from fake_slurm import CALLS, read_calls, with_path, write_command, write_refusing_cluster
from pipeline import TINY, write_config

from medvision.config.bucket import TRACKING_CREDENTIALS
from medvision.config.pacs import CREDENTIALS
from medvision.io.pacs import access

CHECKOUT = Path(__file__).parents[2]
TOKEN = "not-a-real-token-5Fz"


def snakemake(
    folder: Path, *options: str, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """Run the workflow on the study in `folder`, as one who lets everybody read."""
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile")),
        *("--directory", str(folder), "--configfile", str(folder / "config.yaml"), *options),
    ]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, umask=0o022
    )


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort whose subjects and files bear a mark, through the first steps of the workflow."""
    folder = tmp_path_factory.mktemp("marked")
    lines = ["subject,label"]
    for n in range(12):
        subject = f"{WORD}-{n:02d}"
        plan = Plan(make_volume(seed=n), subject=subject, study=f"1.3.{n}", series=f"1.2.{n}")
        paths = write_series(folder / "scans" / subject, plan)
        if n == 0:
            # A refusal is told too.
            paths[2].unlink()
        lines.append(f"{subject},{'yes' if n % 2 else 'no'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    data = {"kind": "dicom", "path": "scans", "labels": "labels.csv"}
    ingest = {"workers": 1, "shards": 2, "accept": ["missing-slice"]}
    write_config(folder, {**TINY, "data": data, "phantom": {}, "ingest": ingest})
    done = snakemake(folder, *("--cores", "2", "--until", "cohort", "--persistence-backend", "db"))
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "said").write_text(done.stdout + done.stderr)
    return folder


@pytest.mark.slow
def test_nothing_of_a_run_may_be_read_by_others(marked: Path) -> None:
    results = marked / "results"
    found = [path for path in results.rglob("*") if path.stat().st_mode & 0o007]
    assert list(results.rglob("*.log"))
    assert found == []
    # Snakemake's first log is older than the reading of the configuration: its folder is shut.
    assert (marked / ".snakemake").stat().st_mode & 0o007 == 0


@pytest.mark.slow
def test_snakemakes_metadata_logs_and_terminal_name_no_subject_and_no_file(marked: Path) -> None:
    places = [marked / ".snakemake", marked / "results" / "logs", marked / "results" / "benchmarks"]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert any(path.name == "metadata.db" for path in files)
    for path in [*files, marked / "said"]:
        assert WORD.encode() not in path.read_bytes(), path
        assert WORD not in str(path.relative_to(marked))


@pytest.mark.slow
def test_another_umask_computes_nothing_again(marked: Path) -> None:
    done = snakemake(
        marked,
        *("--cores", "1", "--until", "cohort", "--persistence-backend", "db", "-n"),
        *("--config", "output={path: " + str(marked / "results") + ", umask: '077'}"),
    )
    assert done.returncode == 0, done.stderr
    said = (done.stdout + done.stderr).split()
    assert {said[k + 1] for k, word in enumerate(said) if word == "total"} == {"0"}


def test_the_workflow_knows_the_variables_that_hold_credentials() -> None:
    assert CREDENTIALS == (access.USER, access.PASSWORD, access.TOKEN)


def pulling(folder: Path, *, since: str = "2020-01-01") -> None:
    """Configure a study that is pulled from a PACS."""
    (folder / "labels.csv").write_text("subject,label\n")
    pacs = {"protocol": "dicomweb", "url": "https://pacs.invalid", "since": since}
    data = {"kind": "dicom", "labels": "labels.csv"}
    write_config(folder, {**TINY, "data": data, "phantom": {}, "pacs": pacs})


def test_credentials_reach_the_pull_and_no_other_command(tmp_path: Path) -> None:
    pulling(tmp_path)
    write_command(
        tmp_path / "bin",
        "medvision",
        f"""\
        echo "$1 ${{{access.TOKEN}:-none}}" >> {tmp_path}/seen
        mkdir -p results/pull
        [ "$1" != pull ] || touch results/pull/archive.tsv results/pull/record.json
        """,
    )
    environment = {**with_path(tmp_path / "bin"), access.TOKEN: TOKEN}
    snakemake(tmp_path, "--cores", "1", "--until", "ingest", environment=environment)
    seen = (tmp_path / "seen").read_text().splitlines()
    assert seen[0] == f"pull {TOKEN}"
    assert "ingest none" in seen
    assert [line for line in seen if TOKEN in line] == seen[:1]


def on_cluster(
    folder: Path, target: str, *more: str, names: Sequence[str] = CREDENTIALS
) -> subprocess.CompletedProcess[str]:
    """Run on a cluster that refuses every job, with credentials in the environment."""
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the extra `cluster` is missing")
    write_refusing_cluster(folder / "bin")
    environment = {**with_path(folder / "bin"), **dict.fromkeys(names, TOKEN)}
    options = ("--workflow-profile", str(CHECKOUT / "workflow/profiles/slurm"), "--retries", "0")
    return snakemake(folder, *options, *more, "--until", target, environment=environment)


def assert_nothing_handed(folder: Path) -> None:
    """Look into the one job that was asked for."""
    (call,) = read_calls(folder / "bin")
    handed = (folder / "bin" / f"{CALLS}-environment").read_text()
    assert "MEDVISION_UMASK=027" in handed
    for text in (" ".join(call), handed):
        for secret in (TOKEN, "SECRET-8Kq"):
            assert secret not in text


def test_no_job_of_a_cluster_is_handed_credentials_or_a_key(tmp_path: Path) -> None:
    (tmp_path / "pseudonym.key").write_text("PSEUDONYM-SECRET-8Kq")
    (tmp_path / "signing.pem").write_text("SIGNING-SECRET-8Kq")
    values = {
        **TINY,
        "ingest": {"workers": 1, "key": "pseudonym.key"},
        "audit": {"signing_key": "signing.pem"},
    }
    write_config(tmp_path, values)
    on_cluster(tmp_path, "phantom")
    assert_nothing_handed(tmp_path)


def test_no_job_of_a_cluster_is_handed_credentials_after_a_pull_by_hand(tmp_path: Path) -> None:
    pulling(tmp_path)
    (tmp_path / "results" / "pull").mkdir(parents=True)
    for name in ("archive.tsv", "record.json"):
        (tmp_path / "results" / "pull" / name).touch()
    on_cluster(tmp_path, "ingest")
    assert_nothing_handed(tmp_path)


def test_a_pull_with_credentials_is_not_queued_on_a_cluster(tmp_path: Path) -> None:
    pulling(tmp_path)
    done = on_cluster(tmp_path, "ingest")
    assert done.returncode != 0
    assert f"{CREDENTIALS[0]}" in done.stderr
    assert "run `medvision pull` by itself first" in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert read_calls(tmp_path / "bin") == []


def test_an_old_pull_that_is_due_again_is_not_queued_with_credentials_set(tmp_path: Path) -> None:
    pulling(tmp_path)
    write_command(
        tmp_path / "local",
        "medvision",
        "mkdir -p results/pull && touch results/pull/archive.tsv results/pull/record.json",
    )
    local = with_path(tmp_path / "local")
    options = ("--persistence-backend", "db")  # As the profile has it.
    snakemake(tmp_path, "--cores", "1", "--until", "pull", *options, environment=local)
    pulling(tmp_path, since="2021-01-01")
    done = on_cluster(tmp_path, "ingest")
    assert done.returncode != 0
    assert "step pull is due again" in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert read_calls(tmp_path / "bin") == []
    # What the hint says, after a pull by hand.
    record = str(tmp_path / "results/pull/record.json")
    assert f"medvision cluster run --touch {record}" in done.stderr
    assert on_cluster(tmp_path, "pull", "--touch", record).returncode == 0
    on_cluster(tmp_path, "ingest")
    assert_nothing_handed(tmp_path)


TRACKED = {"train": {"epochs": 1, "mlflow": "https://mlflow.invalid"}, "model": {"weights": "none"}}


@pytest.mark.parametrize("tracked", [True, False])
def test_credentials_of_mlflow_reach_a_training_that_it_shows_alone(
    tmp_path: Path, tracked: bool
) -> None:
    values = {"train": {"epochs": 1}, "model": {"weights": "none"}} | (TRACKED if tracked else {})
    write_config(tmp_path, {**TINY, "pretrain": {}, **values})
    results = tmp_path / "results"
    read = ("preprocess/meta.json", "preprocess/record.json", "cohort/folds.tsv")
    for path in map(results.joinpath, read):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    script = f'echo "$1 ${{{TRACKING_CREDENTIALS[2]}:-none}}" >> {tmp_path}/seen'
    write_command(tmp_path / "bin", "medvision", script)
    environment = {**with_path(tmp_path / "bin"), **dict.fromkeys(TRACKING_CREDENTIALS, TOKEN)}
    target = str(results / "train/scratch/fold-0/record.json")
    options = ("--allowed-rules", "train", "--", target)
    snakemake(tmp_path, "--cores", "1", "--latency-wait", "0", *options, environment=environment)
    seen = (tmp_path / "seen").read_text().splitlines()
    assert seen[0] == f"train {TOKEN if tracked else 'none'}"
    assert f"status {TOKEN}" not in seen


@pytest.mark.parametrize("values", [TRACKED, {}])
def test_no_job_of_a_cluster_is_handed_credentials_of_mlflow(
    tmp_path: Path, values: dict[str, dict[str, object]]
) -> None:
    write_config(tmp_path, {**TINY, "pretrain": {}, "model": {"weights": "none"}, **values})
    done = on_cluster(tmp_path, "train" if values else "phantom", names=TRACKING_CREDENTIALS)
    assert TOKEN not in done.stdout + done.stderr
    if values:
        assert "step train is due, got values" in done.stderr
        assert "~/.mlflow/credentials" in done.stderr
        assert read_calls(tmp_path / "bin") == []
    else:
        assert_nothing_handed(tmp_path)


def test_a_run_that_nobody_leads_is_seen_by_a_leader(tmp_path: Path) -> None:
    write_config(tmp_path, TINY)
    path = tmp_path / "Snakefile"
    path.write_text(
        f"include: '{CHECKOUT / 'Snakefile'}'\nimport fcntl\n"
        "fcntl.flock(open('.snakemake/medvision-lead', 'a'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    )
    done = snakemake(tmp_path, "-n", "--snakefile", str(path))
    assert "BlockingIOError" in done.stdout + done.stderr
