"""Archives: every member accounted for, nothing written under a name they give, bounded."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicoms import Plan, make_volume, write_series
from hypothesis import given, settings
from hypothesis import strategies as st
from ingesting import KEY, ingest

from medvision.io.deidentify import Pseudonymiser
from medvision.io.ingest import archive as archive_module
from medvision.io.ingest.archive import find_layout, read_archive
from medvision.io.ingest.members import MemberReader, spool_members
from medvision.io.ingest.spool import Spool
from medvision.io.reasons import RefusalError

LIMIT = 50_000_000
NAMES = Pseudonymiser(bytes.fromhex(KEY))
PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
KINDS = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "tar": "tar", "zip": "zip"}


def build_tar(files, *, style=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=style) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def build_zip(files, *, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=method)
    return buffer.getvalue()


def read_all(path, *, kind, limit=LIMIT):
    """Return name to content of every member that may be read."""
    found = {}
    for member in read_archive(path, kind=kind, limit=limit):
        if member.verdict is None:
            found[member.name] = b"".join(iter(lambda read=member.read: read(1000), b""))
    return found


def pack(folder, suffix, files):
    """Write an archive; return its path and kind."""
    path = folder / f"archive.{suffix}"
    if suffix == "zip":
        path.write_bytes(build_zip(files))
    elif suffix == "tar":
        path.write_bytes(build_tar(files))
    else:
        path.write_bytes(PACKERS[suffix.removeprefix("tar.")](build_tar(files)))
    return path, KINDS[suffix.rpartition(".")[2]]


SUFFIXES = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


# What is read.


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_images_of_an_archive_are_those_of_its_files(tmp_path, suffix):
    paths = [
        *write_series(tmp_path / "in" / "a", Plan(make_volume())),
        *write_series(
            tmp_path / "in" / "b", Plan(make_volume(seed=1), subject="P-2", series="1.2.9.1")
        ),
    ]
    files = {f"deep/{path.parent.name}/{path.name}": path.read_bytes() for path in paths}
    (tmp_path / "packed").mkdir()
    pack(tmp_path / "packed", suffix, {"deep/readme": b"words", **files})
    plain = ingest(tmp_path / "in", tmp_path / "1")
    packed = ingest(tmp_path / "packed", tmp_path / "2")
    assert packed.manifest == plain.manifest
    assert sorted(row["reason"] for row in packed.sources) == [
        *[""] * 10,
        "archive",
        "not-an-image",
    ]
    digests = {row["digest"] for row in packed.sources if row["verdict"] == "converted"}
    assert digests == {row["digest"] for row in plain.sources}
    assert not packed.layout.ingest_spool.exists() or not any(packed.layout.ingest_spool.iterdir())


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_one_compressed_dicom_file_is_read(tmp_path, suffix):
    paths = write_series(tmp_path / "in", Plan(make_volume()))
    (tmp_path / "packed").mkdir()
    for n, path in enumerate(paths):
        (tmp_path / "packed" / f"{n}.{suffix}").write_bytes(PACKERS[suffix](path.read_bytes()))
    packed = ingest(tmp_path / "packed", tmp_path / "2")
    assert packed.manifest == ingest(tmp_path / "in", tmp_path / "1").manifest
    assert packed.summary.verdicts == {"converted": 5, "non-image": 5}


def test_nifti_in_gzip_is_an_image_and_no_archive(tmp_path):
    image = nibabel.Nifti1Image(make_volume(), np.eye(4))
    (tmp_path / "in").mkdir()
    nibabel.save(image, tmp_path / "in" / "P-1.nii.gz")
    assert ingest(tmp_path / "in", tmp_path / "out").summary.verdicts == {"converted": 1}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nifti_members_are_read(tmp_path, suffix):
    image = nibabel.Nifti1Image(make_volume(), np.eye(4))
    files = {"P-1.nii": image.to_bytes(), "P-2.nii.gz": gzip.compress(image.to_bytes())}
    (tmp_path / "in").mkdir()
    pack(tmp_path / "in", suffix, files)
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert result.summary.verdicts == {"converted": 2, "non-image": 1}


# The readers against Python's own.


CONTENTS = st.binary(max_size=1500)
MEMBERS = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=120),
    CONTENTS,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(MEMBERS, st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]), st.integers(0, 3))
def test_tar_is_read_as_pythons_own_reader_reads_it(tmp_path_factory, files, style, packer):
    path = tmp_path_factory.mktemp("tar") / "archive"
    content = build_tar(files, style=style)
    kind = ["tar", "gzip", "bzip2", "xz"][packer]
    path.write_bytes([bytes, *PACKERS.values()][packer](content))
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        expected = {info.name: archive.extractfile(info).read() for info in archive}
    assert expected == files
    if files:
        assert read_all(path, kind=kind) == files


@settings(max_examples=40, deadline=None)
@given(MEMBERS, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]))
def test_members_can_be_read_again_one_by_one(tmp_path_factory, files, method):
    folder = tmp_path_factory.mktemp("zip")
    reader = MemberReader(folder, folder / "none", NAMES, LIMIT)
    for name, content in {"a.zip": build_zip(files, method=method), "a": build_tar(files)}.items():
        (folder / name).write_bytes(content)
        for member, expected in files.items():
            if name != "a.zip" or member == zipfile.ZipInfo(member).filename:
                assert reader(f"{name}!{member}") == expected


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_bytes_end_in_members_or_in_a_refusal(tmp_path_factory, data):
    files = {"one": b"first" * 200, "two/three": bytes(range(256)) * 3}
    suffix = data.draw(st.sampled_from(SUFFIXES))
    path, kind = pack(tmp_path_factory.mktemp("any"), suffix, files)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut] if data.draw(st.booleans()) else content)
    for refusal in read_hard(path, kind):
        assert refusal.reason in ("archive-broken", "archive-too-large")


def read_hard(path, kind):
    """Read all that can be read of an archive; yield what is refused."""
    try:
        for member in read_archive(path, kind=kind, limit=100_000):
            try:
                while member.verdict is None and member.read(4096):
                    pass
            except RefusalError as refusal:
                yield refusal
    except RefusalError as refusal:
        yield refusal


# What is refused.


def test_names_that_leave_the_folder_write_nothing_outside_it(tmp_path):
    (tmp_path / "a" / "b" / "in").mkdir(parents=True)
    source = tmp_path / "a" / "b" / "in"
    (path,) = write_series(tmp_path / "series", Plan(make_volume((8, 6, 1))))
    content = path.read_bytes()
    evil = ("../../escaped", "/tmp/escaped-absolute", "C:\\escaped", "..\\..\\escaped")
    for suffix in SUFFIXES:
        (source / suffix).mkdir()
        pack(source / suffix, suffix, dict.fromkeys(evil, content))
    result = ingest(source, tmp_path / "out")
    assert result.summary.verdicts == {"converted": 1, "duplicate": 19, "non-image": 5}
    assert [*tmp_path.rglob("*escaped*"), *Path("/tmp").glob("escaped*")] == []


def test_links_devices_and_folders_are_not_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("secret")
    with tarfile.open(tmp_path / "in" / "a.tar", "w") as archive:
        for name, kind in (
            *(("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE)),
            *(("device", tarfile.CHRTYPE), ("pipe", tarfile.FIFOTYPE), ("dir", tarfile.DIRTYPE)),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(tmp_path / "secret")
            archive.addfile(info)
    with zipfile.ZipFile(tmp_path / "in" / "b.zip", "w") as zipped:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(info, str(tmp_path / "secret"))
        zipped.writestr("folder/", b"")
    write_series(tmp_path / "in" / "c", Plan(make_volume()))
    result = ingest(tmp_path / "in", tmp_path / "out")
    reasons = [row["reason"] for row in result.sources if row["verdict"] == "non-image"]
    assert sorted(reasons) == [*["archive"] * 2, *["not-a-file"] * 5]


def write_beside_a_series(folder, name, content):
    """Write an odd file into a folder with one good series."""
    write_series(folder, Plan(make_volume()))
    (folder / name).write_bytes(content)


def test_a_nested_archive_is_refused(tmp_path):
    inner = build_zip({"x": b"1" * 100})
    write_beside_a_series(tmp_path / "in", "a.zip", build_zip({"inner.zip": inner, "text": b"hi"}))
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert result.reasons() == {"archive-nested": 1}


def test_an_encrypted_member_is_refused_and_the_others_are_read(tmp_path):
    content = bytearray(build_zip({"locked": b"x" * 50, "open": b"words"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(signature) + offset] |= 1
    write_beside_a_series(tmp_path / "in", "a.zip", bytes(content))
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert result.reasons() == {"archive-encrypted": 1}
    assert result.summary.verdicts["non-image"] == 2


def test_a_member_with_a_wrong_checksum_is_refused_alone(tmp_path):
    content = build_zip({"bad": b"0123456789" * 9, "good": b"words"}, method=zipfile.ZIP_STORED)
    content = content.replace(b"0123456789", b"0123456780", 1)
    write_beside_a_series(tmp_path / "in", "a.zip", content)
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert result.reasons() == {"archive-broken": 1}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_members_of_a_truncated_archive_are_refused_with_it(tmp_path, suffix):
    paths = write_series(tmp_path / "series", Plan(make_volume()))
    (tmp_path / "in").mkdir()
    path, _ = pack(tmp_path / "in", suffix, {p.name: p.read_bytes() for p in paths})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    write_series(
        tmp_path / "in" / "good", Plan(make_volume(seed=1), subject="P-2", series="1.2.9.1")
    )
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert set(result.reasons()) == {"archive-broken"}
    assert [row["n_files"] for row in result.manifest] == ["5"]
    assert result.summary.verdicts["converted"] == 5


@pytest.mark.parametrize("suffix", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_what_unpacks_beyond_the_limit_is_refused_in_bounded_memory(tmp_path, suffix):
    path, kind = pack(tmp_path, suffix, {"zeros": bytes(30_000_000)})
    with pytest.raises(RefusalError, match="archive must unpack to 20000000 bytes at most"):
        read_all(path, kind=kind, limit=20_000_000)


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_what_unpacks_to_more_than_200_times_its_size_is_refused(tmp_path, suffix):
    path, kind = pack(tmp_path, suffix, {"zeros": bytes(110_000_000)})
    with pytest.raises(RefusalError, match="archive must unpack to 104857600 bytes at most"):
        read_all(path, kind=kind, limit=10**12)


def test_an_archive_with_too_many_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "_MOST_MEMBERS", 10)
    path, kind = pack(tmp_path, "tar", {str(n): b"" for n in range(11)})
    with pytest.raises(RefusalError, match="10 members at most"):
        read_all(path, kind=kind)


def test_a_header_that_claims_a_huge_name_is_refused_before_it_is_read(tmp_path):
    info = tarfile.TarInfo("x")
    info.size, info.type = 10**11, tarfile.GNUTYPE_LONGNAME
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(9)))
    with pytest.raises(RefusalError, match="header of a member must have 65536 bytes at most"):
        read_all(tmp_path / "a.tar.gz", kind="gzip")


@pytest.mark.parametrize("record", [b"0 a=b\n", b"99999 a=b\n", b"x a=b\n", b"6 ab\n", b"2 a=b\n"])
def test_a_record_of_an_impossible_length_is_refused(tmp_path, record):
    info = tarfile.TarInfo("x")
    info.size, info.type = len(record), tarfile.XHDTYPE
    content = info.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0") + bytes(1024)
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(RefusalError, match="records of a header must"):
        read_all(tmp_path / "a.tar", kind="tar")


def test_several_members_of_one_name_are_refused_but_the_first(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("same", b"first")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("same", b"second")
    write_beside_a_series(tmp_path / "in", "a.zip", buffer.getvalue())
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert result.reasons() == {"archive-broken": 1}
    assert len({row["file"] for row in result.sources}) == 8


def test_archives_are_only_listed_where_they_are_not_to_be_opened(tmp_path):
    write_beside_a_series(tmp_path / "in", "a.zip", build_zip({"x": b"1"}))
    result = ingest(tmp_path / "in", tmp_path / "out", archives="list")
    assert result.reasons() == {"archive-not-opened": 1}


# The spool.


def test_the_spool_is_private_and_its_files_have_no_names(tmp_path):
    path, _ = pack(tmp_path, "tar.gz", {"Muster^Max": b"content", "other": b"else"})
    spool_members(path, {"Muster^Max": "file-1"}, spool=tmp_path / "spool", limit=LIMIT)
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    (spooled,) = (tmp_path / "spool").iterdir()
    assert (spooled.name, spooled.read_bytes()) == ("file-1", b"content")
    assert stat.S_IMODE(spooled.stat().st_mode) == 0o600


def test_what_a_killed_run_left_in_the_spool_is_removed_at_the_next_start(tmp_path):
    paths = write_series(tmp_path / "series", Plan(make_volume()))
    (tmp_path / "in").mkdir()
    pack(tmp_path / "in", "tar.gz", {p.name: p.read_bytes() for p in paths})
    left = tmp_path / "out" / "ingest" / ".spool" / "1-of-1" / "file-1"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"somebody's image")
    ingest(tmp_path / "in", tmp_path / "out")
    assert not left.exists()


def test_members_of_a_stream_are_unpacked_once_for_all_their_series(tmp_path, monkeypatch):
    files = {}
    for n in range(4):
        plan = Plan(make_volume(seed=n), subject=f"P-{n}", series=f"1.2.{n}")
        for path in write_series(tmp_path / "series" / str(n), plan):
            files[f"{n}/{path.name}"] = path.read_bytes()
    (tmp_path / "in").mkdir()
    pack(tmp_path / "in", "tar.gz", files)
    filled = []
    fill = Spool.fill
    monkeypatch.setattr(
        Spool, "fill", lambda self, batch: (filled.append(batch), fill(self, batch))
    )
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert len(result.manifest) == 4
    assert len(filled) == 1


def test_a_series_across_two_streams_is_one_image(tmp_path):
    paths = write_series(tmp_path / "series", Plan(make_volume()))
    for name, part in (("a", paths[:2]), ("b", paths[2:])):
        (tmp_path / "in" / name).mkdir(parents=True)
        pack(tmp_path / "in" / name, "tar.gz", {p.name: p.read_bytes() for p in part})
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert result.manifest == ingest(tmp_path / "series", tmp_path / "plain").manifest


def test_an_exclamation_mark_in_a_name_is_no_archive(tmp_path):
    for path in write_series(tmp_path / "in" / "wow!", Plan(make_volume())):
        path.rename(path.with_name(f"so!{path.name}"))
    assert ingest(tmp_path / "in", tmp_path / "out").summary.verdicts == {"converted": 5}


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [("zip", "zip"), ("tar", "tar"), ("tar.gz", "packed-tar"), ("tar.xz", "packed-tar")],
)
def test_the_layout_is_told_by_content(tmp_path, suffix, expected):
    path, kind = pack(tmp_path, suffix, {"a": b"1"})
    assert find_layout(path, kind=kind, limit=LIMIT) == expected
