"""Attribute values of a DICOM header as plain Python, or a refusal where they are broken."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset


def read_value(dataset: "Dataset", keyword: str) -> object:
    """Return an attribute's value, None where it is absent or empty.

    Raises:
        RefusalError: The attribute is there and cannot be parsed.
    """
    if keyword not in dataset:
        return None
    try:
        value: object = dataset[keyword].value
    except Exception as error:  # noqa: BLE001 - pydicom raises what it meets; any bytes need a verdict
        raise RefusalError(
            "unreadable", f"{keyword} must be parsable, got {type(error).__name__}"
        ) from None
    return None if value is None or (isinstance(value, str | Sequence) and not value) else value


def read_text(dataset: "Dataset", keyword: str) -> str:
    """Return an attribute's only or first value as text, "" where it is absent."""
    values = read_texts(dataset, keyword)
    return values[0] if values else ""


def read_texts(dataset: "Dataset", keyword: str) -> tuple[str, ...]:
    """Return an attribute's values as texts."""
    value = read_value(dataset, keyword)
    if value is None:
        return ()
    many = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return tuple(str(item).strip() for item in many)


def read_number(dataset: "Dataset", keyword: str) -> float | None:
    """Return an attribute's first number, None where it is absent."""
    numbers = _read_all_numbers(dataset, keyword)
    return numbers[0] if numbers else None


def read_integer(dataset: "Dataset", keyword: str, *, default: int) -> int:
    """Return an attribute's first number as an integer."""
    number = read_number(dataset, keyword)
    return default if number is None else int(number)


def read_numbers(dataset: "Dataset", keyword: str, *, count: int) -> tuple[float, ...] | None:
    """Return an attribute's numbers, None where it is absent.

    Raises:
        RefusalError: There are more or fewer numbers than `count`.
    """
    numbers = _read_all_numbers(dataset, keyword)
    if not numbers:
        return None
    if len(numbers) != count:
        raise RefusalError("unreadable", f"{keyword} must have {count} values, got {len(numbers)}")
    return numbers


def _read_all_numbers(dataset: "Dataset", keyword: str) -> tuple[float, ...]:
    """Return an attribute's values as finite numbers."""
    texts = read_texts(dataset, keyword)
    try:
        numbers = tuple(float(text) for text in texts)
    except ValueError:
        raise RefusalError("unreadable", f"{keyword} must be a number, got other text") from None
    if not all(map(math.isfinite, numbers)):
        raise RefusalError("unreadable", f"{keyword} must be finite, got NaN or infinity")
    return numbers


def read_items(dataset: "Dataset", keyword: str) -> "list[Dataset]":
    """Return a sequence's items, none where it is absent.

    Raises:
        RefusalError: The attribute is there and is no sequence.
    """
    value = read_value(dataset, keyword)
    if value is None:
        return []
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise RefusalError("unreadable", f"{keyword} must be a sequence, got another value")
    return list(value)
