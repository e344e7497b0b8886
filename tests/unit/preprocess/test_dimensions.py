"""2D or 3D: told by the data, overridable, never by taking a slice silently."""

import pytest

from medvision.errors import DataError
from medvision.preprocess.dimensions import choose_dimensions

FLAT, DEEP = (64, 64, 1), (64, 64, 24)


def name(shapes):
    return {f"img-{number}": shape for number, shape in enumerate(shapes)}


@pytest.mark.parametrize(
    ("shapes", "expected", "rejected"),
    [
        ([FLAT, FLAT], 2, []),
        ([DEEP, DEEP], 3, []),
        ([DEEP, FLAT, DEEP], 3, ["img-1"]),
        ([FLAT, DEEP, FLAT], 2, ["img-1"]),
        ([DEEP, FLAT], 3, ["img-1"]),
    ],
)
def test_auto_follows_the_larger_group_and_rejects_the_other(shapes, expected, rejected):
    spatial_dims, rejections = choose_dimensions(name(shapes), dimensions="auto")
    assert spatial_dims == expected
    assert [rejection.image_id for rejection in rejections] == rejected
    assert {rejection.reason for rejection in rejections} <= {"other-dimensions"}


def test_an_external_cohort_has_no_say_in_whether_images_are_volumes():
    shapes = name([DEEP, FLAT, FLAT])
    spatial_dims, rejections = choose_dimensions(
        shapes, dimensions="auto", uncounted=["img-1", "img-2"]
    )
    assert spatial_dims == 3
    assert [rejection.image_id for rejection in rejections] == ["img-1", "img-2"]


def test_3_takes_one_voxel_thick_volumes_too():
    assert choose_dimensions(name([FLAT, DEEP]), dimensions=3) == (3, [])


def test_2_refuses_volumes_rather_than_choosing_a_slice():
    with pytest.raises(DataError, match=r"got 1 volumes such as img-1 \(64x64x24\)"):
        choose_dimensions(name([FLAT, DEEP]), dimensions=2)
