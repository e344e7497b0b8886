"""The sections of buckets: where input is fetched from, and where the sealed bundle is put."""

import re
from typing import Annotated, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from medvision.config.pacs import CREDENTIALS, PacsSection
from medvision.config.sections import DataSection, Section

BUCKET_CREDENTIALS = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    # The older name of the last, which botocore still reads.
    "AWS_SECURITY_TOKEN",
)
"""Variables that only `medvision fetch` and `medvision publish` read."""

TRACKING_CREDENTIALS = tuple(
    f"MLFLOW_TRACKING_{word}" for word in ("USERNAME", "PASSWORD", "TOKEN")
)
"""Variables that only a training reads which MLflow shows (`train.mlflow`)."""

SECRETS = (*CREDENTIALS, *BUCKET_CREDENTIALS, *TRACKING_CREDENTIALS)
"""All variables that no other command is handed."""

_ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")
_SERVICE = "of S3; AWS's own, or what AWS_ENDPOINT_URL_S3 says, when omitted."

Connections = Annotated[int, Field(ge=1, le=64)]
Endpoint = Annotated[str, Field(description=f"Address of a server {_SERVICE}")]


class BucketSection(Section):
    """What the sections of buckets have alike: a checked address, at a checked server."""

    address: ClassVar[str]
    """`section.field` of the bucket's address."""

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        """Refuse addresses that are none."""
        held = dict(self)
        field = self.address.partition(".")[-1]
        check_addresses(self.address, held[field], endpoint=held["endpoint"])
        return self


class FetchSection(BucketSection):
    """Images fetched from a bucket of S3 before ingestion; then data.path stays empty."""

    address = "fetch.source"

    source: str = Field(
        "",
        description="Bucket and prefix, such as s3://hospital/chest-ct: all objects below it are "
        "fetched. Credentials come from the environment or the files of AWS's own tools.",
    )
    endpoint: Endpoint = ""
    connections: Connections = Field(8, description="Objects fetched at a time.")


class PublishSection(BucketSection):
    """The sealed bundle put into a bucket of S3, as the last step."""

    address = "publish.target"

    target: str = Field(
        "",
        description="Bucket and prefix, such as s3://hospital/results: the bundle goes into a "
        "folder there that bears its root digest, and nothing is ever overwritten.",
    )
    endpoint: Endpoint = ""
    connections: Connections = Field(8, description="Files sent at a time.")


def check_addresses(field: str, address: str, *, endpoint: str) -> None:
    """Refuse a bucket's address, or its server's, that is none or would carry a secret.

    Raises:
        ValueError: With the rule that was broken.
    """
    if address and not _ADDRESS.fullmatch(address):
        raise ValueError(f"{field} must be s3://bucket or s3://bucket/prefix, got another address")
    if not endpoint:
        return
    where = f"{field.partition('.')[0]}.endpoint"
    try:
        parts = urlsplit(endpoint)
        is_plain = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_plain = False
    if not is_plain or parts.query or parts.fragment:
        raise ValueError(f"{where} must be an http or https address without query")
    if parts.username or parts.password:
        raise ValueError(f"{where} must hold no user or password; set them in the environment")


def check_input(data: DataSection, pacs: PacsSection, fetch: FetchSection) -> None:
    """Refuse images that come from nowhere, or from two places.

    Raises:
        ValueError: With the rule that was broken.
    """
    if data.kind == "phantom" and (data.path or data.labels):
        raise ValueError("data.path and data.labels must be empty for kind phantom")
    is_pulled, is_fetched = pacs.protocol != "none", bool(fetch.source)
    if is_pulled and (data.kind != "dicom" or data.path or is_fetched):
        raise ValueError(
            "data.kind must be dicom, data.path and fetch.source empty, where pacs.protocol is set"
        )
    if is_fetched and (data.kind == "phantom" or data.path):
        raise ValueError(
            "data.kind must be dicom or nifti, data.path empty, where fetch.source is set"
        )
    for name, is_set in (("pacs.protocol", is_pulled), ("fetch.source", is_fetched)):
        if is_set and not data.labels:
            raise ValueError(f"data.labels must be given where {name} is set")
    has_input = data.labels and (data.path or is_pulled or is_fetched)
    if data.kind != "phantom" and not has_input:
        raise ValueError(f"data.path and data.labels must be given for kind {data.kind}")


def split_address(address: str) -> tuple[str, str]:
    """Return bucket and prefix of a checked address; the prefix is empty or ends with a slash."""
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    return bucket, f"{prefix}/" if prefix else ""
