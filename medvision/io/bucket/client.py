"""A bucket of S3 through boto3: listed, read and written, each fault in words of our own."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, TypedDict

from medvision.errors import ConfigError, MedvisionError

_REGION = "us-east-1"
_SHA256 = "sha256"
_CREDENTIALS = {
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"),
    *("TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError", "ProfileNotFound"),
}
_REFUSALS = {
    *("403", "AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
    *("ExpiredToken", "InvalidToken", "UnauthorizedAccess"),
}
_TAKEN = {"PreconditionFailed", "412"}


class _Listed(TypedDict):
    """One object, as a page of a listing has it."""

    Key: str
    Size: int
    ETag: str


class _Page(TypedDict, total=False):
    """One page of a listing."""

    Contents: list[_Listed]


class _Paginator(Protocol):
    """What lists a bucket page by page."""

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[_Page]: ...  # noqa: N803 - boto3's names


class _Got(TypedDict):
    """The answer to a request for an object."""

    Body: IO[bytes]


class _Head(TypedDict):
    """What is said of an object."""

    ContentLength: int
    Metadata: dict[str, str]


class Client(Protocol):
    """As much of boto3's client as is called here."""

    def get_paginator(self, name: str) -> _Paginator: ...
    def get_object(self, **words: str) -> _Got: ...
    def head_object(self, **words: str) -> _Head: ...
    def put_object(self, **words: object) -> object: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Item:
    """One object.

    Args:
        name: Its key below the prefix; raw, never to be shown.
        size: Bytes.
        etag: The server's name for these bytes.
    """

    name: str
    size: int
    etag: str


@dataclass(frozen=True)
class Bucket:
    """A bucket, and the prefix below which we work.

    Args:
        client: Of boto3.
        name: The bucket.
        prefix: Empty, or with a slash at its end.
        field: Configuration field that names it, for messages.
        family: The error that its faults become.
    """

    client: Client
    name: str
    prefix: str
    field: str
    family: type[MedvisionError]

    def list_items(self, within: str = "") -> Iterator[Item]:
        """Yield the objects below the prefix, in the order of their keys; no folder's markers.

        Args:
            within: A further prefix below ours.

        Raises:
            MedvisionError: As `faults`.
        """
        prefix = self.prefix + within
        with self.faults():
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.name, Prefix=prefix):
                for held in page.get("Contents", []):
                    # With bytes of its own it is no marker.
                    if held["Size"] or not held["Key"].endswith("/"):
                        name = held["Key"].removeprefix(self.prefix)
                        yield Item(name, held["Size"], held["ETag"])

    def open_item(self, item: Item) -> IO[bytes]:
        """Return the bytes of an object, as long as they are those that were listed."""
        got = self.client.get_object(
            Bucket=self.name, Key=self.prefix + item.name, IfMatch=item.etag
        )
        return got["Body"]

    def read_digest(self, name: str) -> str:
        """Return the sha256 that `put_file` left beside an object; "" for another's object.

        Raises:
            MedvisionError: As `faults`.
        """
        with self.faults():
            head = self.client.head_object(Bucket=self.name, Key=self.prefix + name)
        return head["Metadata"].get(_SHA256, "")

    def put_file(self, name: str, path: Path, *, digest: str) -> bool:
        """Send a file; the server refuses bytes that do not have its digest.

        It is asked to refuse too where an object has the name by now.

        Args:
            name: Key below the prefix.
            path: The file.
            digest: Its sha256, in hexadecimal.

        Returns:
            Whether the name was free.

        Raises:
            MedvisionError: As `faults`.
        """
        from botocore.exceptions import ClientError

        checksum = base64.b64encode(bytes.fromhex(digest)).decode("ascii")
        with self.faults(), path.open("rb") as stream:
            try:
                self.client.put_object(
                    Bucket=self.name,
                    Key=self.prefix + name,
                    Body=stream,
                    ChecksumSHA256=checksum,
                    Metadata={_SHA256: digest},
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if read_code(error) not in _TAKEN:
                    raise
                return False
        return True

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turn what boto3 raises into an error that names field, rule and code, and no key.

        Raises:
            ConfigError: There are no credentials, or they cannot be used.
            MedvisionError: Of the family: no such bucket, no access, or no answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = read_code(error)
            raise self.family(*_describe(self.field, code)) from None
        except BotoCoreError as error:
            name = type(error).__name__
            if name in _CREDENTIALS:
                raise _miss_credentials(name) from None
            message = f"{self.field}: the server must answer, got {name}."
            hint = "check the endpoint and the network; a rerun goes on where this one stopped."
            raise self.family(message, hint) from None


def open_bucket(
    field: str,
    bucket: str,
    prefix: str,
    *,
    endpoint: str,
    connections: int,
    family: type[MedvisionError],
) -> Bucket:
    """Return a bucket, ready to be asked; nothing is asked yet.

    Args:
        field: Configuration field that names it, for messages.
        bucket: Its name.
        prefix: Empty, or with a slash at its end.
        endpoint: Address of the server; AWS's own where empty.
        connections: Requests at a time.
        family: The error that its faults become.

    Raises:
        ConfigError: boto3 is not installed, or the profile of AWS_PROFILE does not exist.
    """
    try:
        from boto3.session import Session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        message = f"{field}: the package boto3 must be installed, got none."
        raise ConfigError(message, "pip install 'medvision[s3]'.") from error
    settings = Config(
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=20,
        read_timeout=60,
        # Servers of one's own rarely have a name for each bucket.
        s3={"addressing_style": "path"} if endpoint else None,
    )
    try:
        session = Session()
        client: Client = session.client(
            "s3",
            endpoint_url=endpoint or None,
            region_name=session.region_name or _REGION,
            config=settings,
        )
    except (BotoCoreError, ValueError) as error:
        raise _miss_credentials(type(error).__name__) from None
    return Bucket(client, bucket, prefix, field, family)


def read_code(error: Exception) -> str:
    """Return the code of the server's refusal, such as NoSuchKey or 404."""
    answer = getattr(error, "response", {})
    code = str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""
    return code if code.isalnum() else "no code"


def _describe(field: str, code: str) -> tuple[str, str]:
    """Return message and hint for a refusal."""
    if code in {"NoSuchBucket", "404"}:
        hint = "correct the name; no bucket is ever made."
        return f"{field}: bucket must exist at this server, got {code}.", hint
    if code in _REFUSALS:
        hint = "check the credentials, and what they allow: to list and to read, or to write."
        return f"{field}: access must be allowed, got {code}.", hint
    hint = "look the code up in the server's manual; a rerun goes on where this one stopped."
    return f"{field}: the server must do as it is asked, got {code}.", hint


def _miss_credentials(name: str) -> ConfigError:
    """Return the error for credentials that are none."""
    return ConfigError(
        f"environment: credentials for the bucket must be given, got {name}.",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for those in ~/.aws.",
    )
