"""What was done to a copy is said as plainly as it can be."""

import numpy as np
import pytest

from medvision.domain.likeness.words import describe_motion


@pytest.mark.parametrize("n_axes", [2, 3])
def test_a_flip_along_any_axis_is_no_rotation(n_axes: int) -> None:
    for axis in range(n_axes):
        matrix = np.eye(n_axes)
        matrix[axis, axis] = -1
        assert describe_motion(matrix, np.zeros(n_axes)) == "flipped"


@pytest.mark.parametrize("axis", [0, 1])
def test_a_flip_before_a_turn_is_told_with_that_turn(axis: int) -> None:
    cosine, sine = np.cos(np.radians(15)), np.sin(np.radians(15))
    matrix = np.array([[cosine, -sine], [sine, cosine]])
    matrix[:, axis] *= -1
    said = describe_motion(0.9 * matrix, np.array([0.1, 0.0]))
    assert said == "flipped, rotated 15°, scaled 0.90, shifted 5 %"


def test_what_was_not_moved_is_in_the_same_place() -> None:
    assert describe_motion(np.eye(2), np.zeros(2)) == "same place"
