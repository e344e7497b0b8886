"""Grey or colour, told by the larger group; MONOCHROME1 shown as the body is."""

import numpy as np
import pytest

from medvision.config.preprocess import PreprocessSection
from medvision.preprocess.channels import choose_channels, put_channels_first
from medvision.preprocess.execute import build_executor
from medvision.preprocess.plan import build_plan
from medvision.preprocess.rejection import REASONS

COLOUR = np.random.default_rng(0).integers(0, 256, (6, 5, 1, 3), dtype=np.uint8)
AFFINE = np.eye(4)


@pytest.mark.parametrize(
    ("colours", "channels", "rejected"),
    [
        ([False, False], 1, []),
        ([True, True], 3, []),
        ([True, False, True], 3, ["img-1"]),
        ([True, False, False], 1, ["img-0"]),
        ([True, False], 1, ["img-0"]),
    ],
)
def test_the_larger_group_decides_and_the_other_is_rejected(colours, channels, rejected):
    found = choose_channels({f"img-{n}": colour for n, colour in enumerate(colours)})
    assert found[0] == channels
    assert [item.image_id for item in found[1]] == rejected
    assert {item.reason for item in found[1]} <= REASONS.keys()


def test_an_external_cohort_has_no_say_in_whether_images_are_grey():
    colours = {"a": False, "b": True, "c": True}
    channels, rejections = choose_channels(colours, uncounted=["b", "c"])
    assert (channels, [item.image_id for item in rejections]) == (1, ["b", "c"])


def test_colours_become_channels():
    volume = put_channels_first(COLOUR, is_colour=True, is_inverted=False)
    assert volume.shape == (3, 6, 5, 1)
    assert volume.dtype == np.float32
    for channel in range(3):
        np.testing.assert_array_equal(volume[channel], COLOUR[..., channel])
    grey = put_channels_first(COLOUR[..., 0], is_colour=False, is_inverted=False)
    np.testing.assert_array_equal(grey, COLOUR[np.newaxis, ..., 0])


def test_monochrome1_is_turned_over_within_its_own_range():
    source = np.array([[[100], [4000]], [[350], [101]]], np.int16)
    volume = put_channels_first(source, is_colour=False, is_inverted=True)
    np.testing.assert_array_equal(volume[0, :, :, 0], [[4000, 100], [3750, 3999]])
    again = put_channels_first(volume[0], is_colour=False, is_inverted=True)
    np.testing.assert_array_equal(again[0], source)
    assert source[0, 0, 0] == 100


def test_an_image_that_is_not_finite_is_left_to_the_check_that_refuses_it():
    source = np.array([[[np.nan], [1.0]]], np.float32)
    volume = put_channels_first(source, is_colour=False, is_inverted=True)
    np.testing.assert_array_equal(volume[0], source)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_colour_goes_through_the_whole_pipeline(spatial_dims):
    changes = {"intensity": "percentile", "percentiles": (0.0, 100.0), "spacing_mm": None}
    settings = PreprocessSection(size=(6, 5, 1), orientation=None, **changes).pipeline
    transform = build_executor(build_plan(spatial_dims=spatial_dims, **settings))
    volume = put_channels_first(COLOUR, is_colour=True, is_inverted=False)
    low, high = COLOUR.min(), COLOUR.max()
    expected = (volume - low) / np.float32(high - low)
    result = transform(volume, AFFINE)
    np.testing.assert_allclose(result.array, expected, atol=1e-6)
