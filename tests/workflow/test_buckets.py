"""Buckets in the workflow: fetched before ingestion, published after the seal; who gets secrets."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from bucket_server import (
    BUCKET,
    KEY_ID,
    SECRET,
    BucketServer,
    give_credentials,
    needs_bucket,
    run_bucket_server,
)
from canaries import WORD
from dicoms import Plan, make_volume, write_series
from fake_slurm import read_calls, with_path, write_command, write_refusing_cluster
from pipeline import TINY, write_config

from medvision.config.bucket import BUCKET_CREDENTIALS
from medvision.config.pacs import CREDENTIALS

CHECKOUT = Path(__file__).parents[2]
Done = subprocess.CompletedProcess[str]


def snakemake(folder: Path, *options: str, environment: Mapping[str, str] = os.environ) -> Done:
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile")),
        *("--directory", str(folder), "--configfile", str(folder / "config.yaml"), *options),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def write_study(folder: Path, *, url: str = "http://127.0.0.1:9", **sections: object) -> None:
    """Configure a study that is fetched from a bucket, and published where a section says so."""
    (folder / "labels.csv").write_text("subject,label\n")
    fetch = {"source": f"s3://{BUCKET}/chest", "endpoint": url}
    data = {"kind": "dicom", "labels": "labels.csv"}
    ingest = {"workers": 1, "shards": 2}
    write_config(
        folder,
        {**TINY, "data": data, "phantom": {}, "ingest": ingest, "fetch": fetch, **sections},  # type: ignore[dict-item]
    )


def with_credentials(folder: Path) -> dict[str, str]:
    return {**with_path(folder / "bin"), **dict.fromkeys(BUCKET_CREDENTIALS, SECRET)}


def test_both_steps_are_there_where_they_are_asked_for(tmp_path: Path) -> None:
    write_study(tmp_path, publish={"target": f"s3://{BUCKET}/results"})
    done = snakemake(tmp_path, "-n")
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = dict(re.findall(r"^ *(\w+) +(\d+) *$", done.stdout + done.stderr, re.M))
    assert (jobs["fetch"], jobs["publish"]) == ("1", "1")
    write_config(tmp_path, TINY)
    plain = snakemake(tmp_path, "-n")
    assert not re.search(r"^(fetch|publish) ", plain.stdout + plain.stderr, re.M)


def test_credentials_reach_the_fetch_and_no_other_command(tmp_path: Path) -> None:
    write_study(tmp_path)
    write_command(
        tmp_path / "bin",
        "medvision",
        f"""\
        echo "$1 ${{AWS_SECRET_ACCESS_KEY:-none}}" >> {tmp_path}/seen
        mkdir -p results/fetch
        cd results/fetch
        [ "$1" != fetch ] || touch objects.tsv archive.tsv record.json
        """,
    )
    environment = with_credentials(tmp_path)
    snakemake(tmp_path, "--cores", "1", "--until", "ingest", environment=environment)
    seen = (tmp_path / "seen").read_text().splitlines()
    assert seen[0] == f"fetch {SECRET}"
    assert "ingest none" in seen
    assert [line for line in seen if SECRET in line] == seen[:1]


def test_no_step_gets_the_credentials_of_the_other_kind(tmp_path: Path) -> None:
    """One process hands both on, where a study pulls and publishes."""
    pacs = {"protocol": "dicomweb", "url": "https://pacs.invalid", "since": "2020-01-01"}
    data = {"kind": "dicom", "labels": "labels.csv"}
    publish = {"target": f"s3://{BUCKET}/results"}
    (tmp_path / "labels.csv").write_text("subject,label\n")
    config = {**TINY, "data": data, "phantom": {}, "pacs": pacs, "publish": publish}
    write_config(tmp_path, config)  # type: ignore[arg-type]
    results = tmp_path / "results"
    for path in ("audit/bundle/manifest.json", "audit/record.json"):
        (results / path).parent.mkdir(parents=True, exist_ok=True)
        (results / path).touch()
    write_command(
        tmp_path / "bin",
        "medvision",
        f"""\
        echo "$1 $(env | grep -cE '^({"|".join(CREDENTIALS)})=')" \\
          "$(env | grep -cE '^({"|".join(BUCKET_CREDENTIALS)})=')" >> {tmp_path}/seen
        mkdir -p results/$1 && touch results/$1/archive.tsv results/$1/record.json
        """,
    )
    environment = {**with_credentials(tmp_path), **dict.fromkeys(CREDENTIALS, SECRET)}
    targets = [str(results / step / "record.json") for step in ("pull", "publish")]
    options = ("--cores", "1", *targets, "--allowed-rules", "pull", "publish")
    done = snakemake(tmp_path, *options, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = (tmp_path / "seen").read_text().splitlines()
    assert {"pull 3 0", "publish 0 4"} <= set(seen)


def test_the_table_of_objects_outlasts_a_fetch_that_failed(tmp_path: Path) -> None:
    """The message says to read it."""
    write_study(tmp_path)
    # The state of the run is told in the end, by the same command.
    fetch = "mkdir -p results/fetch && touch results/fetch/objects.tsv && exit 3"
    write_command(tmp_path / "bin", "medvision", f'[ "$1" != fetch ] || {{ {fetch}; }}')
    options = ("--cores", "1", "--until", "fetch", "--retries", "0")
    done = snakemake(tmp_path, *options, environment=with_credentials(tmp_path))
    assert done.returncode != 0
    assert (tmp_path / "results" / "fetch" / "objects.tsv").is_file()


@pytest.mark.parametrize("step", ["fetch", "publish"])
def test_what_needs_the_environments_credentials_is_not_queued_on_a_cluster(
    step: str, tmp_path: Path
) -> None:
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the extra `cluster` is missing")
    write_refusing_cluster(tmp_path / "bin")
    if step == "fetch":
        write_study(tmp_path)
    else:
        write_config(tmp_path, {**TINY, "publish": {"target": f"s3://{BUCKET}/results"}})
    options = ("--workflow-profile", str(CHECKOUT / "workflow/profiles/slurm"), "--retries", "0")
    done = snakemake(tmp_path, *options, environment=with_credentials(tmp_path))
    assert done.returncode != 0
    assert f"step {step} is not done" in done.stderr
    assert f"`medvision {step}`" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert read_calls(tmp_path / "bin") == []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    give_credentials(monkeypatch)
    with run_bucket_server() as server:
        yield server


@needs_bucket
@pytest.mark.slow
def test_a_study_is_fetched_and_ingested_and_no_key_is_told(
    tmp_path: Path, server: BucketServer
) -> None:
    plan = Plan(make_volume(), subject=WORD)
    paths = write_series(tmp_path / "scans", plan)
    server.stock({f"chest/{WORD}/{path.name}": path.read_bytes() for path in paths})
    write_study(tmp_path, url=server.url)
    options = ("--cores", "2", "--until", "ingest", "--persistence-backend", "db")
    done = snakemake(tmp_path, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results" / "ingest" / "record.json").is_file()
    places = [tmp_path / ".snakemake", tmp_path / "results" / "logs"]
    kept = [path for place in places for path in place.rglob("*") if path.is_file()]
    for content in (*(path.read_bytes() for path in kept), (done.stdout + done.stderr).encode()):
        for secret in (WORD, SECRET, KEY_ID):
            assert secret.encode() not in content
    again = snakemake(tmp_path, *options)
    assert re.search(r"^total +0$", again.stdout + again.stderr, re.M)


@needs_bucket
@pytest.mark.slow
def test_a_sealed_bundle_is_published_by_its_rule(
    tmp_path: Path, tiny_study: Path, server: BucketServer
) -> None:
    server.stock({})
    shutil.copytree(tiny_study / "audit", tmp_path / "results" / "audit")
    publish = {"target": f"s3://{BUCKET}/results", "endpoint": server.url}
    write_config(tmp_path, {**TINY, "publish": publish})
    record = str(tmp_path / "results" / "publish" / "record.json")
    done = snakemake(tmp_path, "--cores", "1", record, "--allowed-rules", "publish")
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(key.endswith("/manifest.json") for key in server.list_keys("results/"))
