"""The images that a label may mean: which are set aside, and which of several is chosen."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.labels.rows import LabelRow
from medvision.errors import LabelError

_MOST_LISTED = 8


@dataclass(frozen=True)
class ArchiveImage:
    """One ingested image, as the manifest describes it.

    Args:
        image_id: Pseudonymous name of the image.
        subject: Pseudonym of the subject that the archive names (header or path).
        subject_key: Pseudonym of the subject's identifier, whatever its issuer.
        study: Pseudonym of the study, empty where the archive knows none.
        source: dicom or nifti.
        modality: DICOM modality code, or empty.
        role: original, derived, localizer or capture.
        part: What sets it apart within its series, such as `echo-time-ms=4.6`, or empty.
        axis: What the volumes of its source differ in, or empty.
        n_volumes: Volumes of its source.
        volume: Which of them it is: empty for an only one, a number from 1, mean, or all.
        shape: Voxels, such as `64x64x24`.
        spacing_mm: Voxel size in mm, such as `3x3x5`.
        geometry: full, or none where the place in space is unknown.
        pixel_digest: Digest of the decoded array; equal for equal pixels.
        image_key: Pseudonym of the user's own name of the image.
        series: Pseudonym of the series; empty where the archive knows none.
        frame_of_reference: Pseudonym of the space that positions refer to, or empty.
        person_key: Pseudonym of name, birth date and sex, or empty.
    """

    image_id: str
    subject: str
    subject_key: str
    study: str
    source: str
    modality: str
    role: str
    part: str
    axis: str
    n_volumes: str
    volume: str
    shape: str
    spacing_mm: str
    geometry: str
    pixel_digest: str
    image_key: str
    series: str = ""
    frame_of_reference: str = ""
    person_key: str = ""

    @property
    def is_four_dimensional(self) -> bool:
        """No single volume has been chosen of several."""
        return self.n_volumes != "1" and self.volume in ("", "all")

    @property
    def terms(self) -> tuple[str, ...]:
        """What tells the image from others of its series, such as `echo-time-ms=4.6`."""
        volume = () if self.volume in ("", "all") else (f"volume={self.volume}",)
        return (*(term for term in self.part.split(",") if term), *volume)


@dataclass(frozen=True)
class Unmatched:
    """A label, image or mask that could not be joined: what kind, which one, and why."""

    kind: str
    id: str
    line: int | None
    detail: str


def build_archive_images(rows: Sequence[Mapping[str, str]]) -> list[ArchiveImage]:
    """Turn the rows of the manifest into typed images.

    Args:
        rows: Rows of `ingest/manifest.tsv`.

    Returns:
        One image per row, in the same order.
    """
    names = tuple(ArchiveImage.__dataclass_fields__)
    return [ArchiveImage(**{name: row[name] for name in names if name in row}) for row in rows]


def judge_image(image: ArchiveImage, *, roles: Sequence[str]) -> Unmatched | None:
    """Say why an image cannot enter a cohort, whatever its label.

    Args:
        image: One of the archive's.
        roles: Roles that may enter.

    Returns:
        Its line of the table of what is left over; None where it may enter.
    """
    if image.role not in roles:
        detail = f"role {image.role} is not among cohort.roles"
        return Unmatched("other-role", image.image_id, None, detail)
    if image.is_four_dimensional:
        detail = f"{image.n_volumes} volumes; set ingest.volume to first, mean or each"
        return Unmatched("four-dimensional", image.image_id, None, detail)
    return None


class Choice:
    """The archive's images by name and subject, from which each label takes one.

    Args:
        images: The archive's images.
        aside: Those of them that cannot enter, with the reason.
        refused: Pseudonym (of an image's name or a subject) to why ingestion refused it.
    """

    def __init__(
        self,
        images: Sequence[ArchiveImage],
        *,
        aside: Sequence[Unmatched],
        refused: Mapping[str, str],
    ) -> None:
        self._aside = {item.id: item.detail for item in aside}
        self._refused = refused
        self._by_key = _index(images, by="image_key")
        self._by_subject = _index(images, by="subject")
        self._by_subject_key = _index(images, by="subject_key")

    def find(self, row: LabelRow) -> list[ArchiveImage]:
        """Return the images that a label may mean, of the part that it names."""
        return [image for image in self._list_usable(row) if _has_part(image, row.part)]

    def describe_miss(self, row: LabelRow) -> Unmatched:
        """Say why a label has no image of its own."""
        name = row.image or row.subject
        found = self.find(row)
        kind = "several-images" if len(found) > 1 else "label-without-image"
        return Unmatched(kind, name, row.line, self._explain(row, found))

    def _explain(self, row: LabelRow, found: Sequence[ArchiveImage]) -> str:
        """Return what the reason is, and how to choose where there is a choice."""
        if len(found) > 1:
            return _explain_several(found)
        usable = self._list_usable(row)
        if usable:
            return f"no image has this part; there are: {_list_terms(usable)}"
        reasons = {self._aside[image.image_id] for image in self._list_all(row)}
        if reasons:
            return f"its image is set aside: {', '.join(sorted(reasons))}"
        name = row.image or row.subject
        if name in self._refused:
            return f"refused at ingestion: {self._refused[name]}"
        return f"the archive holds no such {'image' if row.image else 'subject'}"

    def _list_all(self, row: LabelRow) -> list[ArchiveImage]:
        """Return the images of the name or subject that a label gives."""
        if row.image:
            return self._by_key[row.image]
        # A label without issuer means the subject of that identifier, whatever its issuer.
        found = self._by_subject_key[row.subject] or self._by_subject[row.subject]
        _check_issuers(found, row)
        return found

    def _list_usable(self, row: LabelRow) -> list[ArchiveImage]:
        """Return those of them that may enter a cohort."""
        return [image for image in self._list_all(row) if image.image_id not in self._aside]


def _check_issuers(images: Sequence[ArchiveImage], row: LabelRow) -> None:
    """Refuse a label whose identifier two issuers have given to somebody."""
    issued = {image.subject for image in images if image.subject != image.subject_key}
    if len(issued) > 1 and row.subject not in issued:
        raise LabelError(
            f"labels line {row.line}: subject must be one person's, got an identifier that "
            f"{len(issued)} issuers have given.",
            "write issuer|identifier into the column subject (IssuerOfPatientID|PatientID).",
        )


def _index(images: Sequence[ArchiveImage], *, by: str) -> defaultdict[str, list[ArchiveImage]]:
    """Group images by one of their fields."""
    result: defaultdict[str, list[ArchiveImage]] = defaultdict(list)
    for image in images:
        result[getattr(image, by)].append(image)
    return result


def _has_part(image: ArchiveImage, part: str | None) -> bool:
    """Say whether an image bears every term of a part, such as `echo-time-ms=4.60`."""
    if part is None:
        return True
    held = {_normalise(term) for term in image.terms}
    return all(_normalise(term) in held for term in part.split(","))


def _normalise(term: str) -> tuple[str, float | str]:
    """Return a term's name and value, so that 4.60 is 4.6."""
    name, _, value = term.strip().partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        return name.strip(), value.strip()


def _explain_several(found: Sequence[ArchiveImage]) -> str:
    """Say how to choose one of several images."""
    if len({image.terms for image in found}) < len(found):
        return f"{len(found)} images fit; name one in column image"
    return f"{len(found)} images fit; name one in column part: {_list_terms(found)}"


def _list_terms(images: Sequence[ArchiveImage]) -> str:
    """Return the parts that there are, some of them where they are many."""
    texts = sorted({",".join(image.terms) or "(none)" for image in images})
    more = ["..."] if len(texts) > _MOST_LISTED else []
    return "; ".join(texts[:_MOST_LISTED] + more)
