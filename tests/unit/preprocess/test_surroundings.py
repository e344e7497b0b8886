"""What lies around the body: a mark there shows, what the body holds does not."""

import numpy as np
import pytest

from medvision.preprocess.surroundings import (
    describe_background,
    describe_border,
    find_background,
)


def make_body(*, shape=(40, 40), seed=0):
    """Dark noise with a bright disc, which has a hole."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 0.02, (1, *shape)).astype(np.float32)
    i, j = np.ogrid[: shape[0], : shape[1]]
    image[0, (i - 20) ** 2 + (j - 20) ** 2 < 144] += 1
    image[0, 18:22, 18:22] -= 1
    return image


def test_a_mark_in_a_corner_shows_in_border_and_background() -> None:
    image = make_body()
    marked = image.copy()
    marked[0, 1:3, 1:3] = 1
    for describe in (lambda x: describe_border(x, share=0.1), describe_background):
        assert np.abs(describe(marked) - describe(image)).max() > 0.5


def test_what_the_body_holds_shows_in_neither() -> None:
    image = make_body()
    lesion = image.copy()
    lesion[0, 15:18, 22:26] += 0.5
    lesion[0, 18:22, 18:22] += 0.7
    assert describe_border(lesion, share=0.1) == pytest.approx(describe_border(image, share=0.1))
    assert describe_background(lesion) == pytest.approx(describe_background(image))


def test_the_border_is_of_the_first_two_axes_in_every_plane() -> None:
    volume = np.zeros((1, 20, 30, 5), dtype=np.float32)
    volume[0, 8:12, 12:18, :] = 1
    volume[0, 5:15, 5:25, 0] = 1
    assert not describe_border(volume, share=0.1).any()
    volume[0, 0, 0, 3] = 1
    assert describe_border(volume, share=0.1).any()


@pytest.mark.parametrize("shape", [(1, 16, 20), (3, 16, 20), (2, 16, 20, 4)])
def test_descriptions_have_the_same_length_for_every_image(shape) -> None:
    rng = np.random.default_rng(0)
    image = rng.random(shape).astype(np.float32)
    assert describe_border(image, share=0.05).shape == (70 * shape[0],)
    assert describe_background(image).shape == (78 * shape[0],)
    assert np.isfinite(describe_border(image, share=0.05)).all()


def test_an_image_that_the_body_fills_has_no_background() -> None:
    image = np.ones((1, 20, 20), dtype=np.float32)
    image[0, 10, 10] = 0
    assert np.isnan(describe_background(image)).all()


def test_the_body_is_the_largest_piece_with_its_holes_and_a_margin() -> None:
    image = make_body()
    image[0, 2:5, 2:5] = 1
    background = find_background(image[0][..., np.newaxis])[..., 0]
    assert not background[20, 20]
    assert background[3, 3]
    assert not background[20, 20 + 12]
    assert background[20, 20 + 14]


def test_an_image_of_one_value_is_described_too() -> None:
    image = np.zeros((1, 12, 12), dtype=np.float32)
    assert not describe_border(image, share=0.05).any()
    assert not describe_background(image).any()
