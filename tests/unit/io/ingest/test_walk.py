"""Files are told by their content, folders walked without following links."""

import bz2
import gzip
import io
import lzma
import os
import tarfile

import pytest

from medvision.errors import DataError
from medvision.io.ingest.kind import (
    BZIP2,
    DICOM,
    GZIP,
    NIFTI,
    NIFTI_PAIR,
    TAR,
    XZ,
    ZIP,
    classify_head,
)
from medvision.io.ingest.walk import list_files, walk_files

NIFTI_HEAD = b"\x5c\x01\x00\x00" + bytes(340) + b"n+1\x00" + bytes(4)


def build_tar(*, style=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=style) as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty-file"),
        (bytes(128) + b"DICM" + bytes(20), DICOM),
        (b"\x08\x00\x05\x00CS" + bytes(20), DICOM),
        (b"\x00\x08\x00\x05CS" + bytes(20), DICOM),
        (NIFTI_HEAD, NIFTI),
        (gzip.compress(NIFTI_HEAD, mtime=0), NIFTI),
        (NIFTI_HEAD.replace(b"n+1", b"ni1"), NIFTI_PAIR),
        (gzip.compress(b"text", mtime=0), GZIP),
        (b"\x1f\x8bnot gzip", GZIP),
        (bz2.compress(b"text"), BZIP2),
        (lzma.compress(b"text"), XZ),
        (b"PK\x03\x04" + bytes(64), ZIP),
        (b"PK\x05\x06" + bytes(18), ZIP),
        (build_tar(), TAR),
        (build_tar(style=tarfile.USTAR_FORMAT), TAR),
        (build_tar(style=tarfile.GNU_FORMAT), TAR),
        (build_tar()[:500], "not-an-image"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(64), "archive-not-opened"),
        (b"\xff\xd8\xff\xe0", "other-format"),
        (b"some words", "not-an-image"),
        (bytes(4096), "not-an-image"),
    ],
)
def test_content_tells_the_kind(content, expected):
    assert classify_head(content[:4096]) == expected


def test_folders_are_walked_in_one_order_and_links_to_folders_are_not_followed(tmp_path):
    for name in ("b/z", "b/a", "a", "out/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    assert list_files(tmp_path, without=tmp_path / "out") == ["a", "b/a", "b/z"]
    walked = [item.path for item in walk_files(tmp_path, without=tmp_path / "out")]
    assert walked == ["a", "b/a", "b/z"]


def test_own_output_is_left_out_however_the_folder_is_named(tmp_path):
    (tmp_path / "in" / "out").mkdir(parents=True)
    (tmp_path / "in" / "out" / "x").touch()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    without = tmp_path / "in" / "out"
    assert list_files(tmp_path / "link", without=without) == []


def test_links_to_files_are_files_and_broken_ones_or_pipes_are_none(tmp_path):
    (tmp_path / "real").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = {item.path: item for item in walk_files(tmp_path, without=tmp_path / "out")}
    assert {name for name, item in found.items() if item.is_file} == {"real", "link"}
    assert found["link"].n_bytes == 5
    assert found["broken"].mtime_ns == -1


def test_folder_that_is_missing_is_an_error_of_data(tmp_path):
    with pytest.raises(DataError, match=r"data\.path: must be an existing folder"):
        list_files(tmp_path / "none", without=tmp_path)
