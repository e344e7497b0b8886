"""Attribute values of a DICOM header as plain Python, or a refusal where they are broken."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Union

from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

Texts = Mapping[str, tuple[str, ...]]
"""Keyword to values as texts without padding; no values where the attribute is empty."""

Attributes = Union["Dataset", Texts]
"""Attributes by keyword, as pydicom or the bounded scan has them."""


class DatasetTexts(Texts):
    """pydicom's attributes as texts, each read when it is asked for.

    So an attribute that cannot be parsed refuses only what needs it.

    Args:
        dataset: The attributes.
    """

    def __init__(self, dataset: "Dataset") -> None:
        self._dataset = dataset

    def __getitem__(self, keyword: str) -> tuple[str, ...]:
        """Return an attribute's values.

        Raises:
            KeyError: The attribute is absent.
            RefusalError: The attribute is there and cannot be parsed.
        """
        if keyword not in self._dataset:
            raise KeyError(keyword)
        return read_texts(self._dataset, keyword)

    def __contains__(self, keyword: object) -> bool:
        """Say whether an attribute is there, without parsing it."""
        return isinstance(keyword, str) and keyword in self._dataset

    def __iter__(self) -> Iterator[str]:
        """Return the keywords of all attributes that have one."""
        return (element.keyword for element in self._dataset if element.keyword)

    def __len__(self) -> int:
        """Return how many attributes have a keyword."""
        return sum(1 for _ in self)


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


def read_text(header: Attributes, keyword: str) -> str:
    """Return an attribute's only or first value as text, "" where it is absent."""
    values = read_texts(header, keyword)
    return values[0] if values else ""


def read_capitals(header: Attributes, keyword: str) -> tuple[str, ...]:
    """Return an attribute's values as texts in capitals, as code strings are meant to be."""
    return tuple([text.upper() for text in read_texts(header, keyword)])


def read_texts(header: Attributes, keyword: str) -> tuple[str, ...]:
    """Return an attribute's values as texts, none where it is absent.

    Raises:
        RefusalError: The attribute is there and cannot be parsed.
    """
    # The bounded scan's attributes come as a plain dict, which is told faster than a Mapping.
    if isinstance(header, dict | Mapping):
        return header.get(keyword, ())
    value = read_value(header, keyword)
    if value is None:
        return ()
    if keyword == "PatientName":
        # The name as first written (PS3.5 6.2.1.2); an empty one is an object, too.
        written = str(value).partition("=")[0].strip()
        return (written,) if written else ()
    is_many = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    many = value if is_many and isinstance(value, Sequence) else [value]
    if any(isinstance(item, bytes) or hasattr(item, "get_item") for item in many):
        raise RefusalError("unreadable", f"{keyword} must be text or numbers, got others")
    return tuple(str(item).strip() for item in many)


def read_softly(header: Attributes, keyword: str) -> tuple[str, ...]:
    """Return an attribute's values as texts, none where it is absent or cannot be parsed."""
    try:
        return read_texts(header, keyword)
    except RefusalError:
        return ()


def read_number(header: Attributes, keyword: str) -> float | None:
    """Return an attribute's first number, None where it is absent."""
    numbers = _read_all_numbers(header, keyword)
    return numbers[0] if numbers else None


def read_integer(header: Attributes, keyword: str, *, default: int) -> int:
    """Return an attribute's first number as an integer."""
    number = read_number(header, keyword)
    return default if number is None else int(number)


def read_numbers(header: Attributes, keyword: str, *, count: int) -> tuple[float, ...] | None:
    """Return an attribute's numbers, None where it is absent.

    Raises:
        RefusalError: There are more or fewer numbers than `count`.
    """
    numbers = _read_all_numbers(header, keyword)
    if not numbers:
        return None
    if len(numbers) != count:
        raise RefusalError("unreadable", f"{keyword} must have {count} values, got {len(numbers)}")
    return numbers


def _read_all_numbers(header: Attributes, keyword: str) -> tuple[float, ...]:
    """Return an attribute's values as finite numbers."""
    texts = read_texts(header, keyword)
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
