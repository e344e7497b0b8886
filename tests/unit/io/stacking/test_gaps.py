"""Gaps and tilt: refused, flagged or resampled as the settings say, and never guessed."""

import numpy as np
import pytest
from slices import at, lay, make_slice

from medvision.io.reasons import RefusalError
from medvision.io.stacking.resample import Resampling, resample


def make_line(places):
    return [make_slice((0, 0, z)) for z in places]


def refusal_of(slices, **settings):
    with pytest.raises(RefusalError) as caught:
        lay(slices, **settings)
    return caught.value


def test_spacing_is_a_least_squares_fit_so_that_jitter_is_no_gap():
    jitter = np.array([0, 0.004, -0.003, 0.002, -0.004, 0.001])
    arrangement = lay(make_line(np.arange(6) * 2.5 + jitter))
    expected = np.polyfit(range(6), np.arange(6) * 2.5 + jitter, 1)[0]
    assert arrangement.affine[2, 2] == pytest.approx(expected)
    assert arrangement.flags == ()


def test_jitter_of_a_few_micrometres_passes_any_tolerance():
    jitter = np.array([0, 0.002, -0.002, 0.001, -0.002, 0.001])
    assert lay(make_line(np.arange(6) * 0.5 + jitter), tolerance=0.001).flags == ()


@pytest.mark.parametrize("nudge", [1e-9, -1e-9, 0.0])
def test_positions_rounded_to_a_tenth_are_even(nudge):
    exact = 30 + np.arange(40) * 0.625
    arrangement = lay(make_line(np.round(exact + nudge, 1)))
    assert arrangement.affine[2, 2] == pytest.approx(0.625, rel=1e-3)


def test_missing_slice_is_refused_with_the_place_of_the_gap():
    refusal = refusal_of(make_line([0, 2.5, 5, 10, 12.5]))
    assert refusal.reason == "missing-slice"
    assert "2.50 to 5.00 mm" in refusal.detail
    assert "1 of 4 steps differ: after slice 3 of 5 5.00 mm instead of 2.50" in refusal.detail


def test_many_gaps_are_told_as_a_few_and_a_count():
    places = np.delete(np.arange(60.0), np.arange(5, 55, 5))
    refusal = refusal_of(make_line(places))
    assert "10 of 49 steps differ" in refusal.detail
    assert refusal.detail.count("after slice") == 5


def test_two_missing_of_four_are_refused():
    assert refusal_of(make_line([0, 2.5, 7.5])).reason == "missing-slice"


@pytest.mark.parametrize("places", [[0, 2.5, 5, 8.2, 10.7], [0, 1, 2.3], [0, 5, 10, 12.5]])
def test_uneven_spacing_is_refused_as_such(places):
    assert refusal_of(make_line(places)).reason == "variable-spacing"


def test_small_deviations_that_add_up_are_refused():
    steps = np.repeat([1.0, 1.08], 50)
    assert refusal_of(make_line(np.cumsum(steps))).reason == "variable-spacing"


def test_gap_within_the_tolerance_is_accepted():
    assert len(lay(make_line([0, 2.5, 5, 8.2, 10.7]), tolerance=0.3).volumes[0]) == 5


def test_flagged_gaps_keep_the_slices_and_step_by_the_usual_one():
    arrangement = lay(make_line([0, 2.5, 5, 10, 12.5, 15]), gaps="flag")
    assert arrangement.flags == ("missing-slice",)
    assert (arrangement.n_missing, arrangement.resampling) == (1, None)
    assert arrangement.affine[2, 2] == pytest.approx(2.5)
    assert arrangement.affine[2, 3] == pytest.approx(0)


def test_resampled_gaps_fill_the_grid():
    places = np.array([0, 2.5, 5, 10, 12.5, 15])
    arrangement = lay(make_line(places), gaps="resample")
    assert arrangement.flags == ("missing-slice", "resampled")
    array = np.broadcast_to(places, (3, 2, 6))
    result = resample(array, arrangement.resampling)
    np.testing.assert_allclose(result[1, 1], np.arange(7) * 2.5, atol=1e-5)
    assert arrangement.affine[2, 2] == pytest.approx(2.5)


@pytest.mark.parametrize("places", [[0, 1, 2, 3.3, 4.3, 5.3, 6.3], [0, 1.0, 2.2, 3.0, 4.2, 5.0]])
def test_resampled_uneven_slices_are_where_the_affine_says(places):
    arrangement = lay(make_line(places), gaps="resample")
    assert arrangement.flags == ("resampled", "variable-spacing")
    # The value of a slice is its height, which linear interpolation keeps.
    result = resample(
        np.broadcast_to(np.array(places), (2, 2, len(places))), arrangement.resampling
    )
    expected = arrangement.affine[2, 3] + arrangement.affine[2, 2] * np.arange(result.shape[2])
    np.testing.assert_allclose(result[0, 0], expected, atol=1e-5)


def test_resampling_does_not_invent_an_image():
    for gaps in ("refuse", "resample"):
        assert refusal_of(make_line([0, 1, 2, 1000]), gaps=gaps).reason == "missing-slice"


def make_tilted(n_slices=5, *, missing=()):
    return [
        make_slice((0, 0.6 * k, 2.0 * k), rows=6, columns=5)
        for k in range(n_slices)
        if k not in missing
    ]


def test_gantry_tilt_keeps_a_sheared_affine_and_is_flagged():
    arrangement = lay(make_tilted(4))
    assert arrangement.flags == ("gantry-tilt",)
    np.testing.assert_allclose(arrangement.affine @ [0, 0, 3, 1], [0, -1.8, 6, 1], atol=1e-9)


def test_tilt_is_no_gap_and_a_gap_under_tilt_is_one():
    assert refusal_of(make_tilted(6, missing=[2])).reason == "missing-slice"


@pytest.mark.parametrize("missing", [(), (2,)])
@pytest.mark.parametrize("direction", [1, -1])
def test_straightened_tilt_puts_values_where_they_were(missing, direction):
    slices = [
        make_slice((0.3 * k, 0.6 * k * direction, 2.0 * k), rows=6, columns=5)
        for k in range(6)
        if k not in missing
    ]
    arrangement = lay(slices, tilt="resample", gaps="resample")
    assert "gantry-tilt" not in arrangement.flags
    assert "resampled" in arrangement.flags
    # Upright: the slices' step is perpendicular to the plane.
    np.testing.assert_allclose(arrangement.affine[:2, 2], 0, atol=1e-12)
    # A linear function of space is kept wherever the slices reach.
    field = np.array([1.0, -2.0, 3.0])
    places = [k for k in range(6) if k not in missing]
    array = np.empty((5, 6, len(places)))
    for n, k in enumerate(places):
        i, j = np.indices((5, 6))
        lps = np.stack([0.3 * k + 0.5 * i, 0.6 * k * direction + 0.7 * j, 2.0 * k + 0 * i], axis=-1)
        array[:, :, n] = (lps * [-1, -1, 1]) @ field
    result = resample(array, arrangement.resampling)
    index = np.indices(result.shape).reshape(3, -1).T
    expected = (index @ arrangement.affine[:3, :3].T + arrangement.affine[:3, 3]) @ field
    is_inside = result.ravel() != array.min()
    np.testing.assert_allclose(result.ravel()[is_inside], expected[is_inside], atol=1e-4)
    assert is_inside.mean() > 0.2


def test_no_slice_is_cut_by_straightening():
    arrangement = lay(make_tilted(), tilt="resample")
    array = np.random.default_rng(0).random((5, 6, 5)) + 1
    assert arrangement.resampling.margins == (0, 4)
    result = resample(array, arrangement.resampling)
    assert result.shape == (5, 10, 5)
    np.testing.assert_allclose(result[:, :6, 0], array[:, :, 0], rtol=1e-6)


def test_a_tilt_beyond_reason_is_not_straightened():
    slices = [make_slice((0, 50.0 * k, 2.0 * k)) for k in range(20)]
    assert refusal_of(slices, tilt="resample").reason == "not-a-stack"


def test_planes_that_stray_sideways_are_refused():
    slices = [make_slice((3.0 * (k % 2), 0, 2.0 * k)) for k in range(6)]
    assert refusal_of(slices).reason == "not-a-stack"


def test_one_volume_shifted_sideways_is_refused():
    slices = [
        make_slice((20.0 * t + 0.1 * k * t, 0, 2.0 * k), {"temporal-position": float(t)})
        for k in range(6)
        for t in range(2)
    ]
    assert refusal_of(slices).reason == "not-a-stack"


def test_volumes_of_one_position_shifted_sideways_are_refused():
    slices = [make_slice((20.0 * t, 0, 0), {"temporal-position": float(t)}) for t in range(2)]
    assert refusal_of(slices).reason == "not-a-stack"


def test_gaps_of_every_volume_are_resampled_alike():
    slices = [at(z, temporal_position=float(t)) for z in (0, 1, 2, 4, 5) for t in range(3)]
    arrangement = lay(slices, gaps="resample")
    assert len(arrangement.volumes) == 3
    assert arrangement.resampling == Resampling((0, 1, 2, 2, 3, 4), (0.0, 0.0, 0.0, 0.5, 0.0, 0.0))
