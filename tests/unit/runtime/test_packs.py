"""A member of a pack is read as a file by itself is; whatever is damaged is said, never used."""

import hashlib
import io
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packing import build_pack, write_pack

from medvision.errors import DataError, StaleOutputError
from medvision.io.nifti.planes import open_planes
from medvision.io.nifti.read import read_nifti
from medvision.io.nifti.write import write_nifti
from medvision.runtime.files import hash_file, read_json
from medvision.runtime.packs import (
    INDEX,
    copy_file,
    count_bytes,
    find_member,
    has_file,
    is_pack,
    name_pack,
    open_file,
    read_file,
    say_remedy,
    write_index,
)
from medvision.runtime.zipped import Entry, build_directory, build_header

CONTENTS = {"a.nii.gz": b"one" * 100, "a.json": b'{"x": 1}\n', "empty.json": b""}


@given(
    st.dictionaries(st.from_regex(r"[a-z0-9_-]{1,40}\.json", fullmatch=True), st.binary()),
    st.integers(0, 9),
)
def test_any_pack_is_a_zip_that_other_tools_read(contents: dict[str, bytes], gap: int) -> None:
    with zipfile.ZipFile(io.BytesIO(build_pack(contents, gap=gap)[0])) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == contents


class Sparse(io.RawIOBase):
    """A file that is zeros but for a few pieces: packs larger than a disk."""

    def __init__(self, pieces: dict[int, bytes], n_bytes: int) -> None:
        self._pieces, self._n_bytes, self._at = pieces, n_bytes, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = {0: 0, 1: self._at, 2: self._n_bytes}[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        size = max(0, self._n_bytes - self._at) if size < 0 else size
        held = bytearray(size)
        for start, piece in self._pieces.items():
            low, high = max(start, self._at), min(start + len(piece), self._at + size)
            if low < high:
                held[low - self._at : high - self._at] = piece[low - start : high - start]
        self._at += size
        return bytes(held)


def test_members_and_packs_of_more_than_4_gib_are_read_by_other_tools() -> None:
    entries = [Entry("large.nii", 0, 5 << 30, 7)]
    entries.append(Entry("late.json", entries[0].end, 3, zlib.crc32(b"abc")))
    end = entries[1].end
    directory = b"".join(build_directory(entries, start=end))
    pieces = {entry.offset: build_header(entry) for entry in entries}
    pieces |= {entries[1].start: b"abc", end: directory}
    with zipfile.ZipFile(Sparse(pieces, end + len(directory))) as archive:
        large, late = archive.infolist()
        assert (large.file_size, late.header_offset) == (5 << 30, entries[1].offset)
        assert archive.read("late.json") == b"abc"


def test_more_members_than_an_old_zip_counts_are_listed() -> None:
    contents = {f"{n}.json": b"" for n in range(70_000)}
    with zipfile.ZipFile(io.BytesIO(build_pack(contents)[0])) as archive:
        assert len(archive.namelist()) == 70_000


def test_a_member_is_read_as_a_file_is(tmp_path: Path) -> None:
    write_pack(tmp_path, CONTENTS)
    for name, content in CONTENTS.items():
        path = tmp_path / name
        assert has_file(path)
        assert read_file(path) == content
        assert count_bytes(path) == len(content)
        assert hash_file(path) == hashlib.sha256(content).hexdigest()
        copy_file(path, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == content
    assert read_json(tmp_path / "a.json") == {"x": 1}


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.integers(0, 400)), max_size=6))
def test_a_member_is_sought_as_bytes_in_memory_are(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("sought")
    write_pack(folder, CONTENTS)
    plain = io.BytesIO(CONTENTS["a.nii.gz"])
    with open_file(folder / "a.nii.gz") as stream:
        for whence, distance in moves:
            offset = -min(distance, 300) if whence == 2 else distance
            assert stream.seek(offset, whence) == plain.seek(offset, whence)
            assert stream.read(50) == plain.read(50)
            assert stream.tell() == plain.tell()


def test_a_file_by_itself_comes_before_a_member(tmp_path: Path) -> None:
    write_pack(tmp_path, CONTENTS)
    (tmp_path / "a.json").write_bytes(b"[]")
    assert read_json(tmp_path / "a.json") == []


def test_a_name_that_nobody_knows_is_no_file(tmp_path: Path) -> None:
    for _ in range(2):
        assert not has_file(tmp_path / "b.json")
        with pytest.raises(FileNotFoundError, match=r"b\.json"):
            open_file(tmp_path / "b.json")
        with pytest.raises(DataError, match=r"b\.json: file must be readable JSON"):
            read_json(tmp_path / "b.json")
        write_pack(tmp_path, CONTENTS)


def test_planes_of_a_packed_image_come_as_from_a_file(tmp_path: Path) -> None:
    volume = np.arange(7 * 6 * 5, dtype=np.int16).reshape(7, 6, 5)
    for name in ("x.nii.gz", "y.nii"):
        compression = "fast" if name.endswith("gz") else "none"
        affine = np.diag([2.0, 2, 3, 1])
        path = tmp_path / "files" / name
        write_nifti(path, volume, affine=affine, is_placed=True, compression=compression)
    held = {path.name: path.read_bytes() for path in (tmp_path / "files").iterdir()}
    write_pack(tmp_path / "packed", held)
    for name in held:
        own, other = tmp_path / "files" / name, tmp_path / "packed" / name
        a, b = read_nifti(own), read_nifti(other)
        np.testing.assert_array_equal(a.array, b.array)
        assert a.digest == b.digest
        planes = [open_planes(path) for path in (own, other)]
        assert planes[0] is not None
        assert planes[1] is not None
        for one, two in zip(planes[0].read(), planes[1].read(), strict=True):
            np.testing.assert_array_equal(one, two)
    with open_file(tmp_path / "packed" / "y.nii") as stream:
        image = nibabel.Nifti1Image.from_stream(stream)
        np.testing.assert_array_equal(np.asarray(image.dataobj[..., 2]), volume[..., 2])


def test_many_read_at_once(tmp_path: Path) -> None:
    contents = {f"{n}.json": bytes([n]) * (1000 + n) for n in range(40)}
    write_pack(tmp_path, contents)
    paths = [tmp_path / name for name in contents] * 5
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read_file, paths)) == list(contents.values()) * 5


# Damage.


@pytest.mark.parametrize("damage", [b"", b"no database at all", b"SQLite format 3\0" + bytes(500)])
def test_an_index_that_is_none_is_said_to_be_so(tmp_path: Path, damage: bytes) -> None:
    write_pack(tmp_path, CONTENTS)
    (tmp_path / INDEX).write_bytes(damage)
    with pytest.raises(StaleOutputError, match="must be a whole index of packs") as caught:
        has_file(tmp_path / "a.json")
    assert "run the step ingest again" in caught.value.hint


def test_an_index_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    write_pack(tmp_path / "images", CONTENTS)
    (tmp_path / "secret.zip").write_bytes(build_pack(CONTENTS)[0])
    (tmp_path / "images" / INDEX).unlink()
    write_index(tmp_path / "images" / INDEX, [("a.json", "../secret.zip", 0, 8, 0)])
    with pytest.raises(StaleOutputError, match="whole index"):
        read_file(tmp_path / "images" / "a.json")


@pytest.mark.parametrize(
    "place",
    [
        (-1, 8, 0),
        (1 << 62, 8, 0),
        ((1 << 63) - 1, (1 << 63) - 1, 0),
        ("far", 8, 0),
        (1.5, 8, 0),
        (b"0", 8, 0),
        (0, -1, 0),
        (0, "many", 0),
        (0, 8, -1),
        (0, 8, 1 << 32),
        (0, 8, "none"),
    ],
)
def test_an_index_with_an_impossible_place_is_refused(
    tmp_path: Path, place: tuple[int, int, int]
) -> None:
    write_pack(tmp_path, CONTENTS)
    (tmp_path / INDEX).unlink()
    write_index(tmp_path / INDEX, [("a.json", name_pack("1-of-2"), *place)])
    with pytest.raises(StaleOutputError) as caught:
        read_file(tmp_path / "a.json")
    assert "run the step ingest again" in caught.value.hint


def test_an_index_may_name_nothing_that_is_no_text(tmp_path: Path) -> None:
    write_pack(tmp_path, CONTENTS)
    (tmp_path / INDEX).unlink()
    write_index(tmp_path / INDEX, [("a.json", b"pack-1-of-2.zip", 0, 8, 0)])  # type: ignore[list-item]
    write_index(tmp_path / "other", [("\u00e4.json", name_pack("1-of-2"), 0, 8, 0)])
    with pytest.raises(StaleOutputError, match="whole index"):
        read_file(tmp_path / "a.json")
    (tmp_path / "other").replace(tmp_path / INDEX)
    with pytest.raises(StaleOutputError, match="whole index"):
        read_file(tmp_path / "\u00e4.json")


@pytest.mark.parametrize("damage", ["cut", "header", "other"])
def test_a_pack_without_the_member_in_its_place_is_refused(tmp_path: Path, damage: str) -> None:
    pack = write_pack(tmp_path, CONTENTS)
    member = find_member(tmp_path / "a.json")
    assert member is not None
    content = bytearray(pack.read_bytes())
    if damage == "cut":
        del content[member.entry.end - 1 :]
    elif damage == "header":
        content[member.entry.offset + 15] ^= 1
    else:
        content = bytearray(build_pack({"b.json": b"?" * 500})[0])
    pack.write_bytes(content)
    with pytest.raises(StaleOutputError, match=r"pack-1-of-2\.zip: pack must hold a\.json"):
        read_file(tmp_path / "a.json")


def test_a_pack_that_is_missing_is_a_missing_file(tmp_path: Path) -> None:
    write_pack(tmp_path, CONTENTS).unlink()
    with pytest.raises(FileNotFoundError, match="pack-1-of-2"):
        read_file(tmp_path / "a.json")


def test_a_remedy_names_the_pack_where_there_is_one(tmp_path: Path) -> None:
    write_pack(tmp_path, CONTENTS)
    assert say_remedy(tmp_path / "a.json", "ingest").startswith("remove pack-1-of-2.zip, then run")
    (tmp_path / "b.json").touch()
    for name in ("b.json", "c.json"):
        assert say_remedy(tmp_path / name, "ingest") == "run the step ingest again."


def test_packs_are_told_by_their_names() -> None:
    assert is_pack(name_pack("3-of-16"))
    assert is_pack(name_pack("3-of-16", 2))
    assert not any(map(is_pack, ("pack-3.zip", "sub-1_img-2.nii.gz", "../pack-1-of-1.zip", INDEX)))
