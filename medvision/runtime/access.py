"""Who may read what is written: the umask of the configuration, for as long as a command runs."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

UMASK = "MEDVISION_UMASK"
"""Set by the workflow, whose jobs are not given the umask as a setting: a change of who may read
computes nothing again."""


@contextmanager
def obeying_umask(text: str, *, environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """Write files and folders under a umask, and go back to the process's own.

    Args:
        text: Three octal digits, such as 027: what the group may not write, and others not read.
        environment: Variables, of which the workflow's word on the umask goes first; the process's
            own when omitted.
    """
    told = (os.environ if environment is None else environment).get(UMASK) or text
    held = os.umask(int(told, 8))
    try:
        yield
    finally:
        os.umask(held)
