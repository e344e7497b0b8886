"""Quality in the step cohort: measures and thumbnails become findings, and some images leave."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from medvision.cli._run import Step
from medvision.domain.cohort import CohortImage
from medvision.domain.labels.rows import Task
from medvision.domain.quality.cohort_fit import Fit, Thumbnails, compute_fits
from medvision.domain.quality.findings import (
    Finding,
    MeasuredImage,
    choose_groups,
    find_findings,
    find_spoilt,
)
from medvision.domain.record import JsonValue
from medvision.domain.splits.kinds import list_present
from medvision.errors import CohortError
from medvision.io.tables import Row, read_table, write_table
from medvision.runtime.npz import map_npz_array, read_npz_names

QUALITY_COLUMNS = (
    *("image_id", "subject", "label", "rule", "measure", "value", "limit", "action", "detail"),
)
_NOT_MEASURES = ("image_id", "dimensions", "reason", "note")
_TEXT_FLAG = "burned-in"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """The images that stay, and what was found of all."""

    images: tuple[CohortImage, ...]
    findings: tuple[Finding, ...]

    def summarise(self) -> dict[str, JsonValue]:
        """Count for `cohort/summary.json`: findings and images by rule, and those left out."""
        excluded = {f.image_id: f.rule for f in self.findings[::-1] if f.action == "excluded"}
        flagged = {(f.rule, f.image_id) for f in self.findings if f.action == "flagged"}
        return {
            "n_excluded": len(excluded),
            "n_flagged": len({image_id for _, image_id in flagged} - set(excluded)),
            "excluded_by_rule": dict(sorted(Counter(excluded.values()).items())),
            "flagged_by_rule": dict(sorted(Counter(rule for rule, _ in flagged).items())),
        }


def judge_quality(step: Step, images: Sequence[CohortImage]) -> Judged:
    """Apply the rules of the section quality, write the table, and let the excluded leave.

    Args:
        step: The step cohort.
        images: The labelled images.

    Returns:
        The images that stay, in their order, and all findings.

    Raises:
        CohortError: No image of a class is left.
    """
    findings = _find(step, images)
    _write_findings(step, images, findings)
    gone = {item.image_id for item in findings if item.action == "excluded"}
    kept = tuple(image for image in images if image.image_id not in gone)
    _check_classes_left(images, kept, findings, task=step.study.data.task)
    _report(findings, gone)
    return Judged(kept, tuple(findings))


def _find(step: Step, images: Sequence[CohortImage]) -> list[Finding]:
    """Join what is known of each image, and apply the rules."""
    path = step.read(step.layout.table("measure", "measures"))
    rows = {row["image_id"]: row for row in read_table(path)}
    manifest = read_table(step.read(step.layout.manifest))
    flags = {row["image_id"]: row["flags"].split(",") for row in manifest}
    settings = dict(step.study.quality)
    measured = [image for image in images if rows[image.image_id]["reason"] == ""]
    kinds = {
        image.image_id: (f"{rows[image.image_id]['dimensions']}D", image.modality)
        for image in measured
    }
    external = {image.image_id for image in images if image.is_external}
    groups = _choose_groups(kinds, external, minimum_group=step.study.quality.minimum_group)
    sound = [name for name in groups if not _is_spoilt(rows[name], settings["blank_share"])]
    fits = _fit(step, {name: groups[name] for name in sound})
    joined = [
        _join(rows[image.image_id], groups, fits=fits, flags=flags[image.image_id])
        for image in images
    ]
    return find_findings(joined, **settings)


def _choose_groups(
    kinds: dict[str, tuple[str, str]], external: set[str], *, minimum_group: int
) -> dict[str, str]:
    """Return the group of each image; an external cohort is held against itself alone."""
    own = {name: kind for name, kind in kinds.items() if name not in external}
    others = {name: kind for name, kind in kinds.items() if name in external}
    groups = choose_groups(own, minimum_group=minimum_group)
    found = choose_groups(others, minimum_group=minimum_group)
    return groups | {name: f"{group}, external" for name, group in found.items()}


def _is_spoilt(row: Row, blank_share: float) -> bool:
    """Say whether an image would spoil the mean of its group."""
    image = MeasuredImage(row["image_id"], "", _read_values(row), row["reason"])
    return find_spoilt(image, blank_share=blank_share) is not None


def _read_values(row: Row) -> dict[str, float | None]:
    """Return the measures of one row."""
    cells = {name: text for name, text in row.items() if name not in _NOT_MEASURES}
    return {name: float(text) if text else None for name, text in cells.items()}


def _join(
    row: Row, groups: dict[str, str], *, fits: dict[str, Fit], flags: Sequence[str]
) -> MeasuredImage:
    """Return an image with its measures, its fit and its flags."""
    image_id = row["image_id"]
    fit = fits.get(image_id)
    values = _read_values(row)
    if fit is not None:
        values |= {"cohort_fit": fit.best, "turn_gain": fit.gain}
    return MeasuredImage(
        image_id,
        groups.get(image_id, ""),
        values,
        row["reason"],
        turn=fit.turn if fit else "",
        is_inverted=fit.is_inverted if fit else False,
        text=", ".join(flag for flag in flags if flag.startswith(_TEXT_FLAG)),
    )


def _fit(step: Step, groups: dict[str, str]) -> dict[str, Fit]:
    """Compare the thumbnails of every group that is large enough with its mean."""
    fits: dict[str, Fit] = {}
    path = step.read(step.layout.thumbnails)
    for dimensions in ("2d", "3d"):
        places = {name: n for n, name in enumerate(read_npz_names(path, f"image_id_{dimensions}"))}
        thumbnails = cast(Thumbnails, map_npz_array(path, f"thumbnail_{dimensions}"))
        for group in sorted({groups[name] for name in groups if name in places}):
            names = sorted(name for name in groups if groups[name] == group)
            if len(names) < step.study.quality.minimum_group:
                continue
            rows = np.array([places[name] for name in names])
            held = compute_fits(partial(_take, thumbnails, rows), len(rows))
            fits |= dict(zip(names, held, strict=True))
    return fits


def _take(thumbnails: Thumbnails, rows: NDArray[np.int64], chosen: NDArray[np.int64]) -> Thumbnails:
    """Return some images of a group."""
    return thumbnails[rows[chosen]]


def _write_findings(step: Step, images: Sequence[CohortImage], findings: Sequence[Finding]) -> None:
    """Write one row per finding."""
    held = {image.image_id: image for image in images}

    def list_rows() -> Iterator[dict[str, str | float | None]]:
        for item in findings:
            image = held[item.image_id]
            yield {**asdict(item), "subject": image.subject, "label": image.label}

    path = step.write(step.layout.table("cohort", "quality"))
    write_table(path, list_rows(), columns=QUALITY_COLUMNS)


def _check_classes_left(
    images: Sequence[CohortImage],
    kept: Sequence[CohortImage],
    findings: Sequence[Finding],
    *,
    task: Task,
) -> None:
    """Refuse a cohort that has lost a whole class, or a finding."""
    shown = {image.image_id: list_present(image.label, task) for image in images}
    left = {name for image in kept for name in shown[image.image_id]}
    for label in sorted({name for names in shown.values() for name in names} - left):
        lost = {image_id for image_id, names in shown.items() if label in names}
        rules = Counter(f.rule for f in findings if f.action == "excluded" and f.image_id in lost)
        reasons = ", ".join(f"{n} {rule}" for rule, n in sorted(rules.items()))
        raise CohortError(
            f"cohort: every class must keep an image after quality.exclude, got none of "
            f"{len(lost)} left in class {label} ({reasons}).",
            "look at cohort/quality.tsv and the images named there; take the rule out of "
            "quality.exclude, or mend the images.",
        )


def _report(findings: Sequence[Finding], gone: set[str]) -> None:
    """Log what a user should look at, by count alone."""
    if gone:
        _log.warning("%d images left out for their quality: see cohort/quality.tsv.", len(gone))
    flagged = {item.image_id for item in findings} - gone
    if flagged:
        _log.warning("%d images flagged for their quality: see cohort/quality.tsv.", len(flagged))
