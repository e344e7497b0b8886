"""An instance that came by C-STORE, filed byte for byte, and the status that answers it."""

from collections.abc import Container
from typing import TYPE_CHECKING

from medvision.errors import StorageError
from medvision.io.pacs.archive import Archive, SeriesName
from medvision.io.pacs.part10 import build_meta
from medvision.io.pacs.reasons import RefusedError

if TYPE_CHECKING:
    from pynetdicom.events import Event

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
NOT_AUTHORISED = 0x0124
OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000


def store(event: "Event", archive: Archive, *, of: Container[SeriesName] | None) -> int:
    """File the dataset of a C-STORE request as it was received.

    Args:
        event: pynetdicom's event of the request.
        archive: Where it goes.
        of: The series that are taken; None takes any.

    Returns:
        The status of the response: success also for an instance that is there already.

    Source:
        PS3.4 B.2.3 and PS3.7 C.5.
    """
    try:
        _file(event, archive, of=of)
    except StorageError:
        status = OUT_OF_RESOURCES
    except RefusedError as error:
        is_foreign = error.code == "foreign-instances"
        status = NOT_AUTHORISED if is_foreign or archive.is_closed else CANNOT_UNDERSTAND
    except OSError:
        status = PROCESSING_FAILURE
    else:
        return SUCCESS
    archive.count_refused()
    return status


def _file(event: "Event", archive: Archive, *, of: Container[SeriesName] | None) -> None:
    """Write meta information and dataset, and give the file its place."""
    request = event.request
    sop_uid = str(getattr(request, "AffectedSOPInstanceUID", "") or "").strip("\0 ")
    content = getattr(request, "DataSet", None)
    if content is None:
        raise RefusedError("broken-answer")
    meta = build_meta(
        sop_class=str(getattr(request, "AffectedSOPClassUID", "") or "").strip("\0 "),
        sop_uid=sop_uid,
        syntax=str(event.context.transfer_syntax),
    )
    with archive.receive() as stream:
        stream.write(meta)
        stream.write(content.getbuffer())
        archive.keep(stream, of=of, sop_uid=sop_uid)
