"""No half-written file is ever seen, and a closed or full disk is said in words."""

import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medvision.errors import DataError, StorageError
from medvision.runtime import files
from medvision.runtime.files import (
    PARTIAL_PREFIX,
    disk_faults,
    hash_bytes,
    hash_file,
    link_file,
    read_json,
    storage_faults,
    write_bytes,
    write_json,
    write_text,
    writing,
)

NOBODY = 65534


@contextmanager
def disk_of(n_bytes: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def without_rights() -> Iterator[None]:
    """Act as a user whom permissions bind; root writes everywhere."""
    if os.geteuid() != 0:
        yield
        return
    try:
        os.seteuid(NOBODY)
    except OSError:
        pytest.skip("this container cannot act as another user")
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_is_written_lies_there_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "table.tsv"
    write_bytes(path, b"content")
    assert path.read_bytes() == b"content"
    assert list(path.parent.iterdir()) == [path]


def test_the_temporary_name_ends_as_the_files_does(tmp_path: Path) -> None:
    # Writers such as nibabel choose the format, and gzip the compression, by the suffix.
    with writing(tmp_path / "image.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        assert temporary.name.startswith(PARTIAL_PREFIX)
        assert temporary.parent == tmp_path


def test_the_mode_of_a_file_is_that_of_the_umask(tmp_path: Path) -> None:
    held = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(held)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert os.umask(held) == held


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    write_bytes(path, b"old")

    def fail() -> None:
        with writing(path) as temporary:
            temporary.write_bytes(b"ne")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    write_bytes(path, b"old")
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from medvision.runtime.files import writing\n"
        "with writing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    others = [item.name for item in tmp_path.iterdir() if item != path]
    assert all(name.startswith(PARTIAL_PREFIX) for name in others)


def test_a_full_disk_is_a_storage_error_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npy"
    write_bytes(path, b"old")
    with pytest.raises(StorageError, match="must be writable"), disk_of(4096):
        write_bytes(path, bytes(100_000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_closed_folder_is_a_storage_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with without_rights(), pytest.raises(StorageError, match="may not be written"):
            write_bytes(tmp_path / "a", b"")
    finally:
        tmp_path.chmod(0o755)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file/a", "file/folder/a"])
def test_a_file_where_a_folder_must_be_is_a_storage_error(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="has a file where a folder must be"):
        write_bytes(tmp_path / place, b"")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "has no space left"),
        (errno.EDQUOT, "is over its quota"),
        (errno.EROFS, "is read-only"),
        (errno.EACCES, "may not be written"),
    ],
)
def test_each_fault_of_a_disk_has_its_words(code: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=words) as caught, storage_faults(tmp_path / "a"):
        raise OSError(code, os.strerror(code))
    assert str(tmp_path) in caught.value.message


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.ESTALE])
def test_a_failing_disk_is_a_storage_error_where_no_other_is_used(
    code: int, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="must be writable"), disk_faults(tmp_path / "a"):
        raise OSError(code, os.strerror(code))
    with pytest.raises(FileNotFoundError), disk_faults(tmp_path / "a"):
        (tmp_path / "none").read_bytes()


def test_other_faults_of_the_system_are_not_called_storage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), storage_faults(tmp_path / "a"):
        (tmp_path / "none").read_bytes()


def test_equal_values_give_equal_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": ["ü", None]})
    write_json(tmp_path / "b.json", {"a": ["ü", None], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": ["ü", None], "b": 1}


def test_nan_is_never_written_as_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"auc": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_a_data_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_bytes(content)
    with pytest.raises(DataError, match=r"meta\.json: file must be readable JSON"):
        read_json(tmp_path / "meta.json")


def test_a_missing_json_file_is_a_data_error_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^none\.json: file must be readable JSON"):
        read_json(tmp_path / "none.json")


@pytest.mark.parametrize("n_bytes", [0, 1, files._CHUNK, files._CHUNK + 1])
def test_a_digest_is_the_sha256_of_all_bytes(n_bytes: int, tmp_path: Path) -> None:
    content = os.urandom(n_bytes)
    (tmp_path / "a").write_bytes(content)
    assert hash_file(tmp_path / "a") == hash_bytes(content) == hashlib.sha256(content).hexdigest()


def test_text_is_written_as_given_whatever_the_system(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "ä\r\nb\n")
    assert (tmp_path / "a").read_bytes() == "ä\r\nb\n".encode()


@pytest.mark.parametrize("can_link", [True, False])
def test_a_file_has_a_second_name_or_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_link: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not can_link:
        monkeypatch.setattr(os, "link", refuse)
    source, target = tmp_path / "one", tmp_path / "other"
    source.write_bytes(b"voxels")
    for _ in range(2):
        link_file(source, target)
        assert target.read_bytes() == b"voxels"
        target.unlink() if can_link else target.write_bytes(b"of before")
    left = {"one"} if can_link else {"one", "other"}
    assert {path.name for path in tmp_path.iterdir()} == left
