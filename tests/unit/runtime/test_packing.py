"""A pack that one process writes whole: there or not there, never half."""

import os
import signal
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.errors import StorageError
from medvision.runtime import packing
from medvision.runtime.packing import writing_pack
from medvision.runtime.packs import INDEX, has_file, has_packs, read_file

PACK = "pack-1-of-1.zip"
CONTENTS = {"b.nii.gz": b"two" * 50, "a.nii.gz": b"", "c.nii.gz": bytes(range(256))}


def fill(folder: Path, contents: dict[str, bytes]) -> None:
    with writing_pack(folder) as pack:
        for name, content in contents.items():
            pack.add(name, content)


def read_all(folder: Path, names: dict[str, bytes]) -> dict[str, bytes]:
    return {name: read_file(folder / name) for name in names if has_file(folder / name)}


@given(st.dictionaries(st.from_regex(r"[a-z0-9_-]{1,40}\.nii", fullmatch=True), st.binary()))
def test_what_was_put_in_is_read_by_us_and_by_other_tools(tmp_path_factory, contents) -> None:
    folder = tmp_path_factory.mktemp("pack")
    fill(folder, contents)
    assert sorted(path.name for path in folder.iterdir()) == [PACK, INDEX]
    assert read_all(folder, contents) == contents
    with zipfile.ZipFile(folder / PACK) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == contents


def test_equal_content_has_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        fill(tmp_path / name, CONTENTS)
    for name in (PACK, INDEX):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_nothing_is_seen_before_it_is_whole_nor_after_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with writing_pack(tmp_path) as pack:
            pack.add("a.nii.gz", b"content")
            assert not has_packs(tmp_path)
            assert not has_file(tmp_path / "a.nii.gz")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["build_header", "build_directory", "write_index"])
def test_a_killed_run_leaves_no_pack_to_read(tmp_path: Path, name: str) -> None:
    def die(*_values: object, **_named: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        setattr(packing, name, die)
        fill(tmp_path, CONTENTS)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert not has_packs(tmp_path)
    assert read_all(tmp_path, CONTENTS) == {}
    fill(tmp_path, CONTENTS)
    assert read_all(tmp_path, CONTENTS) == CONTENTS


def test_a_late_second_process_cuts_nothing(tmp_path: Path) -> None:
    """It begins first and ends last; both are whole when they end."""
    late = {**CONTENTS, "d.nii.gz": b"late"}
    with writing_pack(tmp_path) as pack:
        pack.add("d.nii.gz", late["d.nii.gz"])
        fill(tmp_path, CONTENTS)
        assert read_all(tmp_path, CONTENTS) == CONTENTS
        for name, content in CONTENTS.items():
            pack.add(name, content)
        assert read_all(tmp_path, CONTENTS) == CONTENTS
    assert read_all(tmp_path, late) == late


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "masks").write_bytes(b"a file")
    with pytest.raises(StorageError, match="must be writable"):
        fill(tmp_path / "masks", CONTENTS)
