"""A server that is asked by C-FIND, and sends by C-GET or C-MOVE."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from medvision.errors import DataError
from medvision.io.pacs.acceptor import accept_any_storage
from medvision.io.pacs.archive import Archive, SeriesName
from medvision.io.pacs.association import associate, check_status, read_texts
from medvision.io.pacs.contexts import FIND, GET, MOVE, build_model_context, build_storage_contexts
from medvision.io.pacs.listing import (
    KEYS,
    InstanceEntry,
    Level,
    Row,
    SeriesEntry,
    list_instances,
)
from medvision.io.pacs.provider import Door, run_provider
from medvision.io.pacs.reasons import RefusedError, TransientError
from medvision.io.pacs.remote import Remote
from medvision.io.pacs.storing import store

if TYPE_CHECKING:
    from pydicom import Dataset

_UIDS_AT_ONCE = 50


class DimseServer:
    """A server's query/retrieve services.

    Args:
        remote: The server.
        archive: Where instances go.
        door: Where the server sends to, for C-MOVE; None asks by C-GET.

    Raises:
        ConfigError: The door's address cannot be listened on, or a certificate is unusable.

    Source:
        PS3.4 annex C.
    """

    def __init__(self, remote: Remote, archive: Archive, *, door: Door | None) -> None:
        self._remote, self._archive = remote, archive
        self._is_move = door is not None
        self._asked: set[SeriesName] = set()
        self._uids_at_once = _UIDS_AT_ONCE
        self._stack = ExitStack()
        self._stack.enter_context(accept_any_storage())
        if door is not None:
            self._stack.enter_context(run_provider(door, archive, of=self._asked))

    def find(self, level: Level, match: Mapping[str, str]) -> Sequence[Row]:
        """Search.

        Args:
            level: What is searched for.
            match: Attributes and their values, the UIDs of what lies above among them.

        Raises:
            TransientError: The server failed.
            RefusedError: The server does not answer such a question.
            DataError: The server refuses us for good.
        """
        identifier = _build_identifier(level, {**dict.fromkeys(KEYS[level], ""), **match})
        found: list[Row] = []
        with associate(self._remote, [build_model_context(FIND)], model=FIND) as association:
            for status, answer in association.send_c_find(identifier, FIND):
                if check_status(status, self._remote):
                    return found
                if answer is None:
                    raise TransientError("broken-answer")
                found.append(read_texts(answer, KEYS[level]))
        raise TransientError("connection-lost")

    def fetch(self, series: SeriesEntry, instances: Sequence[InstanceEntry] | None) -> None:
        """Have a series, or single instances of it, sent into the archive.

        Args:
            series: The series.
            instances: Those that are wanted; None for all of it.

        Raises:
            TransientError: The server failed.
            RefusedError: The server will not send it.
            DataError: The server refuses us for good, or does not know where to send to.
        """
        name = (series.study_uid, series.series_uid)
        self._asked.add(name)
        classes: list[str] = []
        if not self._is_move:
            listed = list_instances(self, series) if instances is None else instances
            classes = sorted({item.sop_class for item in listed})
        for identifier in self._list_identifiers(series, instances):
            try:
                self._retrieve(identifier, name, classes)
            except (TransientError, RefusedError) as error:
                if error.code not in {"server-error", "refused"} or not _is_list(identifier):
                    raise
                # Not every server takes a list of UIDs: from now on one at a time.
                self._uids_at_once = 1
                raise TransientError(error.code) from None

    def _list_identifiers(
        self, series: SeriesEntry, instances: Sequence[InstanceEntry] | None
    ) -> Iterator["Dataset"]:
        """Yield what is asked for, request by request."""
        keys = {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.series_uid}
        if instances is None:
            yield _build_identifier("SERIES", keys)
            return
        uids = [item.sop_uid for item in instances]
        for start in range(0, len(uids), self._uids_at_once):
            part = uids[start : start + self._uids_at_once]
            yield _build_identifier("IMAGE", {**keys, "SOPInstanceUID": part})

    def _retrieve(self, identifier: "Dataset", name: SeriesName, classes: list[str]) -> None:
        """Send one request and wait until the server says that it is done."""
        from pynetdicom import evt

        model = MOVE if self._is_move else GET
        contexts = [build_model_context(model), *build_storage_contexts(classes)]
        roles = sorted({str(context.abstract_syntax) for context in contexts[1:]})
        file_it = partial(store, archive=self._archive, of={name})
        with associate(
            self._remote,
            contexts,
            model=model,
            roles=roles,
            handlers=[(evt.EVT_C_STORE, file_it)],
        ) as association:
            if self._is_move:
                answers = association.send_c_move(identifier, self._remote.ae_title, MOVE)
            else:
                answers = association.send_c_get(identifier, GET)
            for status, _ in answers:
                if check_status(status, self._remote):
                    return
        raise TransientError("connection-lost")

    def fail_silent(self) -> DataError:
        """Return the error of a server that does not answer."""
        return self._remote.fail_silent()

    def close(self) -> None:
        """Stop listening."""
        self._stack.close()


def _build_identifier(level: Level, keys: Mapping[str, str | list[str]]) -> "Dataset":
    """Return the dataset of a question."""
    from pydicom import Dataset

    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    if not all(str(value).isascii() for value in keys.values()):
        identifier.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def _is_list(identifier: "Dataset") -> bool:
    """Tell whether a question asks for several instances."""
    uids = identifier.get("SOPInstanceUID")
    return uids is not None and not isinstance(uids, str) and len(uids) > 1
