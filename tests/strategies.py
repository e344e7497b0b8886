"""Hypothesis strategies: cohorts, score tables, and what else tests draw at random."""

from hypothesis import strategies as st

from medvision.domain.cohort import CohortImage
from medvision.domain.split import Assignment
from medvision.domain.splits.folds import build_folds


def make_image(name: str, subject: str, label: str, **fields: object) -> CohortImage:
    """Return a labelled image; the group is the subject and the pixels are its own."""
    values: dict[str, object] = {"group": subject, "pixel_digest": f"pixels-{name}", **fields}
    return CohortImage(image_id=name, subject=subject, label=label, **values)  # type: ignore[arg-type]  # fields by name


def make_cohort(n_by_label: dict[str, int], *, n_images: int = 1) -> list[CohortImage]:
    """Return subjects of one class each, every one with the same number of images."""
    return [
        make_image(f"img-{label}-{n:04d}-{i}", f"sub-{label}-{n:04d}", label)
        for label, n_subjects in n_by_label.items()
        for n in range(n_subjects)
        for i in range(n_images)
    ]


def split_cohort(images: list[CohortImage], **settings: object) -> list[Assignment]:
    """Return folds by the defaults of the configuration, but for what is named."""
    values: dict[str, object] = {
        "folds": 3,
        "validation_fraction": 0.25,
        "seed": 1,
        "stratify_by": (),
        "held_out": None,
        "inner_folds": 1,
        "repeats": 1,
        **settings,
    }
    return build_folds(images, **values)  # type: ignore[arg-type]  # settings by name


@st.composite
def cohorts(draw: st.DrawFn, *, mixed: bool = True) -> list[CohortImage]:
    """Draw 1 to 40 subjects with 1 to 4 images each, of 2 to 3 classes.

    Args:
        draw: Hypothesis' own.
        mixed: A subject's images may be of different classes.
    """
    labels = ["a", "b", "c"][: draw(st.integers(2, 3))]
    images = []
    for n in range(draw(st.integers(1, 40))):
        own = draw(st.sampled_from(labels))
        for i in range(draw(st.integers(1, 4))):
            label = draw(st.sampled_from(labels)) if mixed else own
            images.append(make_image(f"img-{n:02d}-{i}", f"sub-{n:02d}", label))
    return images


@st.composite
def leaking_cohorts(draw: st.DrawFn) -> list[CohortImage]:
    """Draw a cohort in which pixels, studies and patients are shared at random."""
    images = draw(cohorts(mixed=False))
    digest = st.integers(0, 2 * len(images)).map(str)
    few = st.one_of(st.just(""), st.integers(0, len(images)).map(str))
    return [
        make_image(
            image.image_id,
            image.subject,
            image.label,
            pixel_digest=draw(digest),
            study=draw(few),
            patient=draw(few),
        )
        for image in images
    ]
