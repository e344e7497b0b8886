"""Quality of a cohort's images: measures against fixed limits and against the cohort itself."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from medvision.domain.quality.outlier import OUTLIER_RULES, find_bounds

RULES = {
    "unreadable": "the image could not be read",
    "constant": "every voxel has the same value",
    "blank": "nearly every pixel has the same value, or none is a number",
    "not-finite": "some voxels are no number",
    "clipped": "many pixels lie at the highest, or within the body at the lowest, value",
    "truncated": "the body touches much of the border of its field",
    "noise": "more noise than in the cohort",
    "blur": "edges less steep than in the cohort",
    "ghosting": "more signal beside the body along one axis than along the other",
    "spacing": "voxel size unlike the cohort's",
    "size": "number of pixels or planes unlike the cohort's",
    "intensity": "values unlike the cohort's",
    "orientation": "fits the cohort's mean image better when turned or mirrored",
    "unlike-cohort": "fits the cohort's mean image in no orientation; perhaps another body part",
    "text": "ingestion said that text may be part of the pixels",
}
"""Rule to what a finding by it means, in the order in which findings are listed."""


_MOST_OUTLIERS = 0.2
"""Share of a group beyond which those outside a bound are no outliers but a second kind."""

_USUAL_FIT = 10
"""Percentile of the fits of a group from which a fit counts as good."""


@dataclass(frozen=True)
class MeasuredImage:
    """One image of the cohort with its measures.

    Args:
        image_id: Pseudonymous name of the image.
        group: Images that may be compared share one, such as `3D CT`.
        values: Measure to value, None where it cannot be told.
        reason: Why it was not measured, or empty.
        turn: The orientation in which it fits the cohort best, or empty.
        is_inverted: It fits the cohort better with its grey levels inverted.
        text: Flag of ingestion that speaks of text in the pixels, or empty.
    """

    image_id: str
    group: str
    values: Mapping[str, float | None] = field(default_factory=dict)
    reason: str = ""
    turn: str = ""
    is_inverted: bool = False
    text: str = ""


@dataclass(frozen=True)
class Finding:
    """What one rule says of one image.

    Args:
        image_id: The image.
        rule: A name of `RULES`.
        measure: What was measured, or empty.
        value: Its value.
        limit: The limit that it passed, in the same unit.
        detail: More words, or empty.
        action: flagged or excluded.
    """

    image_id: str
    rule: str
    measure: str = ""
    value: float | None = None
    limit: float | None = None
    detail: str = ""
    action: str = "flagged"


def find_findings(
    images: Sequence[MeasuredImage],
    *,
    exclude: Sequence[str],
    outlier_z: float,
    minimum_group: int,
    blank_share: float,
    clipped_share: float,
    truncated_share: float,
    orientation_gain: float,
) -> list[Finding]:
    """Apply every rule to every image.

    Args:
        images: The cohort.
        exclude: Rules whose finding excludes the image; every other flags it.
        outlier_z: Robust z beyond which a measure is an outlier of its group.
        minimum_group: Images of a group below which it is compared with nothing.
        blank_share: Share of pixels of one value from which an image is blank.
        clipped_share: Share of pixels at an end of the scale beyond which it is clipped.
        truncated_share: Share of the border beyond which a body is truncated.
        orientation_gain: Gain of correlation beyond which another orientation fits better.

    Returns:
        Findings by image_id, then in the order of `RULES`, then by measure.

    Source:
        none: own definition; the outliers as `domain.outlier` says.
    """
    limits = {
        "clipped_low_share": ("clipped", clipped_share),
        "clipped_high_share": ("clipped", clipped_share),
        "border_share": ("truncated", truncated_share),
    }
    found: list[Finding] = []
    sound: defaultdict[str, list[MeasuredImage]] = defaultdict(list)
    for image in images:
        spoilt = find_spoilt(image, blank_share=blank_share)
        if spoilt is not None:
            found.append(spoilt)
            continue
        sound[image.group].append(image)
        found += _find_passed(image, limits)
    for group in sound.values():
        if len(group) >= minimum_group:
            found += _find_outliers(group, outlier_z=outlier_z)
            found += _find_turned(group, orientation_gain=orientation_gain)
    order = {rule: place for place, rule in enumerate(RULES)}
    found.sort(key=lambda item: (item.image_id, order[item.rule], item.measure))
    return [_act(item, exclude) for item in found]


def choose_groups(groups: Mapping[str, tuple[str, str]], *, minimum_group: int) -> dict[str, str]:
    """Say which images may be compared: those of a modality, or of all where those are too few.

    Args:
        groups: Image to its (dimensions, modality).
        minimum_group: Images that a modality needs to stand for itself.

    Returns:
        Image to the name of its group.
    """
    n_images: defaultdict[tuple[str, str], int] = defaultdict(int)
    for key in groups.values():
        n_images[key] += 1
    return {
        image_id: f"{key[0]} {key[1]}" if n_images[key] >= minimum_group else f"{key[0]} other"
        for image_id, key in groups.items()
    }


def find_spoilt(image: MeasuredImage, *, blank_share: float) -> Finding | None:
    """Return the finding of an image in which there is nothing to see.

    Such an image gets no other finding and is no part of its group.

    Args:
        image: The image.
        blank_share: Share of pixels of one value from which it is blank.

    Returns:
        A finding by the rule unreadable, constant or blank, or None.
    """
    if image.reason:
        return Finding(image.image_id, "unreadable", detail=image.reason)
    low, high = image.values.get("minimum"), image.values.get("maximum")
    if low is None or high is None:
        return Finding(image.image_id, "blank", "finite_share", 0.0, detail="no finite voxel")
    if low == high:
        return Finding(image.image_id, "constant", "maximum", high, low)
    share = image.values.get("single_value_share")
    if share is not None and share >= blank_share:
        return Finding(image.image_id, "blank", "single_value_share", share, blank_share)
    return None


def _find_passed(
    image: MeasuredImage, limits: Mapping[str, tuple[str, float]]
) -> Iterator[Finding]:
    """Yield the findings that need no cohort."""
    finite = image.values.get("finite_share")
    if finite is not None and finite < 1:
        yield Finding(image.image_id, "not-finite", "finite_share", finite, 1.0)
    if image.text:
        yield Finding(image.image_id, "text", detail=image.text)
    for measure, (rule, limit) in limits.items():
        value = image.values.get(measure)
        if value is not None and value > limit:
            yield Finding(image.image_id, rule, measure, value, limit)


def _find_outliers(group: Sequence[MeasuredImage], *, outlier_z: float) -> Iterator[Finding]:
    """Yield the findings of one group against itself."""
    inverted = {image.image_id for image in group if image.is_inverted}
    for measure, kind in OUTLIER_RULES.items():
        held = _gather(group, measure)
        units = list(_gather(group, kind.floor_unit).values())
        unit = float(np.median(units)) if units else 1.0
        bounds = find_bounds(list(held.values()), kind, outlier_z=outlier_z, unit=unit)
        if bounds is None:
            continue
        passed = {image_id: bounds.passed(value) for image_id, value in held.items()}
        n_beyond = Counter(passed.values())
        for image_id, value in held.items():
            limit = passed[image_id]
            if limit is not None and n_beyond[limit] <= _MOST_OUTLIERS * len(held):
                is_inverted = measure == "cohort_fit" and image_id in inverted
                detail = "perhaps grey levels inverted" if is_inverted else ""
                yield Finding(image_id, kind.rule, measure, value, limit, detail)


def _find_turned(group: Sequence[MeasuredImage], *, orientation_gain: float) -> Iterator[Finding]:
    """Yield the images that fit better turned, and then as well as others of their group.

    What fits badly in every orientation is odd in another way.
    """
    fits = list(_gather(group, "cohort_fit").values())
    usual = float(np.percentile(fits, _USUAL_FIT)) if fits else 0.0
    for image in group:
        gain, fit = image.values.get("turn_gain"), image.values.get("cohort_fit")
        if gain is not None and fit is not None and gain > orientation_gain and fit >= usual:
            yield Finding(
                *(image.image_id, "orientation", "turn_gain", gain, orientation_gain, image.turn)
            )


def _gather(group: Sequence[MeasuredImage], measure: str) -> dict[str, float]:
    """Return a measure of all images that have it."""
    values = {image.image_id: image.values.get(measure) for image in group}
    return {image_id: value for image_id, value in values.items() if value is not None}


def _act(finding: Finding, exclude: Sequence[str]) -> Finding:
    """Say what is done about a finding."""
    if finding.rule not in exclude:
        return finding
    return replace(finding, action="excluded")
