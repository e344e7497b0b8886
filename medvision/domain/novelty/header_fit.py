"""What an image's header says that no train image's does: scanner, modality, spacing, size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.novelty.vendors import name_vendor

SLACK = 0.1
"""Part of the train images' range by which a number may lie beyond it."""

_AXES = ("i", "j", "k")


@dataclass(frozen=True)
class HeaderFacts:
    """What one image's header says; what it does not say is left out.

    Args:
        words: Name of a fact to its value.
        numbers: Name of a fact, with its unit, to its value.
    """

    words: Mapping[str, str]
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class HeaderDifference:
    """One fact in which an image's header differs from all train images'.

    Args:
        fact: Its name, with the unit of a number.
        found: What the image's header says.
        train: What those of the train images say: words joined by "or", or a range.
    """

    fact: str
    found: str
    train: str


@dataclass(frozen=True)
class KnownHeaders:
    """What the headers of some images say.

    Args:
        words: Name of a fact to all its values.
        ranges: Name of a fact to its least and its largest value.
    """

    words: Mapping[str, frozenset[str]]
    ranges: Mapping[str, tuple[float, float]]


def parse_header(row: Mapping[str, str], scanner: Mapping[str, str]) -> HeaderFacts:
    """Gather the facts of one image.

    Args:
        row: Its row of the manifest.
        scanner: What is known of the scanner, `manufacturer` and `field strength (T)`; may be
            empty. Of the manufacturer's text only the name of a known vendor goes on, or `other`.
    """
    words = {name: row.get(name, "") for name in ("modality", "orientation", "units")}
    words["manufacturer"] = name_vendor(scanner.get("manufacturer", ""))
    numbers = {
        **_part("spacing along {} (mm)", row.get("spacing_mm", "")),
        **_part("voxels along {}", row.get("shape", "")),
        **_read("field strength (T)", scanner.get("field strength (T)", "")),
    }
    return HeaderFacts({name: text for name, text in words.items() if text}, numbers)


def gather_headers(every: Sequence[HeaderFacts]) -> KnownHeaders:
    """Return all that the headers of some images say.

    Args:
        every: The images.
    """
    words: dict[str, set[str]] = {}
    numbers: dict[str, list[float]] = {}
    for facts in every:
        for name, text in facts.words.items():
            words.setdefault(name, set()).add(text)
        for name, number in facts.numbers.items():
            numbers.setdefault(name, []).append(number)
    return KnownHeaders(
        {name: frozenset(held) for name, held in words.items()},
        {name: (min(held), max(held)) for name, held in numbers.items()},
    )


def list_differences(facts: HeaderFacts, train: KnownHeaders) -> tuple[HeaderDifference, ...]:
    """Say in what an image differs from all train images.

    A word differs where no train image has it, a number where it lies beyond the range of the train
    images by more than a tenth. What is known of no train image cannot differ.

    Args:
        facts: The image.
        train: What the headers of the train images say.

    Returns:
        In the order of the facts; none where it differs in nothing.
    """
    strange = [
        HeaderDifference(name, text, " or ".join(sorted(train.words[name])))
        for name, text in facts.words.items()
        if text not in train.words.get(name, frozenset({text}))
    ]
    return (*strange, *_list_beyond(facts.numbers, train.ranges))


def _list_beyond(
    numbers: Mapping[str, float], ranges: Mapping[str, tuple[float, float]]
) -> list[HeaderDifference]:
    """Say which numbers lie beyond their range."""
    found = []
    for name, number in numbers.items():
        low, high = ranges.get(name, (number, number))
        if number < low * (1 - SLACK) or number > high * (1 + SLACK):
            span = f"{low:g}" if low == high else f"{low:g} to {high:g}"
            found.append(HeaderDifference(name, f"{number:g}", span))
    return found


def _part(name: str, text: str) -> dict[str, float]:
    """Return the numbers of a cell such as `0.7x0.7x5`, one of each axis; a fourth is left out."""
    held: dict[str, float] = {}
    for axis, part in zip(_AXES, text.split("x"), strict=False):
        held |= _read(name.format(axis), part)
    return held


def _read(name: str, text: str) -> dict[str, float]:
    """Return a number under its name; nothing where the text is none, or not above 0."""
    try:
        value = float(text)
    except ValueError:
        return {}
    return {name: value} if 0 < value < float("inf") else {}
