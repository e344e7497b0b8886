"""The images to look at are spread over classes and subjects, and are always the same."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.explanation.examples import Candidate, choose_examples

cohorts = st.lists(
    st.builds(
        Candidate,
        image_id=st.integers(0, 999).map("img-{:03d}".format),
        subject=st.sampled_from("ABCDEFGHIJ"),
        label=st.sampled_from(["", "no", "yes"]),
    ),
    unique_by=lambda candidate: candidate.image_id,
)


@given(cohort=cohorts, n=st.integers(1, 8), seed=st.randoms())
def test_no_subject_is_shown_twice_whatever_the_order(cohort, n, seed):
    chosen = choose_examples(cohort, n)
    subjects = {candidate.image_id: candidate.subject for candidate in cohort}
    assert len(chosen) == min(n, len(set(subjects.values())))
    assert len({subjects[name] for name in chosen}) == len(chosen)
    shuffled = seed.sample(cohort, len(cohort))
    assert choose_examples(shuffled, n) == chosen == sorted(chosen)


def test_classes_take_turns_and_a_small_one_is_not_overlooked():
    cohort = [Candidate(f"img-{n:02d}", f"s{n}", "no" if n else "yes") for n in range(20)]
    labels = {candidate.image_id: candidate.label for candidate in cohort}
    chosen = choose_examples(cohort, 5)
    assert Counter(labels[name] for name in chosen) == {"yes": 1, "no": 4}


def test_without_labels_images_are_evenly_spaced():
    cohort = [Candidate(f"img-{n:02d}", f"s{n}", "") for n in range(12)]
    assert choose_examples(cohort, 3) == ["img-02", "img-06", "img-10"]
