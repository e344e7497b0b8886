"""Slices become a stack: order, affine, gaps, duplicates."""

import numpy as np
import pytest
from geometry_strategies import rotations
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.domain.study import Frame, Instance, Slice
from medvision.io.reasons import REFUSED, RefusalError
from medvision.io.stacking.stack import Placed, build_stack, find_duplicates


def make_slice(position, orientation=(1, 0, 0, 0, 1, 0), *, uid="1", thickness=None, variant=()):
    frame = Frame(0, tuple(map(float, position)), orientation, (0.7, 0.5), variant=variant)
    instance = Instance(
        file=f"file-{uid}",
        path=uid,
        subject="s",
        study_uid="1",
        series_uid="2",
        sop_uid=uid,
        sop_class="3",
        modality="CT",
        image_type=(),
        frame_of_reference="",
        rows=4,
        columns=4,
        samples=1,
        photometric="MONOCHROME2",
        thickness_mm=thickness,
        units="HU",
        manufacturer="",
        frames=(frame,),
    )
    return Slice(instance, frame)


def make_line(heights):
    return [make_slice((0, 0, z), uid=str(n)) for n, z in enumerate(heights)]


def refusal_of(slices, *, tolerance=0.1):
    with pytest.raises(RefusalError) as caught:
        build_stack(slices, gap_tolerance=tolerance)
    assert caught.value.reason in REFUSED
    return caught.value


@settings(max_examples=60, deadline=None)
@given(rotations(), st.permutations(range(6)), st.floats(0.3, 8))
def test_affine_puts_every_slice_where_its_header_says(rotation, order, step):
    row, column, normal = rotation.T
    orientation = tuple(map(float, (*row, *column)))
    origin = np.array([12.0, -7.0, 3.0])
    slices = [
        make_slice(origin + k * step * normal, orientation, uid=str(n)) for n, k in enumerate(order)
    ]
    stack = build_stack(slices, gap_tolerance=0.1)
    assert [order[n] for n in stack.order] == sorted(order)
    # Column 3, row 2 of slice 4, by the standard's own equation.
    lps = origin + 3 * 0.5 * row + 2 * 0.7 * column + 4 * step * normal
    np.testing.assert_allclose(
        stack.affine @ [3, 2, 4, 1], [-lps[0], -lps[1], lps[2], 1], atol=1e-6
    )
    assert stack.flags == ()


def test_spacing_is_a_least_squares_fit_so_that_jitter_is_no_gap():
    jitter = np.array([0, 0.004, -0.003, 0.002, -0.004, 0.001])
    stack = build_stack(make_line(np.arange(6) * 2.5 + jitter), gap_tolerance=0.1)
    assert stack.affine[2, 2] == pytest.approx(
        np.polyfit(range(6), np.arange(6) * 2.5 + jitter, 1)[0]
    )


def test_missing_slice_is_refused_with_the_place_of_the_gap():
    refusal = refusal_of(make_line([0, 2.5, 5, 10, 12.5]))
    assert refusal.reason == "missing-slice"
    assert "2.50 to 5.00 mm" in refusal.detail
    assert "after slice 3 of 5" in refusal.detail


def test_two_missing_of_four_are_refused():
    assert refusal_of(make_line([0, 2.5, 7.5])).reason == "missing-slice"


def test_uneven_spacing_is_refused_as_such():
    assert refusal_of(make_line([0, 2.5, 5, 8.2, 10.7])).reason == "variable-spacing"


def test_gap_within_the_tolerance_is_accepted():
    slices = make_line([0, 2.5, 5, 8.2, 10.7])
    assert len(build_stack(slices, gap_tolerance=0.3).order) == 5


def test_repeated_positions_are_refused_and_the_attribute_named():
    slices = [
        make_slice((0, 0, 2.0 * (n // 2)), uid=str(n), variant=(("EchoTime", str(n % 2)),))
        for n in range(6)
    ]
    refusal = refusal_of(slices)
    assert refusal.reason == "repeated-positions"
    assert "6 slices at 3 positions" in refusal.detail
    assert "EchoTime" in refusal.detail


def test_gantry_tilt_keeps_a_sheared_affine_and_is_flagged():
    slices = [make_slice((0, 0.6 * k, 2.0 * k), uid=str(k)) for k in range(4)]
    stack = build_stack(slices, gap_tolerance=0.1)
    assert stack.flags == ("gantry-tilt",)
    np.testing.assert_allclose(stack.affine @ [0, 0, 3, 1], [0, -1.8, 6, 1], atol=1e-9)


def test_planes_that_stray_sideways_are_refused():
    slices = [make_slice((3.0 * (k % 2), 0, 2.0 * k), uid=str(k)) for k in range(6)]
    assert refusal_of(slices).reason == "not-a-stack"


def test_orientation_must_be_orthonormal():
    slices = [make_slice((0, 0, k), (1, 0, 0, 0.2, 1, 0), uid=str(k)) for k in range(3)]
    assert refusal_of(slices).reason == "bad-orientation"
    assert refusal_of([make_slice((0, 0, 0), (0, 0, 0, 0, 0, 0))]).reason == "bad-orientation"


def test_single_slice_takes_its_thickness_or_says_that_it_was_assumed():
    stack = build_stack([make_slice((0, 0, 0), thickness=4.0)], gap_tolerance=0.1)
    assert stack.affine[2, 2] == 4.0
    assert stack.flags == ()
    assert build_stack([make_slice((0, 0, 0))], gap_tolerance=0.1).flags == ("thickness-assumed",)


def test_equal_copies_are_duplicates():
    one, other = make_slice((0, 0, 0), uid="1"), make_slice((0, 0, 0), uid="1")
    renamed = make_slice((0, 0, 0), uid="2")
    kept, repeated = find_duplicates([Placed(one, "a"), Placed(other, "a"), Placed(renamed, "a")])
    assert (kept, repeated) == ([0], [1, 2])


@pytest.mark.parametrize(("digest", "height"), [("b", 0), ("a", 5)])
def test_one_uid_for_different_slices_is_refused(digest, height):
    one, other = make_slice((0, 0, 0), uid="1"), make_slice((0, 0, height), uid="1")
    with pytest.raises(RefusalError) as caught:
        find_duplicates([Placed(one, "a"), Placed(other, digest)])
    assert caught.value.reason == "conflicting-duplicate"


def test_equal_pixels_at_different_places_are_no_duplicates():
    slices = make_line([0, 2, 4])
    kept, repeated = find_duplicates([Placed(item, "air") for item in slices])
    assert (kept, repeated) == ([0, 1, 2], [])
