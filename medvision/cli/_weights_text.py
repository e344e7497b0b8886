"""What `medvision weights` says of its sources, line by line."""

from collections.abc import Sequence
from pathlib import Path

from medvision.learn.registry import Source
from medvision.learn.shelf import Receipt, find_place

_TRUST = {
    "published": "as described",
    "prefix": "its first digits as published; the rest is not published",
    "pinned": "as given with --sha256",
    "noted": "none is published; noted, so that a change is found",
}
_UNKNOWN = "not known"


def describe_sources(sources: Sequence[Source], shelf: Path) -> list[str]:
    """Return a table: name, network, dimensions, digest, whether the file is here, title.

    Args:
        sources: What to list.
        shelf: Folder of the weights.
    """
    rows = [("name", "network", "dim", "digest", "here", "what")]
    rows += [
        (
            source.name,
            source.backbone or "",
            f"{source.dimensions}D",
            _say_digest(source),
            "yes" if find_place(source, shelf).is_file() else "no",
            source.title,
        )
        for source in sources
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]) - 1)]
    return [
        "  ".join(
            [*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]
        )
        for row in rows
    ]


def _say_digest(source: Source) -> str:
    """Say in a word how far the digest is published."""
    if source.sha256:
        return "whole"
    return f"{len(source.sha256_prefix)} digits" if source.sha256_prefix else "none"


def describe_source(source: Source, shelf: Path) -> list[str]:
    """Return all that is known of a source, and what to do without internet.

    Args:
        source: What to describe.
        shelf: Folder of the weights.
    """
    expected = source.input
    facts = {
        "what": source.title,
        "network": f"{source.backbone} ({source.dimensions}D), names of {source.layout}",
        "address": source.url,
        "file": source.file,
        "sha256": source.sha256 or _say_prefix(source),
        "licence": source.licence,
        "cite": source.citation,
        "channels": str(expected.channels),
        "scaling": expected.scaling,
        "range": _say_numbers(expected.range),
        "mean": _say_numbers(expected.mean),
        "sd": _say_numbers(expected.sd),
        "BatchNorm": source.norm,
        "head": source.head,
        "notes": source.notes,
        "facts from": source.facts,
    }
    # Mean and deviation that are absent are none, not unknown.
    optional = {"range", "mean", "sd"} if expected.scaling else set()
    lines = [source.name]
    lines += [
        f"  {key:<11}{value or _UNKNOWN}"
        for key, value in facts.items()
        if value or key not in optional
    ]
    return [*lines, "", *_say_steps(source, shelf)]


def _say_prefix(source: Source) -> str | None:
    """Return the published digits of a digest."""
    return f"begins with {source.sha256_prefix}" if source.sha256_prefix else None


def _say_numbers(values: Sequence[float] | None) -> str | None:
    """Return numbers as text."""
    return ", ".join(f"{value:g}" for value in values) if values else None


def _say_steps(source: Source, shelf: Path) -> list[str]:
    """Say whether the file is here, and how it gets here with internet and without."""
    place = find_place(source, shelf)
    if place.is_file():
        return [f"Here: {place}", f"Use it: model.weights: {source.name}"]
    pin = "" if source.sha256 or source.sha256_prefix else " --sha256 DIGEST"
    lines = [f"Not here. It will lie at {place}"]
    if source.url:
        lines.append(f"With internet:    medvision weights add {source.name}{pin}")
    where = f"fetch {source.url} elsewhere" if source.url else f"find the file {source.file}"
    lines.append(f"Without internet: {where}, bring it here, then")
    lines.append(f"                  medvision weights add {source.name} {source.file}")
    return lines


def describe_receipt(receipt: Receipt) -> str:
    """Return a file's digest and what it was held to.

    Args:
        receipt: What is known of the file.
    """
    return f"sha256 {receipt.sha256} ({_TRUST[receipt.trust]})"
