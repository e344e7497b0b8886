"""What is proposed to a server, so that it sends what it holds as it is stored."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medvision.io.dicom.syntaxes import (
    DEFLATED_FILE,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    GE_BIG,
    IMPLICIT_LITTLE,
)

if TYPE_CHECKING:
    from pynetdicom.presentation import PresentationContext

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
"""Study Root Query/Retrieve information models (PS3.4 C.6.2)."""

_MAX_STORAGE_CONTEXTS = 127
"""128 by PS3.8 9.3.2.2, less the one of the information model."""

_FIRST_SYNTAXES = (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, selection value 1
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.5",  # RLE lossless
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.51",  # JPEG extended
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near lossless
    EXPLICIT_BIG,
    DEFLATED_FILE,
    "1.2.840.10008.1.2.4.201",  # high-throughput JPEG 2000 lossless
    "1.2.840.10008.1.2.4.202",  # the same, progressive
    "1.2.840.10008.1.2.4.203",  # high-throughput JPEG 2000
    GE_BIG,
)
"""The transfer syntaxes of archives, the most frequent first; all others follow."""


def build_model_context(model: str) -> "PresentationContext":
    """Return the context of an information model."""
    from pynetdicom import build_context

    return build_context(model, [EXPLICIT_LITTLE, IMPLICIT_LITTLE])


def build_storage_contexts(classes: Sequence[str]) -> "list[PresentationContext]":
    """Return contexts under which a server may send instances by C-GET, as they are stored.

    The server picks one transfer syntax of each context, so that each syntax has a context of its
    own, as far as the 127 of one association go round.

    Args:
        classes: SOP classes to be received; one that is "" stands for a server that does not
            name them, and then all standard classes get one context each. () for no context.
    """
    from pynetdicom import AllStoragePresentationContexts, build_context

    if not classes:
        return []
    syntaxes = list_syntaxes()
    if "" in classes:
        known = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
        return [build_context(uid, syntaxes) for uid in known[:_MAX_STORAGE_CONTEXTS]]
    each = max(1, _MAX_STORAGE_CONTEXTS // len(classes))
    pairs = [(uid, syntax) for uid in classes for syntax in syntaxes[:each]]
    return [build_context(uid, syntax) for uid, syntax in pairs[:_MAX_STORAGE_CONTEXTS]]


def list_syntaxes() -> list[str]:
    """Return all transfer syntaxes, the most frequent first."""
    from pynetdicom import ALL_TRANSFER_SYNTAXES

    return list(dict.fromkeys([*_FIRST_SYNTAXES, *ALL_TRANSFER_SYNTAXES]))
