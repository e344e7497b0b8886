"""Files are told by their content, folders walked without following links."""

import gzip

import pytest

from medvision.errors import DataError
from medvision.io.ingest.walk import DICOM, NIFTI, classify_file, list_files

NIFTI_HEAD = b"\x5c\x01\x00\x00" + bytes(340) + b"n+1\x00" + bytes(4)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty-file"),
        (bytes(128) + b"DICM" + bytes(20), DICOM),
        (b"\x08\x00\x05\x00CS" + bytes(20), DICOM),
        (b"\x00\x08\x00\x05CS" + bytes(20), DICOM),
        (NIFTI_HEAD, NIFTI),
        (gzip.compress(NIFTI_HEAD, mtime=0), NIFTI),
        (NIFTI_HEAD.replace(b"n+1", b"ni1"), "analyze-not-supported"),
        (gzip.compress(b"text", mtime=0), "archive-not-opened"),
        (b"\x1f\x8bnot gzip", "archive-not-opened"),
        (b"\xff\xd8\xff\xe0", "other-format"),
        (b"some words", "not-an-image"),
        (bytes(400), "not-an-image"),
    ],
)
def test_content_tells_the_kind(tmp_path, content, expected):
    (tmp_path / "x.dcm").write_bytes(content)
    assert classify_file(tmp_path / "x.dcm") == expected


def test_folders_are_walked_in_one_order_and_links_to_folders_are_not_followed(tmp_path):
    for name in ("b/z", "b/a", "a", "out/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    assert list_files(tmp_path, without=tmp_path / "out") == ["a", "b/a", "b/z"]


def test_folder_that_is_missing_is_an_error_of_data(tmp_path):
    with pytest.raises(DataError, match=r"data\.path: must be an existing folder"):
        list_files(tmp_path / "none", without=tmp_path)
