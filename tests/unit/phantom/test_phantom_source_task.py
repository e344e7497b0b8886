"""The source task: balanced, reproducible, and not the target task in disguise."""

import numpy as np
import pytest

from medvision.phantom.source_task import CLASS_NAMES, generate_source_images

SIZE = (32, 32, 12)


def test_same_seed_gives_the_same_images_and_another_seed_others() -> None:
    first, again, other = (
        generate_source_images(n_images=8, size=SIZE, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_first_images_do_not_depend_on_how_many_follow() -> None:
    few, many = (generate_source_images(n_images=n, size=SIZE, seed=1) for n in (4, 8))
    same = few[1] == many[1][:4]
    assert same.any()
    np.testing.assert_array_equal(few[0][same], many[0][:4][same])


@pytest.mark.parametrize(
    ("size", "half"),
    [(SIZE, (16, 16, 8)), ((64, 64, 24), (32, 32, 12)), ((48, 48, 1), (24, 24, 1))],
)
def test_images_are_scaled_and_half_a_study_image_along_each_axis(
    size: tuple[int, int, int], half: tuple[int, int, int]
) -> None:
    images, labels, names = generate_source_images(n_images=4, size=size, seed=3)
    assert images.shape == (4, 1, *half)
    assert images.dtype == np.float32
    assert labels.dtype == np.int64
    assert images.min() >= 0
    assert images.max() <= 1
    assert names == CLASS_NAMES
    assert sorted(labels) == list(range(4))


def test_classes_are_dealt_out_evenly() -> None:
    _, labels, names = generate_source_images(n_images=23, size=(8, 8, 4), seed=4)
    counts = np.bincount(labels, minlength=len(names))
    assert counts.max() - counts.min() <= 1


def test_no_class_bears_the_name_of_a_target_class() -> None:
    assert not {"normal", "nodule"} & set(CLASS_NAMES)
