"""`medvision publish` against a server of S3 on loopback: all of a sealed bundle, nothing over."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bucket_server import (
    BUCKET,
    SECRET,
    BucketServer,
    give_credentials,
    hide_credentials,
    needs_bucket,
    run_bucket_server,
)
from click.testing import Result
from pipeline import call

from medvision.runtime.files import read_json

pytestmark = [needs_bucket, pytest.mark.slow]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    give_credentials(monkeypatch)
    with run_bucket_server() as server:
        server.stock({"others/file": b"theirs"})
        yield server


@pytest.fixture
def results(tiny_study: Path, tmp_path: Path) -> Path:
    """A sealed study of one's own: its bundle, and the record of the seal."""
    shutil.copytree(tiny_study / "audit", tmp_path / "results" / "audit")
    return tmp_path / "results"


def publish(results: Path, server: BucketServer, *options: str) -> Result:
    values = {
        "output.path": results,
        "publish.target": f"s3://{BUCKET}/results/",
        "publish.endpoint": server.url,
    }
    settings = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    return call(["publish", *settings, *options])


def read_root(results: Path) -> str:
    record = read_json(results / "audit" / "record.json")
    return record["facts"]["root_digest"]  # type: ignore[index, call-overload, return-value]


def download(server: BucketServer, prefix: str, folder: Path) -> Path:
    client = server.open_client()
    for key in server.list_keys(prefix):
        path = folder / key.removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(BUCKET, key, str(path))  # type: ignore[attr-defined]
    return folder


def test_the_bundle_that_was_published_verifies(
    results: Path, server: BucketServer, tmp_path: Path
) -> None:
    result = publish(results, server)
    assert result.exit_code == 0, result.output
    root = read_root(results)
    assert f"s3://{BUCKET}/results/{root}" in result.output
    got = download(server, f"results/{root}/", tmp_path / "got")
    verified = call(["audit", "verify", str(got)])
    assert verified.exit_code == 0, verified.output
    assert root in verified.output
    # A folder that has its manifest has all.
    puts = [path for how, path in server.asked if how == "PUT" and root in path]
    assert puts[-1].endswith("/manifest.json")
    record = read_json(results / "publish" / "record.json")
    assert record["facts"]["root_digest"] == root  # type: ignore[index, call-overload]
    assert SECRET not in (results / "publish" / "record.json").read_text() + result.output


def test_a_publication_that_was_interrupted_goes_on(results: Path, server: BucketServer) -> None:
    server.faults["/config.json"] = "AccessDenied"
    result = publish(results, server)
    assert result.exit_code == 11
    assert "publish.target: access must be allowed, got AccessDenied" in result.output
    root = read_root(results)
    assert f"results/{root}/manifest.json" not in server.list_keys()
    assert not (results / "publish" / "record.json").exists()
    server.faults.clear()
    n_held = len(server.list_keys(f"results/{root}/"))
    assert f"{n_held} there already" in publish(results, server).output
    again = publish(results, server)
    assert "publish: 0 files sent" in again.output


def test_nothing_is_overwritten(results: Path, server: BucketServer) -> None:
    key = f"results/{read_root(results)}/config.json"
    server.open_client().put_object(Bucket=BUCKET, Key=key, Body=b"theirs")  # type: ignore[attr-defined]
    result = publish(results, server)
    assert result.exit_code == 11
    assert "must be free or hold this bundle, got another file" in result.output
    got = server.open_client().get_object(Bucket=BUCKET, Key=key)  # type: ignore[attr-defined]
    assert got["Body"].read() == b"theirs"
    assert server.count("PUT", "/manifest.json") == 0


def test_what_came_since_the_listing_is_not_overwritten(
    results: Path, server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"results/{read_root(results)}/config.json"
    server.open_client().put_object(Bucket=BUCKET, Key=key, Body=b"theirs")  # type: ignore[attr-defined]
    monkeypatch.setattr("medvision.io.bucket.publish._list_held", lambda *_: {})
    result = publish(results, server)
    assert result.exit_code == 11
    assert "must be free or hold this bundle, got another file" in result.output
    got = server.open_client().get_object(Bucket=BUCKET, Key=key)  # type: ignore[attr-defined]
    assert got["Body"].read() == b"theirs"


def test_a_place_with_other_files_is_refused(results: Path, server: BucketServer) -> None:
    key = f"results/{read_root(results)}/notes.txt"
    server.open_client().put_object(Bucket=BUCKET, Key=key, Body=b"theirs")  # type: ignore[attr-defined]
    assert "got 1 further objects" in publish(results, server).output


def test_a_bundle_that_was_changed_is_not_published(results: Path, server: BucketServer) -> None:
    (results / "audit" / "bundle" / "config.json").write_text("{}")
    result = publish(results, server)
    assert result.exit_code == 10
    assert "bundle must be as it was sealed" in result.output
    assert server.list_keys() == ["others/file"]


def test_a_bundle_of_another_seal_is_not_published(results: Path, server: BucketServer) -> None:
    path = results / "audit" / "record.json"
    path.write_text(path.read_text().replace(read_root(results), "0" * 64))
    assert "bundle must be as it was sealed" in publish(results, server).output


def test_a_missing_bucket_is_told_and_not_made(results: Path, server: BucketServer) -> None:
    result = publish(results, server, "--set", "publish.target=s3://nobody-has-it")
    assert result.exit_code == 11
    assert "bucket must exist at this server" in result.output


def test_no_credentials_are_told(
    results: Path, server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_credentials(monkeypatch)
    result = publish(results, server)
    assert result.exit_code == 2
    assert "credentials for the bucket must be given" in result.output


def test_a_study_that_is_not_sealed_is_not_published(tmp_path: Path, server: BucketServer) -> None:
    result = publish(tmp_path / "empty", server)
    assert result.exit_code == 12
    assert "step audit must be complete" in result.output
