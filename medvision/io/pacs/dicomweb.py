"""A DICOMweb server: studies found by QIDO-RS, instances fetched by WADO-RS."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from medvision.errors import DataError
from medvision.io.pacs.archive import Archive
from medvision.io.pacs.http import Answer, Client
from medvision.io.pacs.listing import KEYS, InstanceEntry, Level, Row, SeriesEntry
from medvision.io.pacs.multipart import Mark, find_boundary, split_parts
from medvision.io.pacs.reasons import RefusedError, TransientError
from medvision.io.pacs.remote import Remote

JSON = "application/dicom+json"
# The star is the point: without it a server must send explicit VR little endian, and one that
# cannot transcode leaves out what it holds otherwise.
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'

_PAGE = 1000
_JSON_LIMIT = 1 << 28
_TAGS = {
    "SOPClassUID": "00080016",
    "SOPInstanceUID": "00080018",
    "StudyDate": "00080020",
    "AccessionNumber": "00080050",
    "Modality": "00080060",
    "PatientID": "00100020",
    "StudyInstanceUID": "0020000D",
    "SeriesInstanceUID": "0020000E",
    "NumberOfStudyRelatedSeries": "00201206",
    "NumberOfSeriesRelatedInstances": "00201209",
}


class DicomwebServer:
    """A server's DICOMweb services.

    Args:
        remote: The server.
        archive: Where instances go.
        connections: Connections kept open.

    Raises:
        ConfigError: A certificate's file is missing or unusable.

    Source:
        PS3.18 10.4 (retrieve), 10.6 (search), 8.7.3 (media types), 8.3.4.4 (paging).
    """

    def __init__(self, remote: Remote, archive: Archive, *, connections: int) -> None:
        self._remote, self._archive = remote, archive
        self._client = Client(remote, connections=connections)

    def find(self, level: Level, match: Mapping[str, str]) -> Sequence[Row]:
        """Search, page after page until a page brings nothing new.

        Args:
            level: What is searched for.
            match: Attributes and their values; the UIDs of what lies above are the resource's path.

        Returns:
            The matches.

        Raises:
            TransientError: The server failed, or answered with no DICOM JSON.
            RefusedError: The server does not know the resource.
            DataError: There is no such service at pacs.url.
        """
        keys = dict(match)
        path = _name_resource(level, keys)
        query = [*keys.items(), *(("includefield", _TAGS[key]) for key in KEYS[level])]
        # What names a study finds one; anything else may be cut by a server without saying so.
        is_one = level == "STUDY" and "StudyInstanceUID" in keys
        found: dict[str, Row] = {}
        n_rows = 0
        try:
            while True:
                rows = self._find_page(path, query, offset=n_rows)
                new = {json.dumps(row, sort_keys=True): row for row in rows}
                is_last = is_one or not new.keys() - found.keys()
                found |= new
                n_rows += len(rows)
                if is_last:
                    return list(found.values())
        except RefusedError as error:
            if level == "STUDY":
                raise self._remote.fail(
                    f"answer a search for studies, got {error.code}",
                    "set pacs.url to the root of its DICOMweb services, such as "
                    "https://host/dicom-web.",
                ) from None
            raise

    def _find_page(self, path: str, query: list[tuple[str, str]], *, offset: int) -> list[Row]:
        """Return the matches from an offset on, as many as the server gives at once."""
        paging = [("limit", str(_PAGE)), ("offset", str(offset))]
        with self._client.get(path, accept=JSON, query=[*query, *paging]) as answer:
            return [] if answer.is_empty else _parse_rows(answer.read(limit=_JSON_LIMIT))

    def fetch(self, series: SeriesEntry, instances: Sequence[InstanceEntry] | None) -> None:
        """Fetch a series in one answer, or single instances one after the other.

        Args:
            series: The series.
            instances: Those that are wanted; None for all of it.

        Raises:
            TransientError: The server failed, or its answer broke off.
            RefusedError: The server will not send it, or sent something else.
            StorageError: The disk is full or closed.
        """
        keys = {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.series_uid}
        path = _name_resource("IMAGE", keys)
        if instances is None:
            self._fetch_resource(path.removesuffix("/instances"), series)
            return
        fault: RefusedError | None = None
        for instance in instances:
            try:
                self._fetch_resource(f"{path}/{instance.sop_uid}", series)
            except RefusedError as error:
                fault = error
        if fault is not None:
            raise fault

    def _fetch_resource(self, path: str, series: SeriesEntry) -> None:
        """Store all instances of one answer; what is wrong with some does not lose the others."""
        fault: RefusedError | None = None
        with self._client.get(path, accept=DICOM) as answer:
            for part in _list_parts(answer):
                try:
                    _store(part, series, self._archive)
                except RefusedError as error:
                    fault = error
                    _drain(part)
        if fault is not None:
            raise TransientError(fault.code) if fault.code == "broken-answer" else fault

    def fail_silent(self) -> DataError:
        """Return the error of a server that does not answer."""
        return self._remote.fail_silent()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def _name_resource(level: Level, keys: dict[str, str]) -> str:
    """Return the path of a search; the UIDs that it holds are taken from the keys."""
    if level == "STUDY":
        return "/studies"
    path = f"/studies/{keys.pop('StudyInstanceUID')}/series"
    return path if level == "SERIES" else f"{path}/{keys.pop('SeriesInstanceUID')}/instances"


def _parse_rows(body: bytes) -> list[Row]:
    """Return the attributes that KEYS names from DICOM JSON (PS3.18 annex F)."""
    try:
        items = json.loads(body)
    except (ValueError, RecursionError):
        raise TransientError("broken-answer") from None
    if not (isinstance(items, list) and all(isinstance(item, dict) for item in items)):
        raise TransientError("broken-answer")
    return [
        {key: _read_value(item, tag) for key, tag in _TAGS.items() if tag in item} for item in items
    ]


def _read_value(item: dict[str, object], tag: str) -> str:
    """Return an attribute's first value as text; "" for none."""
    element = item[tag]
    values = element.get("Value") if isinstance(element, dict) else None
    first = values[0] if isinstance(values, list) and values else None
    if isinstance(first, float) and first.is_integer():
        first = int(first)
    return str(first).strip("\0 ") if isinstance(first, str | int) else ""


def _list_parts(answer: Answer) -> Iterator[Iterator[bytes]]:
    """Yield the parts of an answer, each as its bytes in pieces."""
    if answer.is_empty:
        return
    boundary = find_boundary(answer.content_type)
    if boundary is None:
        # Some servers send a single instance as it is.
        if not answer.content_type.lower().startswith("application/dicom"):
            raise TransientError("broken-answer")
        yield answer.list_chunks()
        return
    pieces = split_parts(answer.list_chunks(), boundary)
    for piece in pieces:
        if piece is Mark.BEGIN:
            yield _list_pieces(pieces)


def _list_pieces(pieces: Iterator[bytes | Mark]) -> Iterator[bytes]:
    """Yield the bytes up to the end of a part."""
    for piece in pieces:
        if isinstance(piece, Mark):
            return
        yield piece


def _store(part: Iterable[bytes], series: SeriesEntry, archive: Archive) -> None:
    """Put one instance into the archive."""
    with archive.receive() as stream:
        for piece in part:
            stream.write(piece)
        archive.keep(stream, of={(series.study_uid, series.series_uid)})


def _drain(part: Iterable[bytes]) -> None:
    """Read a part to its end, so that the next one begins where it should."""
    for _ in part:
        pass
