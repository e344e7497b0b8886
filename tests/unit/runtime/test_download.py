"""Fetching a file: cut connections are resumed, faults are told, nothing is trusted unseen."""

import errno
import fcntl

import pytest
from file_server import Shop, serve

from medvision.errors import StorageError, WeightsError
from medvision.runtime import download
from medvision.runtime.download import Patience, fetch_file

CONTENT = bytes(range(256)) * 40_000
HASTY = Patience(attempts=2, wait_s=0.001, timeout_s=5)


def fetch(shop, path, name="/file"):
    fetch_file(shop.url + name, path, patience=HASTY)
    return path.read_bytes()


@pytest.fixture
def partial(tmp_path):
    return tmp_path / "deep" / ".part-w.pt"


def test_a_whole_answer_is_the_file(partial):
    with serve(Shop(CONTENT)) as shop:
        assert fetch(shop, partial) == CONTENT
    assert shop.asked == [("/file", None)]


def test_a_cut_connection_is_taken_up_where_it_ended(partial):
    with serve(Shop(CONTENT, cuts=[3_000_000, 10, 2_000_000])) as shop:
        assert fetch(shop, partial) == CONTENT
    starts = [asked for _, asked in shop.asked]
    assert starts == [None, "bytes=3000000-", "bytes=3000010-", "bytes=5000010-"]


def test_the_next_call_goes_on_where_the_last_one_gave_up(partial):
    with serve(Shop(CONTENT, cuts=[1_000_000], states=[])) as shop:
        shop.cuts += [0, 0]
        with pytest.raises(WeightsError, match=r"got a cut connection from http.*") as caught:
            fetch(shop, partial)
        assert "goes on where this one stopped" in caught.value.hint
        assert partial.stat().st_size == 1_000_000
        shop.asked.clear()
        assert fetch(shop, partial) == CONTENT
        assert shop.asked == [("/file", "bytes=1000000-")]


def test_a_server_without_ranges_sends_all_again(partial):
    with serve(Shop(CONTENT, cuts=[1_000_000], ranges=False)) as shop:
        assert fetch(shop, partial) == CONTENT
    assert len(shop.asked) == 2


def test_a_file_that_is_whole_already_is_not_sent_again(partial):
    with serve(Shop(CONTENT)) as shop:
        fetch(shop, partial)
        assert fetch(shop, partial) == CONTENT
    assert shop.asked[1] == ("/file", f"bytes={len(CONTENT)}-")


def test_more_bytes_here_than_there_start_the_file_anew(partial):
    partial.parent.mkdir()
    partial.write_bytes(CONTENT + b"more")
    with serve(Shop(CONTENT)) as shop:
        assert fetch(shop, partial) == CONTENT


def test_a_length_that_is_not_told_is_borne(partial):
    with serve(Shop(CONTENT, silent=True)) as shop:
        assert fetch(shop, partial) == CONTENT


def test_a_redirect_is_followed_and_resumed(partial):
    with serve(Shop(CONTENT, cuts=[1_000_000])) as shop:
        assert fetch(shop, partial, "/moved") == CONTENT
    assert [path for path, _ in shop.asked] == ["/moved", "/file"] * 2


def test_a_redirect_to_a_file_of_this_machine_is_refused(partial):
    with serve(Shop(CONTENT)) as shop, pytest.raises(WeightsError):
        fetch(shop, partial, "/astray")
    assert partial.stat().st_size == 0


def test_a_missing_file_is_refused_at_once_with_what_to_do(partial):
    with serve(Shop(CONTENT)) as shop:
        with pytest.raises(WeightsError, match="got 404 Not Found from") as caught:
            fetch(shop, partial, "/nothing")
        assert len(shop.asked) == 1
    assert "the file may have moved" in caught.value.hint


def test_a_busy_server_is_asked_again(partial):
    with serve(Shop(CONTENT, states=[503])) as shop:
        assert fetch(shop, partial) == CONTENT


def test_a_server_that_is_not_there_is_told(partial):
    with serve(Shop(CONTENT)) as shop:
        pass
    with pytest.raises(WeightsError, match=r"must answer, got .*refused"):
        fetch(shop, partial)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/w.pt"])
def test_other_addresses_than_http_are_refused(partial, url):
    with pytest.raises(WeightsError, match="must be http or https"):
        fetch_file(url, partial, patience=HASTY)


def test_a_full_disk_is_told_and_what_came_is_kept(partial, monkeypatch):
    append = download._append

    def fill(response, stream, total):
        stream.write(response.read(500))
        stream.flush()
        raise OSError(errno.ENOSPC, "No space left on device")

    with serve(Shop(CONTENT)) as shop:
        monkeypatch.setattr(download, "_append", fill)
        with pytest.raises(StorageError, match="no space left"):
            fetch(shop, partial)
        assert partial.stat().st_size == 500
        monkeypatch.setattr(download, "_append", append)
        assert fetch(shop, partial) == CONTENT


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "deep").write_text("a file")
    with serve(Shop(CONTENT)) as shop, pytest.raises(StorageError, match="must be writable"):
        fetch(shop, tmp_path / "deep" / ".part-w.pt")


def test_two_processes_do_not_write_into_one_file(partial):
    partial.parent.mkdir()
    with partial.open("ab") as other, serve(Shop(CONTENT)) as shop:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(WeightsError, match="by one process at a time"):
            fetch(shop, partial)
