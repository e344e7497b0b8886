"""`medvision fetch` against a server of S3 on loopback, and what ingestion makes of it."""

import errno
import io
import os
import shutil
import tempfile
import traceback
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bucket_server import (
    BUCKET,
    KEY_ID,
    SECRET,
    BucketServer,
    give_credentials,
    hide_credentials,
    needs_bucket,
    run_bucket_server,
)
from click.testing import Result
from dicoms import Plan, make_volume, write_series
from pipeline import call

from medvision.io.tables import read_table

pytestmark = [needs_bucket, pytest.mark.timeout(180)]

# No part of it can come about in a digest, which is hexadecimal.
SUBJECT = "Mueller-K47Z"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    give_credentials(monkeypatch)
    with run_bucket_server() as server:
        yield server


def build_series(folder: Path, *, seed: int = 0) -> dict[str, bytes]:
    """Return the files of a series, under keys that name a person."""
    plan = Plan(
        make_volume((8, 6, 5), seed=seed), study=f"1.2.{seed + 1}", series=f"1.2.{seed + 1}.1"
    )
    paths = write_series(folder / str(seed), plan)
    return {f"chest/{SUBJECT}/{seed}/{path.name}": path.read_bytes() for path in paths}


def fetch(folder: Path, server: BucketServer, *options: str, source: str = "chest") -> Result:
    return call(["fetch", *list_settings(folder, server, source=source), *options])


def list_settings(folder: Path, server: BucketServer, *, source: str = "chest") -> list[str]:
    labels = folder / "labels.csv"
    labels.write_text("subject,label\nP-1,a\n")
    values = {
        "data.kind": "dicom",
        "data.labels": labels,
        "output.path": folder / "out",
        "fetch.source": f"s3://{BUCKET}/{source}",
        "fetch.endpoint": server.url,
    }
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def list_fetched(folder: Path) -> dict[str, bytes]:
    root = folder / "out" / "fetch" / "archive"
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def list_states(folder: Path) -> list[tuple[str, str]]:
    rows = read_table(folder / "out" / "fetch" / "objects.tsv")
    return sorted((row["state"], row["reason"]) for row in rows)


def test_all_objects_below_the_prefix_are_fetched_byte_for_byte(
    tmp_path: Path, server: BucketServer
) -> None:
    files = build_series(tmp_path)
    server.stock({**files, "chest/": b"", "chestnut/other": b"x"})
    result = fetch(tmp_path, server)
    assert result.exit_code == 0, result.output
    assert list_fetched(tmp_path) == {
        key.removeprefix("chest/"): content for key, content in files.items()
    }
    assert list_states(tmp_path) == [("complete", "")] * 5


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("step", ["mkstemp", "unlink"])
def test_a_fault_of_the_disk_tells_no_key(
    code: int, step: str, tmp_path: Path, server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stock({**build_series(tmp_path), f"chest/{SUBJECT}/gone": b"x"})
    assert step == "mkstemp" or fetch(tmp_path, server).exit_code == 0
    server.open_client().delete_object(Bucket=BUCKET, Key=f"chest/{SUBJECT}/gone")  # type: ignore[attr-defined]
    path = tmp_path / "out" / "fetch" / "archive" / SUBJECT / "gone"

    place = tempfile if step == "mkstemp" else Path
    kept = getattr(place, step)

    def fail(*words: object, **more: object) -> object:
        if SUBJECT in str(more.get("dir", words)):
            raise OSError(code, os.strerror(code), str(path))
        return kept(*words, **more)

    monkeypatch.setattr(place, step, fail)
    result = fetch(tmp_path, server, "--prune")
    monkeypatch.undo()
    assert result.exit_code == 11, result.output
    assert result.exc_info is not None
    for text in (result.output, "".join(traceback.format_exception(*result.exc_info))):
        assert SUBJECT not in text


@pytest.mark.parametrize(("before", "after"), [("x/1", "x"), ("x", "x/1"), ("x/y/1", "x")])
@pytest.mark.parametrize("has_pruned", [False, True])
def test_a_key_that_turns_from_file_to_folder_blocks_itself_alone(
    *, before: str, after: str, has_pruned: bool, tmp_path: Path, server: BucketServer
) -> None:
    server.stock({f"chest/{before}": b"old", "chest/z": b"z"})
    fetch(tmp_path, server)
    client = server.open_client()
    client.delete_object(Bucket=BUCKET, Key=f"chest/{before}")  # type: ignore[attr-defined]
    if has_pruned:
        assert fetch(tmp_path, server, "--prune").exit_code == 0
    for key in (after, "other"):
        client.put_object(Bucket=BUCKET, Key=f"chest/{key}", Body=b"new")  # type: ignore[attr-defined]
    result = fetch(tmp_path, server)
    if not has_pruned:
        assert result.exit_code == 3
        assert "(blocked 1)" in result.output
        assert "medvision fetch --prune" in result.output
        assert list_fetched(tmp_path) == {before: b"old", "other": b"new", "z": b"z"}
        result = fetch(tmp_path, server, "--prune")
    assert result.exit_code == 0, result.output
    assert list_fetched(tmp_path) == {after: b"new", "other": b"new", "z": b"z"}


def test_an_empty_listing_prunes_nothing(tmp_path: Path, server: BucketServer) -> None:
    server.stock({"chest/a": b"one"})
    fetch(tmp_path, server)
    result = fetch(tmp_path, server, "--prune", source="head")
    assert "at least one object must lie below the prefix" in result.output
    assert list_fetched(tmp_path) == {"a": b"one"}


@pytest.mark.slow
def test_more_objects_than_a_page_of_a_listing_holds_are_fetched(
    tmp_path: Path, server: BucketServer
) -> None:
    server.stock({f"chest/{n:04}": b"%d" % n for n in range(1005)})
    assert fetch(tmp_path, server).exit_code == 0
    assert len(list_fetched(tmp_path)) == 1005


def test_a_second_fetch_asks_for_no_object_again(tmp_path: Path, server: BucketServer) -> None:
    server.stock(build_series(tmp_path))
    fetch(tmp_path, server)
    listing = (tmp_path / "out" / "fetch" / "archive.tsv").read_bytes()
    server.asked.clear()
    result = fetch(tmp_path, server)
    assert "0 of them new" in result.output
    assert server.count("GET") == 1
    assert (tmp_path / "out" / "fetch" / "archive.tsv").read_bytes() == listing


def test_an_object_that_changed_is_fetched_again(tmp_path: Path, server: BucketServer) -> None:
    server.stock({"chest/a": b"one", "chest/b": b"two"})
    fetch(tmp_path, server)
    server.open_client().put_object(Bucket=BUCKET, Key="chest/a", Body=b"new")  # type: ignore[attr-defined]
    assert "1 of them new" in fetch(tmp_path, server).output
    assert list_fetched(tmp_path) == {"a": b"new", "b": b"two"}


def test_neither_names_nor_secrets_are_told(
    tmp_path: Path, server: BucketServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="medvision")
    server.stock({**build_series(tmp_path), f"chest/{SUBJECT}/gone": b"x"})
    server.faults["/gone"] = "NoSuchKey"
    told = fetch(tmp_path, server).output
    server.faults.clear()
    told += fetch(tmp_path, server).output + caplog.text
    kept = [path for path in (tmp_path / "out" / "fetch").glob("*") if path.is_file()]
    assert {path.name for path in kept} == {
        *("archive.tsv", "objects.tsv", "ledger.tsv", "record.json")
    }
    for text in (told, *(path.read_text() for path in kept)):
        for secret in (SUBJECT, "K47Z", KEY_ID, SECRET, BUCKET):
            assert secret not in text
    archive = tmp_path / "out" / "fetch" / "archive"
    # What lies below a folder that is shut is shut.
    files = [path for path in archive.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o077 for path in [archive, *files]} == {0}


def test_what_was_fetched_is_ingested_and_its_digests_are_held_against_it(
    tmp_path: Path, server: BucketServer
) -> None:
    server.stock(build_series(tmp_path))
    settings = list_settings(tmp_path, server)
    assert call(["ingest", *settings]).exit_code == 12
    fetch(tmp_path, server)
    result = call(["ingest", *settings])
    assert result.exit_code == 0, result.output
    (one, *_) = (tmp_path / "out" / "fetch" / "archive").rglob("*-000")
    one.write_bytes(one.read_bytes()[:-2] + b"\1\1")
    assert "files must be as the step fetch wrote them" in call(["ingest", *settings]).output
    # What the message says to do mends it.
    assert "1 of them new" in fetch(tmp_path, server).output
    assert call(["ingest", *settings]).exit_code == 0


def test_another_key_asks_for_another_fetch(tmp_path: Path, server: BucketServer) -> None:
    server.stock(build_series(tmp_path))
    fetch(tmp_path, server)
    key = tmp_path / "other.key"
    key.write_text("0f" * 32)
    key.chmod(0o600)
    other = ["--set", f"ingest.key={key}"]
    settings = [*list_settings(tmp_path, server), *other]
    result = call(["ingest", *settings])
    assert result.exit_code == 12, result.output
    assert "key must be the one of the step fetch" in result.output
    assert fetch(tmp_path, server, *other).exit_code == 0
    assert call(["ingest", *settings]).exit_code == 0


def test_an_archive_in_a_bucket_is_read_as_it_is(tmp_path: Path, server: BucketServer) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for key, content in build_series(tmp_path).items():
            archive.writestr(key, content)
    server.stock({"chest/all.zip": packed.getvalue(), **build_series(tmp_path, seed=1)})
    fetch(tmp_path, server)
    settings = list_settings(tmp_path, server)
    result = call(["ingest", *settings])
    assert result.exit_code == 0, result.output
    assert "2 images of 1 subjects from 11 files" in result.output
    shutil.copy(
        tmp_path / "out" / "fetch" / "archive" / "all.zip",
        tmp_path / "out" / "fetch" / "archive" / "more.zip",
    )
    assert "files must be as the step fetch wrote them" in call(["ingest", *settings]).output


def test_a_missing_bucket_is_told_and_not_made(tmp_path: Path, server: BucketServer) -> None:
    result = fetch(tmp_path, server)
    assert result.exit_code == 3
    assert "fetch.source: bucket must exist at this server, got NoSuchBucket" in result.output
    assert server.count("PUT") == 0


def test_an_empty_prefix_is_told(tmp_path: Path, server: BucketServer) -> None:
    server.stock({"chest/a": b"one"})
    result = fetch(tmp_path, server, source="head")
    assert result.exit_code == 3
    assert "at least one object must lie below the prefix" in result.output


def test_no_credentials_are_told(
    tmp_path: Path, server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stock({"chest/a": b"one"})
    hide_credentials(monkeypatch)
    result = fetch(tmp_path, server)
    assert result.exit_code == 2
    assert "credentials for the bucket must be given, got NoCredentialsError" in result.output


def test_credentials_that_the_server_refuses_are_told(tmp_path: Path, server: BucketServer) -> None:
    server.faults["/hospital"] = "InvalidAccessKeyId"
    result = fetch(tmp_path, server)
    assert result.exit_code == 3
    assert "access must be allowed, got InvalidAccessKeyId" in result.output
    assert KEY_ID not in result.output


def test_a_server_that_is_gone_is_told(
    tmp_path: Path, server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    server.url = "http://127.0.0.1:9"
    result = fetch(tmp_path, server)
    assert result.exit_code == 3
    assert "the server must answer, got EndpointConnectionError" in result.output


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("NoSuchKey", "vanished"),
        ("PreconditionFailed", "changed"),
        ("AccessDenied", "refused"),
        ("InvalidObjectState", "in-cold-storage"),
        ("truncate", "sent-fewer"),
        ("flip", "wrong-checksum"),
    ],
)
def test_an_object_that_does_not_come_whole_stops_the_run_and_is_made_up_for(
    fault: str, reason: str, tmp_path: Path, server: BucketServer
) -> None:
    server.stock({"chest/a": b"one" * 1000, "chest/b": b"two"})
    server.faults["/a"] = fault
    result = fetch(tmp_path, server)
    assert result.exit_code == 3
    assert f"every object must come whole, got 1 that did not ({reason} 1)" in result.output
    assert list_states(tmp_path) == [("complete", ""), ("missing", reason)]
    assert list_fetched(tmp_path) == {"b": b"two"}
    assert not (tmp_path / "out" / "fetch" / "record.json").exists()
    server.faults.clear()
    assert "1 of them new" in fetch(tmp_path, server).output
    assert list_fetched(tmp_path)["a"] == b"one" * 1000


def test_keys_that_are_no_path_are_refused(tmp_path: Path, server: BucketServer) -> None:
    long = f"chest/{'long' * 70}"
    server.stock({"chest/a": b"1", "chest/a/b": b"2", "chest/c\\d": b"3", long: b"4"})
    # A marker of a folder has no bytes; this is an object.
    server.stock({"chest/e/": b"5", "chest/f/": b""})
    result = fetch(tmp_path, server)
    assert "(bad-name 4)" in result.output
    assert list_fetched(tmp_path) == {"a/b": b"2"}


def test_no_key_leads_out_of_the_folder(tmp_path: Path) -> None:
    from medvision.io.bucket.fetch import _is_name

    for name in ("../a", "/a", "a/../../b", "./a", "a\\b", "a\0b", "", ".part-a", "a//b", "a\nb"):
        assert not _is_name(name)
    assert _is_name("Müller, Anna/1.2.3 (CT)/im.dcm")


def test_what_the_bucket_lost_since_stops_the_run_until_it_is_pruned(
    tmp_path: Path, server: BucketServer
) -> None:
    server.stock({"chest/a": b"one", "chest/b": b"two"})
    fetch(tmp_path, server)
    server.open_client().delete_object(Bucket=BUCKET, Key="chest/b")  # type: ignore[attr-defined]
    result = fetch(tmp_path, server)
    assert result.exit_code == 3
    assert "got 1 other files" in result.output
    assert fetch(tmp_path, server, "--prune").exit_code == 0
    assert list_fetched(tmp_path) == {"a": b"one"}


def test_without_boto3_the_extra_is_named(
    tmp_path: Path, server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "boto3.session", None)
    result = fetch(tmp_path, server)
    assert result.exit_code == 2
    assert "pip install 'medvision[s3]'" in result.output
