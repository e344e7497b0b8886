"""Codes of what becomes of a series that is pulled, and the exceptions that carry them."""

REASONS = {
    "bad-uid": "the server names it by something that is no UID",
    "broken-answer": "the answer ended early, or is not what the protocol asks for",
    "connection-lost": "the connection could not be made, or broke before the answer was whole",
    "count-unknown": "the server neither counts nor lists the instances, so none can be missed",
    "foreign-instances": "the server sent instances of another series, which were not stored",
    "lists-fewer": "the server counts more than it lists",
    "not-listed": "held from an earlier pull, but not all that is asked for could be listed now",
    "no-resources": "the server says that it is short of resources",
    "no-series": "the study has no series of those asked for",
    "no-study": "the server has no study that fits this line of pacs.studies",
    "not-acceptable": "the server will not send it as it is stored",
    "not-asked": "held from an earlier pull, but not what is asked for now",
    "not-found": "the server lists it but does not find it",
    "refused": "the server refuses to hand it out",
    "sent-fewer": "the server reported success and sent fewer instances than it counts",
    "server-error": "the server failed",
    "timed-out": "the server fell silent, or sent less than 1 KiB within pacs.timeout_s",
    "unreachable": "the server had stopped answering, so this was not tried",
}
"""Code to meaning; docs/how-to/pull-from-a-pacs.md repeats them."""


class TransientError(Exception):
    """What may work when it is asked again.

    Args:
        code: A key of REASONS.
        wait_s: How long the server asks to be left alone, in seconds.
    """

    def __init__(self, code: str, *, wait_s: float = 0.0) -> None:
        super().__init__(code)
        self.code = code
        self.wait_s = wait_s


class RefusedError(Exception):
    """What will not work however often it is asked.

    Args:
        code: A key of REASONS.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
