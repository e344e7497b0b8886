"""Folds of any findings: nobody on two sides, each finding there and absent wherever it can be."""

from hypothesis import event, given, settings
from hypothesis import strategies as st

from medvision.domain.cohort import CohortImage
from medvision.domain.labels.findings import name_findings
from medvision.domain.labels.rows import Classes
from medvision.domain.split import check_no_leakage, find_missing_class
from medvision.domain.splits.folds import build_folds
from medvision.domain.splits.kinds import name_kinds
from medvision.errors import CohortError

NAMES = ("a", "b", "c")
FINDINGS = Classes(NAMES, None, "multilabel")


@st.composite
def cohorts(draw: st.DrawFn) -> list[CohortImage]:
    """Up to 40 subjects with one to three images each, some findings not known."""
    images = []
    for subject in range(draw(st.integers(8, 40))):
        for n in range(draw(st.integers(1, 3))):
            states = draw(st.tuples(*[st.sampled_from("01 1 0 0?")] * len(NAMES)))
            there = [name for name, state in zip(NAMES, states, strict=True) if state == "1"]
            unknown = [name for name, state in zip(NAMES, states, strict=True) if state == "?"]
            name = f"s{subject:02d}"
            label = name_findings(there, unknown)
            images.append(CohortImage(f"{name}-{n}", name, label, name))
    return images


@settings(max_examples=40, deadline=None)
@given(cohorts(), st.integers(2, 4), st.integers(0, 1000))
def test_folds_hold_or_say_which_finding_is_too_rare(
    images: list[CohortImage], folds: int, seed: int
) -> None:
    try:
        built = build_folds(
            images,
            folds=folds,
            validation_fraction=0.3,
            seed=seed,
            stratify_by=(),
            held_out=None,
            inner_folds=1,
            repeats=1,
            classes=FINDINGS,
        )
    except CohortError as error:
        # Refused in words that name a class or a number, never by a fault of its own.
        event(error.message.partition(",")[0])
        return
    check_no_leakage(built)
    kinds = name_kinds([image.label for image in images], FINDINGS)
    assert find_missing_class(built, kinds) is None
    assert sorted(i.image_id for i in built if i.split == "test") == sorted(
        image.image_id for image in images
    )
