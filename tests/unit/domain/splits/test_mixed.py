"""Subjects with images of different labels: by a plain loop, and in words."""

from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.splits.mixed import Mixed, count_mixed, say_mixed


@given(st.lists(st.tuples(st.sampled_from("stuv"), st.sampled_from("ab")), max_size=12))
def test_counts_are_those_of_a_plain_loop(pairs):
    subjects = {subject for subject, _ in pairs}
    mixed = [s for s in subjects if len({label for subject, label in pairs if subject == s}) > 1]
    n_images = sum(subject in mixed for subject, _ in pairs)
    assert count_mixed(pairs) == Mixed(len(mixed), n_images, len(subjects))


def test_one_and_several_are_told_and_none_is_not():
    assert say_mixed(Mixed(0, 0, 9)) == ""
    assert say_mixed(Mixed(1, 2, 9)).startswith("1 of 9 subjects has images with different labels")
    assert "2 of 9 test subjects have" in say_mixed(Mixed(2, 5, 9), of="test subjects")
    assert "(5 images)" in say_mixed(Mixed(2, 5, 9))
