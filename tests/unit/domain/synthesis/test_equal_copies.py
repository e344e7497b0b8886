"""Look-alikes: equal images are refused together, and equal train subjects leave it undecided."""

from dataclasses import replace

import numpy as np

from medvision.domain.synthesis.copies import judge_look_alikes
from tests.synthetic_generators import RULES, Cohort, draw_cohort, take_thumbnails


def judge(train, made, *, clusters=None):
    return judge_look_alikes(
        take_thumbnails(train),
        take_thumbnails(made),
        clusters=train.clusters if clusters is None else clusters,
        rules=RULES,
    )


def flip_one(train, *, n):
    """Return one train image flipped, so many times over."""
    image = train.images[3][:, ::-1]
    return Cohort(np.repeat(image[None], n, axis=0), np.full(n, 1), np.arange(n))


def test_equal_images_that_show_a_train_image_are_all_refused():
    train, honest = draw_cohort(1, n_subjects=40), draw_cohort(3, n_subjects=10)
    copies = flip_one(train, n=12)
    images = np.concatenate([honest.images, copies.images])
    made = Cohort(images, np.zeros(22, dtype=np.intp), np.arange(22))
    (criterion,), refused = judge(train, made)
    assert [own.image for own in refused] == list(range(10, 22))
    assert len({own.reason for own in refused}) == 1
    assert "shows train image 3" in refused[-1].reason
    assert (criterion.value, criterion.verdict) == (12 / 22, "refused")


def test_equal_train_images_of_two_subjects_leave_it_undecided_in_words():
    train = draw_cohort(1, n_subjects=20)
    images = train.images.copy()
    images[7] = images[3]
    twins = replace(train, images=images)
    (criterion,), refused = judge(twins, flip_one(train, n=4))
    assert criterion.verdict == "undecided"
    assert criterion.is_closed
    assert "two subjects show the same" in criterion.reason
    assert refused == []
    # Of one subject it is one image twice, which says nothing about others.
    same = train.clusters.copy()
    same[7] = same[3]
    (criterion,), refused = judge(twins, flip_one(train, n=4), clusters=same)
    assert len(refused) == 4
