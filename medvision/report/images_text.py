"""The paragraph of the methods on images: where they came from, what was refused, who is named."""

from medvision.report.flow import CohortFacts
from medvision.report.quality import QualityFacts
from medvision.report.words import join_words, say_count, say_within

_MOST_REASONS = 4


def describe_images(cohort: CohortFacts, quality: QualityFacts, *, is_phantom: bool) -> str:
    """Write the paragraph from the real counts.

    Args:
        cohort: Counts of files, images and subjects.
        quality: How many images were left out and flagged.
        is_phantom: Whether a computer drew the images.

    Returns:
        Text; empty where no file was read.
    """
    if not cohort.n_files:
        return ""
    drawn = "The images are synthetic volumes drawn by a computer. " if is_phantom else ""
    images, subjects = say_count(cohort.n_images, "image"), say_count(cohort.n_subjects, "subject")
    return (
        f"{drawn}Of {say_count(cohort.n_files, 'input file')}, {_say_refused(cohort)}; {images} of "
        f"{subjects} with a label were analysed{_say_modalities(cohort)}. Headers were "
        "de-identified by an allow-list of attributes, and subjects are named by pseudonyms. "
        f"{_say_quality(quality)}"
    ).strip()


def _say_refused(cohort: CohortFacts) -> str:
    """Say how many files were refused, and the most frequent reasons."""
    if not cohort.n_refused:
        return "none was refused"
    tallies = sorted(cohort.refused, key=lambda tally: -tally.n)[:_MOST_REASONS]
    reasons = "; ".join(f"{tally.n}: {say_within(tally.words)}" for tally in tallies)
    verb = "was" if cohort.n_refused == 1 else "were"
    return f"{cohort.n_refused} {verb} refused ({reasons})"


def _say_modalities(cohort: CohortFacts) -> str:
    """Say the kinds of images."""
    if not cohort.modalities:
        return ""
    kinds = [f"{tally.n} {say_within(tally.words)}" for tally in cohort.modalities]
    return f" ({join_words(kinds)})"


def _say_quality(quality: QualityFacts) -> str:
    """Say what became of images of poor quality."""
    if not quality.n_images:
        return ""
    return (
        "Before subjects were split, the quality of every image was measured by fixed rules: "
        f"{quality.n_excluded} left out, {quality.n_flagged} flagged and kept."
    )
