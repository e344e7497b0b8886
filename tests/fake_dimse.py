"""A query/retrieve server on loopback, by pynetdicom, that misbehaves as it is told."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pydicom
from fake_pacs import SERIES, STUDY
from pydicom import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, build_context, evt
from pynetdicom.events import Event

from medvision.io.pacs.contexts import FIND, GET, MOVE, list_syntaxes

Answer = tuple[int, Dataset | None]
Fault = Callable[[Event], Iterator[object] | None]


@dataclass
class FakeDimse:
    """One study of one series."""

    files: dict[str, bytes]
    models: tuple[str, ...] = (FIND, GET, MOVE)
    counted: int | None = None
    names_classes: bool = True
    destinations: dict[str, int] = field(default_factory=dict)
    find_faults: list[Callable[[], Answer]] = field(default_factory=list)
    sends: list[Callable[[list[str]], list[str]]] = field(default_factory=list)
    final_statuses: list[int] = field(default_factory=list)
    takes_lists: bool = True
    asked: list[tuple[str, int]] = field(default_factory=list)
    extra: bytes = b""
    port: int = 0

    def find(self, event: Event) -> Iterator[Answer]:
        """Answer C-FIND."""
        if self.find_faults:
            yield self.find_faults.pop(0)()
            return
        level = event.identifier.QueryRetrieveLevel
        for uid in list(self.files) if level == "IMAGE" else [""]:
            row = Dataset()
            row.StudyInstanceUID, row.PatientID = STUDY, "Mueller-4711"
            if level == "STUDY":
                row.NumberOfStudyRelatedSeries = 1
            else:
                row.SeriesInstanceUID, row.Modality = SERIES, "CT"
            if level == "SERIES" and self.counted is not None:
                row.NumberOfSeriesRelatedInstances = self.counted
            if level == "IMAGE":
                row.SOPInstanceUID = uid
                row.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2" if self.names_classes else ""
            yield 0xFF00, row

    def choose(self, event: Event) -> list[bytes]:
        """Return what a retrieval sends, and note what it asked for."""
        uids = event.identifier.get("SOPInstanceUID") or []
        uids = [uids] if isinstance(uids, str) else [str(uid) for uid in uids]
        self.asked.append((event.identifier.QueryRetrieveLevel, len(uids)))
        wanted = uids or list(self.files)
        if len(uids) > 1 and not self.takes_lists:
            return []
        if self.sends:
            wanted = self.sends.pop(0)(wanted)
        return [self.files[uid] for uid in wanted] + ([self.extra] if self.extra else [])

    def get(self, event: Event) -> Iterator[object]:
        """Answer C-GET."""
        yield from self.send(event)

    def move(self, event: Event) -> Iterator[object]:
        """Answer C-MOVE."""
        port = self.destinations.get(event.move_destination.strip())
        if port is None:
            yield None, None
            return
        yield "127.0.0.1", port, {"contexts": _build_contexts()[:120]}
        yield from self.send(event)

    def send(self, event: Event) -> Iterator[object]:
        contents = self.choose(event)
        refuses = not contents and not self.takes_lists
        yield max(1, len(contents))
        for content in contents:
            yield 0xFF00, pydicom.dcmread(io.BytesIO(content))
        if refuses:
            yield 0xC000, Dataset()
        elif self.final_statuses:
            status = self.final_statuses.pop(0)
            if status < 0:
                event.assoc.abort()
                return
            yield status, Dataset()


def _build_contexts() -> list[object]:
    syntaxes = list_syntaxes()[:4]
    return [build_context(cx.abstract_syntax, syntaxes) for cx in AllStoragePresentationContexts]


@contextmanager
def run_dimse(pacs: FakeDimse) -> Iterator[FakeDimse]:
    """Run the server on a free port of loopback."""
    ae = AE(ae_title="PACS")
    ae.require_called_aet = True
    ae.maximum_associations = 50
    ae.add_supported_context("1.2.840.10008.1.1")
    for model in pacs.models:
        ae.add_supported_context(model)
    for context in _build_contexts():
        ae.add_supported_context(
            context.abstract_syntax, context.transfer_syntax, scu_role=True, scp_role=True
        )
    handlers = [
        (evt.EVT_C_FIND, pacs.find),
        (evt.EVT_C_GET, pacs.get),
        (evt.EVT_C_MOVE, pacs.move),
    ]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    pacs.port = server.server_address[1]
    try:
        yield pacs
    finally:
        ae.shutdown()
