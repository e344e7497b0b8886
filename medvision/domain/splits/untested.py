"""Which images of an archive have nothing to do with anybody who is tested."""

from collections.abc import Collection, Mapping, Sequence

from medvision.domain.labels.rows import EXTERNAL
from medvision.errors import CohortError

_OF_ANY = ("subject", "subject_key", "person_key", "pixel_digest")
_OF_DICOM = ("study", "series")
"""Only DICOM knows these; a NIfTI's are guesses from its path."""

Row = Mapping[str, str]


def list_traces(row: Row) -> set[tuple[str, str]]:
    """Return all by which an image could be told to be of somebody.

    Args:
        row: Its line of `ingest/manifest.tsv`.

    Returns:
        (column, pseudonym or digest) pairs, empty values left out.
    """
    columns = (*_OF_ANY, *(_OF_DICOM if row.get("source") == "dicom" else ()))
    return {(column, row[column]) for column in columns if row.get(column)}


def find_tested(manifest: Sequence[Row], *, folds: Sequence[Row]) -> set[str]:
    """Return the images that share a trace with a test image of any fold, those included.

    The external cohort is tested in every fold.

    A trace is the labels' subject, or the archive's subject, person, study, series, or equal
    pixels: what the labels do not know of, the archive may.

    Args:
        manifest: Rows of `ingest/manifest.tsv`, every image of the archive.
        folds: Rows of `cohort/folds.tsv`.

    Source:
        none: own definition.
    """
    subjects = {row["image_id"]: row["subject"] for row in folds}
    test_subjects = {row["subject"] for row in folds if row["split"] in ("test", EXTERNAL)}
    tested = {name for name, subject in subjects.items() if subject in test_subjects}
    traces = {t for row in manifest if row["image_id"] in tested for t in list_traces(row)}
    linked = {row["image_id"] for row in manifest if list_traces(row) & traces}
    return tested | linked


def check_untested(used: Collection[str], *, manifest: Sequence[Row], folds: Sequence[Row]) -> None:
    """Refuse pretraining images that have to do with a test subject.

    Args:
        used: Images that a network was, or is to be, pretrained on.
        manifest: Rows of `ingest/manifest.tsv`.
        folds: Rows of `cohort/folds.tsv`.

    Raises:
        CohortError: With the first such image's pseudonym.
    """
    wrong = sorted(set(used) & find_tested(manifest, folds=folds))
    if wrong:
        raise CohortError(
            f"pretrain: images must be of nobody in a test set or external cohort, got "
            f"{len(wrong)} that are, such as {wrong[0]}.",
            "run `medvision pretrain` again; pretrain.subjects all would allow those of a test "
            "set, and the report would say so.",
        )
