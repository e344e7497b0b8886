"""Test images of findings or of a value that went worst, and those that were least certain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medvision.domain.labels.findings import parse_findings
from medvision.domain.labels.values import Values
from medvision.domain.metrics.weighted import Flags
from medvision.report.sources import Row, parse_number

MAX_FINDINGS = 16
"""Findings whose worst images are shown."""

MAX_OF_FINDING = 3
"""Worst images of each finding."""

MAX_ROWS = 12
"""Images of each other list."""

_HALF = 0.5


@dataclass(frozen=True)
class FindingRow:
    """One finding of one test image.

    Args:
        image_id: The image's name.
        finding: The finding.
        is_there: Whether the label says that it is there.
        probability: What the networks that tested the image said on average.
    """

    image_id: str
    finding: str
    is_there: bool
    probability: float


@dataclass(frozen=True)
class FindingErrors:
    """Where one finding went wrong.

    Args:
        name: The finding.
        n_known: Test images of which it is known.
        n_missed: Images that have it with a mean probability below one half.
        n_false: Images without it and one of one half or more.
        worst: The images whose probability lies farthest from their label.
    """

    name: str
    n_known: int
    n_missed: int
    n_false: int
    worst: tuple[FindingRow, ...]


@dataclass(frozen=True)
class ValueRow:
    """The value of one test image.

    Args:
        image_id: Its name.
        true: True value.
        predicted: Mean over the networks that tested the image.
        spread: Standard deviation over these networks; None of one network.
    """

    image_id: str
    true: float
    predicted: float
    spread: float | None

    @property
    def error(self) -> float:
        """Return predicted minus true."""
        return self.predicted - self.true


def find_finding_errors(
    by_image: Mapping[str, Sequence[Row]], names: Sequence[str]
) -> tuple[tuple[FindingErrors, ...], tuple[FindingRow, ...]]:
    """Find the worst images of each finding, and the least certain of all.

    Args:
        by_image: image_id to its rows of predictions, one per network that tested it.
        names: Findings in their order.

    Returns:
        (errors of the first `MAX_FINDINGS` findings that have a wrong image, most wrong ones
        first; the `MAX_ROWS` findings of images whose probability is nearest to one half).
    """
    images = sorted(by_image)
    truth = parse_findings([by_image[image][0]["label"] for image in images], names)
    means = np.array([_average(by_image[image], names) for image in images])
    is_known = ~np.isnan(truth) & ~np.isnan(means)
    there = truth > _HALF
    held = [
        _sum_up(name, images, known=is_known[:, n], there=there[:, n], means=means[:, n])
        for n, name in enumerate(names)
    ]
    wrong = sorted(
        (each for each in held if each.worst), key=lambda each: -(each.n_missed + each.n_false)
    )
    margins = np.where(is_known, np.abs(means - _HALF), np.inf)
    order = np.argsort(margins, axis=None, kind="stable")[: min(MAX_ROWS, int(is_known.sum()))]
    unsure = [
        FindingRow(images[row], names[column], bool(there[row, column]), float(means[row, column]))
        for row, column in zip(*np.unravel_index(order, margins.shape), strict=True)
    ]
    return tuple(wrong[:MAX_FINDINGS]), tuple(unsure)


def _average(rows: Sequence[Row], names: Sequence[str]) -> list[float]:
    """Return the mean probability of each finding over the networks that tested an image."""
    values = [[parse_number(row.get(f"probability_{name}")) for name in names] for row in rows]
    held = [[np.nan if value is None else value for value in each] for each in values]
    return held[0] if len(held) == 1 else np.mean(held, axis=0).tolist()


def _sum_up(
    name: str, images: Sequence[str], *, known: Flags, there: Flags, means: Values
) -> FindingErrors:
    """Count the wrong images of one finding, and keep the worst."""
    wrong = known & ((means >= _HALF) != there)
    places = np.flatnonzero(wrong)
    order = np.argsort(-np.abs(means[places] - there[places]), kind="stable")
    return FindingErrors(
        name=name,
        n_known=int(known.sum()),
        n_missed=int((wrong & there).sum()),
        n_false=int((wrong & ~there).sum()),
        worst=tuple(
            FindingRow(images[n], name, bool(there[n]), float(means[n]))
            for n in places[order][:MAX_OF_FINDING].tolist()
        ),
    )


def find_value_errors(
    by_image: Mapping[str, Sequence[Row]],
) -> tuple[tuple[ValueRow, ...], tuple[ValueRow, ...]]:
    """Find the images of the largest errors, and those on which the networks differ most.

    Args:
        by_image: image_id to its rows of predictions, one per network that tested it.

    Returns:
        (largest errors; largest spreads, none where one network tested each), `MAX_ROWS` each.
    """
    rows = [_build_value(by_image[image]) for image in sorted(by_image)]
    worst = sorted(rows, key=lambda row: -abs(row.error))
    spread = [row for row in rows if row.spread is not None]
    spread.sort(key=lambda row: -(row.spread or 0.0))
    return tuple(worst[:MAX_ROWS]), tuple(spread[:MAX_ROWS])


def _build_value(rows: Sequence[Row]) -> ValueRow:
    """Return one image's value, true and predicted."""
    values = [parse_number(row["predicted"]) or 0.0 for row in rows]
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    true = parse_number(rows[0]["label"]) or 0.0
    return ValueRow(rows[0]["image_id"], true, float(np.mean(values)), spread)
