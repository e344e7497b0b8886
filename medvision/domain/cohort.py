"""The cohort: one entry per labelled image, joined from the archive and the table of labels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from medvision.domain.labels.candidates import ArchiveImage, Choice, Unmatched, judge_image
from medvision.domain.labels.rows import EXTERNAL, LabelRow
from medvision.errors import LabelError


@dataclass(frozen=True)
class CohortImage:
    """One labelled image of the cohort.

    Args:
        image_id: Pseudonymous name of the image.
        subject: Pseudonym of the subject, as the table of labels has it.
        label: Name of the class, findings joined, or a number.
        group: Subjects that must stay together share one; the subject itself otherwise.
        patient: Pseudonym of the DICOM header's patient; empty for NIfTI.
        study: Pseudonym of the study; empty for NIfTI.
        series: Pseudonym of the series; empty for NIfTI.
        frame_of_reference: Pseudonym of the space that positions refer to, or empty.
        person_key: Pseudonym of name, birth date and sex, or empty.
        pixel_digest: Digest of the decoded array.
        given_split: The split that the user gave, external for an external cohort, or None.
        shape: Voxels, such as `64x64x24`.
        spacing_mm: Voxel size in mm, such as `3x3x5`.
        modality: DICOM modality code, or empty.
        geometry: full or none.
        line: Line of the label in its file.
        mask: Path of the mask as the table gives it, or None.
        attributes: Further label columns.
    """

    image_id: str
    subject: str
    label: str
    group: str
    patient: str = ""
    study: str = ""
    series: str = ""
    frame_of_reference: str = ""
    person_key: str = ""
    pixel_digest: str = ""
    given_split: str | None = None
    shape: str = ""
    spacing_mm: str = ""
    modality: str = ""
    geometry: str = "full"
    line: int = 0
    mask: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_external(self) -> bool:
        """Whether the image is of the external cohort."""
        return self.given_split == EXTERNAL


@dataclass(frozen=True)
class Matching:
    """Labelled images in order of their identifiers, and everything left over."""

    images: tuple[CohortImage, ...]
    unmatched: tuple[Unmatched, ...]


def match_labels(
    labels: Sequence[LabelRow],
    images: Sequence[ArchiveImage],
    *,
    roles: Sequence[str],
    refused: Mapping[str, str],
) -> Matching:
    """Join labels with images: by the image's name where given, else by the subject.

    Images of other roles, and those with a fourth axis left, are set aside first. A label that
    names its image decides the image's subject too. A label fits where exactly one image is
    left, its part included where the label names one. Whatever does not fit is listed.

    Args:
        labels: Rows with pseudonyms as subject and image.
        images: The archive's images.
        roles: Roles that may enter the cohort.
        refused: Pseudonym (of an image's name or a subject) to why ingestion refused it.

    Returns:
        The cohort in order of image_id, whatever the order of the rows, and what is left over.

    Raises:
        LabelError: Nothing matches, or an image has two labels.
    """
    aside = [item for image in images if (item := judge_image(image, roles=roles))]
    choice = Choice(images, aside=aside, refused=refused)
    matched: dict[str, CohortImage] = {}
    unmatched: list[Unmatched] = []
    for row in labels:
        found = choice.find(row)
        if len(found) != 1:
            unmatched.append(choice.describe_miss(row))
            continue
        image = _build_image(row, found[0])
        _check_first_label(image, matched.get(image.image_id))
        matched[image.image_id] = image
    _check_any_matched(matched, labels=labels, images=images, n_aside=len(aside))
    held = {*matched, *(item.id for item in aside)}
    unmatched += [
        Unmatched("image-without-label", image.image_id, None, "no row of the labels fits it")
        for image in images
        if image.image_id not in held
    ]
    return Matching(
        images=tuple(matched[name] for name in sorted(matched)),
        unmatched=tuple(
            sorted([*unmatched, *aside], key=lambda item: (item.kind, item.line or 0, item.id))
        ),
    )


def count_unmatched(unmatched: Sequence[Unmatched]) -> dict[str, int]:
    """Count what was left over, by kind, for the flow diagram."""
    return dict(sorted(Counter(item.kind for item in unmatched).items()))


def _build_image(row: LabelRow, image: ArchiveImage) -> CohortImage:
    """Join one label with its image."""
    return CohortImage(
        image_id=image.image_id,
        subject=row.subject,
        label=row.label,
        group=row.subject,
        # A NIfTI's subject and study are guesses from its path: the labels know better.
        patient=image.subject_key if image.source == "dicom" else "",
        study=image.study if image.source == "dicom" else "",
        series=image.series if image.source == "dicom" else "",
        frame_of_reference=image.frame_of_reference,
        person_key=image.person_key,
        pixel_digest=image.pixel_digest,
        given_split=row.split,
        shape=image.shape,
        spacing_mm=image.spacing_mm,
        modality=image.modality,
        geometry=image.geometry,
        line=row.line,
        mask=row.mask,
        attributes=row.attributes,
    )


def _check_first_label(image: CohortImage, earlier: CohortImage | None) -> None:
    """Refuse a second label for an image, equal or not."""
    if earlier is None:
        return
    fault = "duplicate" if earlier.label == image.label else "conflicting"
    raise LabelError(
        f"labels lines {earlier.line} and {image.line}: an image must have one label, got "
        f"{fault} rows for {image.image_id}.",
        "remove one of the two rows.",
    )


def _check_any_matched(
    matched: Mapping[str, CohortImage],
    *,
    labels: Sequence[LabelRow],
    images: Sequence[object],
    n_aside: int,
) -> None:
    """Refuse a table of which no row fits any image."""
    if not matched and images and n_aside == len(images):
        raise LabelError(
            f"cohort: at least one image must be three-dimensional and of a role in cohort.roles, "
            f"got {n_aside} that are not.",
            "see the columns role and n_volumes of ingest/manifest.tsv; set cohort.roles or "
            "ingest.volume.",
        )
    if not matched:
        raise LabelError(
            f"labels: subjects must be those of the images, got {len(labels)} rows and "
            f"{len(images)} images without one match.",
            "compare the columns subject and image with the archive's PatientID, "
            "SeriesInstanceUID or file paths, letter by letter.",
        )
