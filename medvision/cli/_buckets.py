"""A bucket that a section of the configuration names, ready to be asked."""

from typing import TYPE_CHECKING

from medvision.config.bucket import FetchSection, PublishSection, split_address
from medvision.errors import ConfigError, MedvisionError

if TYPE_CHECKING:
    from medvision.io.bucket.client import Bucket


def open_named(
    section: FetchSection | PublishSection, address: str, *, family: type[MedvisionError]
) -> "Bucket":
    """Return the bucket of a section; nothing is asked yet.

    Args:
        section: Names field, server and connections.
        address: Bucket and prefix, as the section has it.
        family: The error that its faults become.

    Raises:
        ConfigError: No bucket is named, or the client of S3 is not installed.
    """
    from medvision.io.bucket.client import open_bucket

    field = section.address
    if not address:
        raise ConfigError(
            f"{field}: bucket and prefix must be given, got none.",
            f"set section {field.partition('.')[0]}; see docs/how-to/use-a-bucket.md.",
        )
    return open_bucket(
        field,
        *split_address(address),
        endpoint=section.endpoint,
        connections=section.connections,
        family=family,
    )
