"""Whose instance a file is: as pydicom says, for any bytes, within bounds."""

import io
import struct
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orthanc import SYNTAXES, build_mixed_series

from medvision.io.pacs.part10 import build_meta, find_dataset, is_uid, read_identity
from medvision.io.pacs.quiet import silence_network
from medvision.io.pacs.reasons import RefusedError

FILES = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))


def identify(content: bytes) -> tuple[str, str, str]:
    stream = io.BytesIO(content)
    with silence_network():
        offset, syntax = find_dataset(stream)
        identity = read_identity(stream, offset=offset, syntax=syntax)
    return identity.study_uid, identity.series_uid, identity.sop_uid


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_is_whom_pydicom_says(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
    uids = [
        str(dataset.get(keyword) or "").strip("\0 ")
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    ]
    if all(uids):
        assert identify(path.read_bytes()) == tuple(uids)
    else:
        with pytest.raises(RefusedError, match="broken-answer"):
            identify(path.read_bytes())


def test_every_transfer_syntax_is_read(tmp_path: Path) -> None:
    files = build_mixed_series(tmp_path)
    found = {find_dataset(io.BytesIO(content))[1] for content in files.values()}
    assert found == set(SYNTAXES.values())
    assert {identify(content)[2] for content in files.values()} == set(files)


@pytest.mark.parametrize("path", FILES[::7], ids=lambda path: path.name)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_broken_files_end_in_a_verdict(path: Path, data: st.DataObject) -> None:
    content = bytearray(path.read_bytes()[:4000])
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    with suppress(RefusedError):
        identify(bytes(content[:cut]))


@given(content=st.binary(max_size=600))
def test_any_bytes_end_in_a_verdict(content: bytes) -> None:
    for head in (b"", bytes(128) + b"DICM"):
        with suppress(RefusedError):
            identify(head + content)


def test_a_deflated_bomb_is_not_inflated_whole() -> None:
    import tracemalloc

    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(1 << 28)) + packer.flush()
    content = build_meta(sop_class="1.2", sop_uid="1.3", syntax=SYNTAXES["deflated"]) + bomb
    tracemalloc.start()
    with pytest.raises(RefusedError):
        identify(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def test_the_meta_that_is_built_is_what_pydicom_reads_and_checks() -> None:
    content = build_meta(sop_class="1.2.3", sop_uid="1.2.3.44", syntax=SYNTAXES["implicit"])
    body = struct.pack("<HHI", 8, 0x18, 8) + b"1.2.3.44"
    dataset = pydicom.dcmread(io.BytesIO(content + body))
    meta = dataset.file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == ("1.2.3", "1.2.3.44")
    assert meta.TransferSyntaxUID == SYNTAXES["implicit"]
    pydicom.dataset.validate_file_meta(meta, enforce_standard=False)
    assert meta.FileMetaInformationGroupLength == len(content) - 128 - 4 - 12
    assert find_dataset(io.BytesIO(content + body)) == (len(content), SYNTAXES["implicit"])


@pytest.mark.parametrize("text", ["1.2.3", "2.25.1234", "1.2.a-b_c", "0" * 64])
def test_uids_and_what_passes_for_them_may_be_asked_for(text: str) -> None:
    assert is_uid(text)


@pytest.mark.parametrize(
    "text", ["", "..", ".", "1.2/..", "1.2*", "1.2?", "1\\2", "1.2 ", "1\n2", "0" * 65, "é"]
)
def test_wildcards_lists_and_paths_may_not(text: str) -> None:
    assert not is_uid(text)
