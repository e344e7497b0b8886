"""Canonical JSON: one value has one text, so that its digest means the value."""

import json

import rfc8785

from medvision.domain.record import JsonValue
from medvision.errors import AuditError

_MAX_BYTES = 256 * 2**20


def write_canonical(value: JsonValue) -> bytes:
    """Return the canonical text of a JSON value.

    Keys are sorted and there is no white space. For the strings, whole numbers and lists that a
    manifest holds this is RFC 8785; numbers with a fraction are written as Python does.

    Source:
        RFC 8785, JSON Canonicalization Scheme.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def write_rfc8785(value: JsonValue, *, where: str) -> bytes:
    """Return the canonical text of a JSON value that may hold numbers with a fraction.

    Args:
        value: What is written; no NaN, and no whole number beyond 2**53.
        where: Name of the file, for the message.

    Raises:
        AuditError: A value has no canonical text.

    Source:
        RFC 8785, JSON Canonicalization Scheme.
    """
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise AuditError(f"{where}: values must have an RFC 8785 text, got {error}.") from error


def read_rfc8785(content: bytes, *, where: str) -> JsonValue:
    """Read JSON and refuse any text of it but that of RFC 8785.

    Raises:
        AuditError: As `read_plain`, or the text is another.
    """
    value = read_plain(content, where=where)
    if write_rfc8785(value, where=where) != content:
        raise AuditError(f"{where}: file must be spelt as RFC 8785 says, got another spelling.")
    return value


def read_plain(content: bytes, *, where: str) -> JsonValue:
    """Read JSON that somebody else may have written.

    Args:
        content: The file's bytes.
        where: Name of the file, for the message.

    Raises:
        AuditError: It is no JSON, holds a key twice or NaN, or is too large or too deep.
    """
    if len(content) > _MAX_BYTES:
        raise AuditError(f"{where}: file must be at most {_MAX_BYTES} bytes, got {len(content)}.")
    try:
        value: JsonValue = json.loads(
            content.decode(), object_pairs_hook=_refuse_repeated, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise AuditError(f"{where}: file must be plain JSON, got {error}.") from error
    return value


def read_canonical(content: bytes, *, where: str) -> JsonValue:
    """Read JSON and refuse any text of it but the canonical one.

    Raises:
        AuditError: As `read_plain`, or the text is another than the canonical one.
    """
    value = read_plain(content, where=where)
    try:
        same = write_canonical(value) == content
    except (ValueError, RecursionError) as error:
        raise AuditError(f"{where}: file must be canonical JSON, got {error}.") from error
    if not same:
        raise AuditError(
            f"{where}: file must be canonical JSON, got other white space, order or spelling."
        )
    return value


def _refuse_repeated(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    """Refuse an object that says one key twice: readers would disagree on its meaning."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key that is said twice")
    return result


def _refuse_constant(text: str) -> JsonValue:
    """Refuse NaN and infinity, which JSON does not have."""
    raise ValueError(f"the number {text}")
