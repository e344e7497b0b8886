"""What becomes of the input: a verdict per file, an outcome per image or series."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from medvision.io.reasons import RefusalError

_WEIGHT = {"duplicate": 0, "converted": 1, "refused": 2}
"""Which of two verdicts counts for a file that is part of two images."""


@dataclass(frozen=True)
class Verdict:
    """What became of a file.

    Args:
        verdict: converted, duplicate, non-image or refused.
        reason: Controlled code, "" where the file was converted without remark.
        detail: `<thing> must be <rule>, got <value>`.
    """

    verdict: str
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Outcome:
    """The result of one conversion.

    Args:
        rows: Rows of the manifest, one per image written.
        files: Verdict per file id.
        images: Id of the first image that a converted file is part of, per file id.
        digests: BLAKE3 digest of the bytes per file id, as far as they were read.
    """

    rows: tuple[dict[str, str], ...] = ()
    files: Mapping[str, Verdict] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)


def refuse_with(refusal: RefusalError) -> Verdict:
    """Return the verdict that a refusal stands for."""
    return Verdict("refused", refusal.reason, refusal.detail)


def merge_outcomes(outcomes: Iterable[Outcome]) -> Outcome:
    """Join the outcomes of one series' images; a file refused for one of them is refused.

    Args:
        outcomes: In an order that names cannot change: of equal verdicts the first counts.
    """
    rows: list[dict[str, str]] = []
    files: dict[str, Verdict] = {}
    images: dict[str, str] = {}
    digests: dict[str, str] = {}
    for outcome in outcomes:
        rows += outcome.rows
        for file, verdict in outcome.files.items():
            earlier = files.get(file)
            if earlier is None or _WEIGHT[verdict.verdict] > _WEIGHT[earlier.verdict]:
                files[file] = verdict
        for file, image_id in outcome.images.items():
            images.setdefault(file, image_id)
        digests |= outcome.digests
    return Outcome(tuple(rows), files, images, digests)
