"""Slices of one grid become volumes: the fourth axis, its order and its name."""

import numpy as np
import pytest
from geometry_strategies import rotations
from hypothesis import given, settings
from hypothesis import strategies as st
from slices import (
    US,
    at,
    digest,
    heights,
    lay,
    make_frame,
    make_instance,
    make_slice,
    shuffle,
    unroll,
    values_of,
)

from medvision.io.reasons import FLAGS, REFUSED, RefusalError

LADDER = [0.0, 3.0, 6.0, 9.0]


def refusal_of(slices, **settings_):
    with pytest.raises(RefusalError) as caught:
        lay(slices, **settings_)
    assert caught.value.reason in REFUSED
    return caught.value


def check_whole(slices, arrangement, n_volumes):
    """Each volume has the whole ladder, each slice is used once, and flags are known."""
    assert heights(slices, arrangement) == [LADDER] * n_volumes
    used = [index for volume in arrangement.volumes for index in volume]
    assert sorted((*used, *arrangement.duplicates)) == list(range(len(slices)))
    assert set(arrangement.flags) <= set(FLAGS)


def make_grid(n_volumes, describe):
    """Slices of volumes t at heights k; `describe(t, k)` gives the values."""
    return shuffle([
        at(LADDER[k], **describe(t, k)) for t in range(n_volumes) for k in range(len(LADDER))
    ])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(rotations(), st.permutations(range(6)), st.floats(0.3, 8))
def test_affine_puts_every_slice_where_its_header_says(rotation, order, step):
    row, column, normal = rotation.T
    origin = np.array([12.0, -7.0, 3.0])
    slices = [make_slice(origin + k * step * normal, orientation=(*row, *column)) for k in order]
    arrangement = lay(slices)
    assert [order[n] for n in arrangement.volumes[0]] == sorted(order)
    # Column 3, row 2 of slice 4, by the standard's own equation.
    lps = origin + 3 * 0.5 * row + 2 * 0.7 * column + 4 * step * normal
    np.testing.assert_allclose(
        arrangement.affine @ [3, 2, 4, 1], [-lps[0], -lps[1], lps[2], 1], atol=1e-6
    )
    assert (arrangement.axis, arrangement.values, arrangement.flags) == ("", (), ())


def test_a_single_slice_takes_its_thickness_or_says_that_it_was_assumed():
    thick = lay([make_slice(thickness_mm=4.0)])
    assert (thick.affine[2, 2], thick.flags) == (4.0, ())
    assert lay([make_slice()]).flags == ("thickness-assumed",)


def test_spacing_is_exactly_what_the_header_says():
    slices = [make_slice((0, 0, 0.3 * k), spacing=(0.7, 0.7)) for k in range(7)]
    assert lay(slices).affine[0, 0] == -0.7


def test_orientation_must_be_orthonormal():
    slices = [make_slice((0, 0, k), orientation=(1, 0, 0, 0.2, 1, 0)) for k in range(3)]
    assert refusal_of(slices).reason == "bad-orientation"
    for direction in (0.0, float("nan")):
        zeros = (direction,) * 6
        assert refusal_of([make_slice(orientation=zeros)]).reason == "bad-orientation"


def test_positions_and_spacings_must_be_numbers():
    assert refusal_of([make_slice((0, 0, float("inf"))), at(0)]).reason == "no-position"
    assert refusal_of([make_slice(spacing=(0.0, 1.0))]).reason == "no-spacing"


def test_temporal_position_makes_time():
    slices = make_grid(5, lambda t, _: {"temporal_position": t + 1.0})
    arrangement = lay(slices)
    check_whole(slices, arrangement, 5)
    assert (arrangement.axis, arrangement.unit) == ("time", "1")
    assert arrangement.values == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert arrangement.flags == ()


def test_ge_fmri_without_temporal_position_is_ordered_by_the_time_of_its_slices():
    # Interleaved: even slices first; two seconds a volume; numbers run position by position.
    delays = [0.0, 1.0, 0.5, 1.5]
    slices = make_grid(
        6,
        lambda t, k: {
            "acquisition_time_s": 41295.0 + 2 * t + delays[k],
            "instance_number": 6.0 * k + t + 1,
            "acquisition_number": 1.0,
        },
    )
    arrangement = lay(slices)
    check_whole(slices, arrangement, 6)
    assert (arrangement.axis, arrangement.unit) == ("time", "s")
    assert arrangement.values == (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
    assert arrangement.flags == ()
    numbers = values_of(slices, arrangement, "instance-number")
    assert numbers[2] == [3.0, 9.0, 15.0, 21.0]


@pytest.mark.parametrize(
    "count", [lambda t, k: 4.0 * t + k, lambda t, k: 5.0 * k + t, lambda t, k: 4.0 * t - k]
)
def test_instance_number_orders_as_the_last_resort_and_is_flagged(count):
    slices = make_grid(5, lambda t, k: {"instance_number": 100 + count(t, k)})
    arrangement = lay(slices)
    check_whole(slices, arrangement, 5)
    assert arrangement.axis == "frame"
    assert arrangement.values == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert arrangement.flags == ("ordered-by-instance-number",)
    assert values_of(slices, arrangement, "instance-number") == [
        [100 + count(t, k) for k in range(4)] for t in range(5)
    ]


def test_instance_numbers_without_a_rule_are_refused_and_what_differs_is_named():
    numbers = np.random.default_rng(0).permutation(20)
    slices = make_grid(5, lambda t, k: {"instance_number": float(numbers[4 * t + k])})
    refusal = refusal_of(slices)
    assert refusal.reason == "repeated-positions"
    assert "5 slices at each of 4 positions (they differ in instance-number)" in refusal.detail


def test_times_in_which_volumes_overlap_are_not_trusted():
    # Each position lost another volume, so that counts agree and ranks do not.
    slices = [
        at(LADDER[k], acquisition_time_s=2.0 * t + 0.4 * k)
        for k in range(4)
        for t in range(5)
        if t != k
    ]
    assert refusal_of(slices).reason == "repeated-positions"


def test_times_on_both_sides_of_midnight_are_in_order():
    slices = make_grid(4, lambda t, k: {"acquisition_time_s": (86396.0 + 2 * t + k / 4) % 86400})
    assert lay(slices).values == (0.0, 2.0, 4.0, 6.0)


def test_dwi_with_several_b0_names_the_b_value_and_orders_by_acquisition():
    plan = [(0, ""), (800, "1,0,0"), (0, ""), (800, "0,1,0"), (800, "0,0,1"), (0, "")]
    slices = make_grid(
        6,
        lambda t, k: {
            "b_value": float(plan[t][0]),
            "gradient": plan[t][1],
            "acquisition_time_s": 100.0 + 8 * t + k,
        },
    )
    arrangement = lay(slices)
    check_whole(slices, arrangement, 6)
    assert (arrangement.axis, arrangement.unit) == ("b-value", "s/mm2")
    assert arrangement.values == (0.0, 800.0, 0.0, 800.0, 800.0, 0.0)
    assert values_of(slices, arrangement, "gradient") == [[plan[t][1]] * 4 for t in range(6)]


def test_dwi_whose_repeats_only_the_instance_number_tells_is_flagged():
    plan = [(0, ""), (0, ""), (700, "1,0,0"), (700, "0,1,0")]
    slices = make_grid(
        4,
        lambda t, k: {
            "b_value": float(plan[t][0]),
            "gradient": plan[t][1],
            "instance_number": 4.0 * t + k,
        },
    )
    arrangement = lay(slices)
    check_whole(slices, arrangement, 4)
    assert arrangement.values == (0.0, 0.0, 700.0, 700.0)
    assert arrangement.flags == ("ordered-by-instance-number",)


def test_directions_of_one_b_value_are_a_b_value_axis():
    slices = make_grid(
        3, lambda t, _: {"b_value": 1000.0, "gradient": f"{t},0,1", "acquisition_number": t + 1.0}
    )
    assert (lay(slices).axis, lay(slices).values) == ("b-value", (1000.0,) * 3)


def test_a_volume_of_several_b_values_is_refused():
    slices = make_grid(
        2, lambda t, k: {"temporal_position": t + 1.0, "b_value": float((t + k) % 2)}
    )
    assert refusal_of(slices).reason == "repeated-positions"


def test_cardiac_cine_with_trigger_times_of_each_slice():
    lengths = [31.0, 34.0, 29.5, 33.0]
    slices = make_grid(
        20,
        lambda t, k: {
            "trigger_time_ms": 5.0 * k + t * lengths[k],
            "acquisition_time_s": 3000.0 + 12 * k,
        },
    )
    arrangement = lay(slices)
    check_whole(slices, arrangement, 20)
    assert (arrangement.axis, arrangement.unit) == ("cardiac-phase", "ms")
    assert list(arrangement.values) == sorted(arrangement.values)
    times = values_of(slices, arrangement, "trigger-time-ms")
    assert times[3] == [3 * lengths[k] + 5.0 * k for k in range(4)]


def test_cardiac_phases_in_percent():
    slices = make_grid(4, lambda t, _: {"cardiac_phase_percent": 25.0 * t})
    assert (lay(slices).axis, lay(slices).values) == ("cardiac-phase", (0.0, 25.0, 50.0, 75.0))


def test_long_trigger_times_are_time():
    slices = make_grid(4, lambda t, k: {"trigger_time_ms": 2500.0 * t + 100 * k})
    assert (lay(slices).axis, lay(slices).values) == ("time", (0.0, 2.5, 5.0, 7.5))


def test_inversion_times_are_in_the_order_of_acquisition():
    times = [100.0, 180.0, 1100.0, 1180.0]
    order = [2, 0, 3, 1]
    slices = make_grid(
        4, lambda t, _: {"inversion_time_ms": times[t], "acquisition_time_s": 50.0 + order[t]}
    )
    arrangement = lay(slices)
    assert (arrangement.axis, arrangement.unit) == ("inversion-time", "ms")
    assert arrangement.values == (180.0, 1180.0, 100.0, 1100.0)


def test_pet_frames_are_seconds_after_the_first():
    starts = [0.0, 10000.0, 20000.0, 50000.0]
    slices = make_grid(4, lambda t, _: {"frame_time_ms": 5000.0 + starts[t]})
    assert (lay(slices).axis, lay(slices).values) == ("time", (0.0, 10.0, 20.0, 50.0))


def test_two_passes_over_the_same_range_are_acquisitions():
    slices = make_grid(2, lambda t, _: {"acquisition_number": 3.0 + t})
    assert (lay(slices).axis, lay(slices).values) == ("acquisition", (3.0, 4.0))


def test_two_names_that_cross_make_one_axis():
    slices = make_grid(
        6, lambda t, _: {"temporal_position": 1.0 + t // 3, "inversion_time_ms": 100.0 * (t % 3)}
    )
    arrangement = lay(slices)
    check_whole(slices, arrangement, 6)
    rows = zip(
        values_of(slices, arrangement, "temporal-position"),
        values_of(slices, arrangement, "inversion-time-ms"),
        strict=True,
    )
    assert [(a[0], b[0]) for a, b in rows] == [
        (1.0, 0.0), (1.0, 100.0), (1.0, 200.0), (2.0, 0.0), (2.0, 100.0), (2.0, 200.0)
    ]  # fmt: skip


def test_an_instance_with_one_frame_at_each_position_is_a_volume():
    instances = [
        make_instance([
            make_frame((0, 0, LADDER[k]), index=n, variant={"acquisition-number": float(t)})
            for n, k in enumerate(np.random.default_rng(t).permutation(4))
        ])
        for t in range(3)
    ]  # fmt: skip
    slices = shuffle(unroll(instances))
    arrangement = lay(slices)
    check_whole(slices, arrangement, 3)
    for volume in arrangement.volumes:
        assert len({slices[index].instance.sop_uid for index in volume}) == 1
    assert arrangement.values == (0.0, 1.0, 2.0)


@pytest.mark.parametrize("missing", [0, 5, 11])
def test_a_slice_missing_in_one_of_several_volumes_is_refused_with_the_counts(missing):
    slices = [at(z, temporal_position=float(t)) for t in range(3) for z in LADDER]
    for gaps in ("refuse", "flag", "resample"):
        refusal = refusal_of(slices[:missing] + slices[missing + 1 :], gaps=gaps)
        assert refusal.reason == "uneven-repeats"
        assert "3 at 3 positions, 2 at 1 positions" in refusal.detail


def test_a_slice_missing_in_all_volumes_is_a_gap():
    slices = [at(z, temporal_position=float(t)) for t in range(3) for z in (0, 3, 6, 12, 15)]
    assert refusal_of(slices).reason == "missing-slice"


def test_parts_that_meet_in_one_grid_are_refused():
    slices = [
        at(z, component=c, instance_number=float(n)) for z in LADDER for n, c in enumerate("MP")
    ]
    assert refusal_of(slices).reason == "repeated-positions"


def test_jitter_of_positions_between_volumes_is_one_position():
    slices = make_grid(5, lambda t, _: {"temporal_position": float(t)})
    jitter = np.random.default_rng(1).uniform(-0.004, 0.004, len(slices))
    moved = [
        make_slice((0, 0, item.frame.position_mm[2] + dz), dict(item.frame.variant))
        for item, dz in zip(slices, jitter, strict=True)
    ]
    assert len(lay(moved).volumes) == 5


def test_positions_a_few_thousandths_apart_are_not_one_where_pixels_are_small():
    slices = [make_slice((0, 0, 0.004 * k), spacing=(0.004, 0.004)) for k in range(5)]
    assert lay(slices).affine[2, 2] == pytest.approx(0.004)


def test_slices_at_one_position_are_no_frames_by_their_number_alone():
    slices = [at(0, instance_number=float(n), content_time_s=float(n)) for n in range(5)]
    assert refusal_of(slices).reason == "repeated-positions"


def test_one_position_through_time_is_an_axis():
    slices = shuffle([at(0, acquisition_time_s=10.0 + n) for n in range(5)])
    assert lay(slices).values == (0.0, 1.0, 2.0, 3.0, 4.0)


def test_frames_of_one_instance_at_one_position_keep_their_order():
    slices = shuffle(unroll([make_instance([make_frame(index=n) for n in range(5)])]))
    arrangement = lay(slices)
    assert [slices[k].frame.index for (k,) in arrangement.volumes] == [0, 1, 2, 3, 4]
    assert (arrangement.axis, arrangement.flags) == ("frame", ("thickness-assumed",))


def test_slices_of_one_volume_that_differ_in_more_than_place_are_flagged():
    assert lay([at(z, image_kind="AB"[n % 2]) for n, z in enumerate(LADDER)]).flags == (
        "mixed-slices",
    )
    assert lay([at(z, b_value=float(n)) for n, z in enumerate(LADDER)]).flags == ("mixed-slices",)


def make_acquisitions(numbers, modality="CT"):
    """One slice every 1.25 mm, each with its acquisition number; None for a slice without."""
    return shuffle([
        make_slice(
            (0, 0, 1.25 * k), {} if n is None else {"acquisition-number": n}, modality=modality
        )
        for k, n in enumerate(numbers)
    ])  # fmt: skip


@pytest.mark.parametrize(
    "numbers",
    [
        [1.0, 2.0] * 6,
        [1.0, 2.0, 3.0] * 4,
        [*[1.0] * 5, 2.0, *[1.0] * 5],
        [None, 1.0, 2.0, 1.0, None, 2.0],
    ],
)
def test_acquisitions_that_interleave_in_one_volume_are_flagged(numbers):
    slices = make_acquisitions(numbers)
    assert lay(slices).flags == ("mixed-slices",)
    # In MR, packages of slices are acquired in turns.
    assert lay(make_acquisitions(numbers, "MR")).flags == ()


@pytest.mark.parametrize(
    "numbers",
    [
        [*[1.0] * 6, *[2.0] * 6],
        [*[2.0] * 4, *[1.0] * 4, *[3.0] * 4],
        [float(k) for k in range(12)],
        [None, 1.0] * 6,
    ],
)
def test_acquisitions_that_follow_each_other_along_the_normal_are_not_flagged(numbers):
    assert lay(make_acquisitions(numbers)).flags == ()


def test_volumes_of_an_acquisition_each_are_not_flagged():
    slices = [
        make_slice((0, 0, z), {"acquisition-number": float(t)}, modality="CT")
        for z in LADDER
        for t in range(3)
    ]
    assert lay(slices).flags == ()


def make_plane(index=0, *, spacing=None, variant=None):
    return make_frame(None, index=index, orientation=None, spacing=spacing, variant=variant)


def test_a_plane_without_geometry_lies_flat():
    plain = lay(unroll([make_instance([make_plane(spacing=(0.7, 0.5))], sop_class=US)]))
    np.testing.assert_array_equal(plain.affine, np.diag([-0.5, -0.7, 1, 1]))
    assert (plain.volumes, plain.flags) == (((0,),), ())
    assert lay(unroll([make_instance([make_plane()], sop_class=US)])).flags == ("no-spacing",)


def test_a_cine_is_frames_in_their_order_with_copies_found():
    instances = [
        make_instance([make_plane(k) for k in range(4)], uid="u", path="p", file=f, sop_class=US)
        for f in ("a", "b")
    ]
    slices = shuffle(unroll(instances))
    arrangement = lay(slices)
    assert [slices[k].frame.index for (k,) in arrangement.volumes] == [0, 1, 2, 3]
    assert (arrangement.axis, arrangement.values) == ("frame", (1.0, 2.0, 3.0, 4.0))
    assert len(arrangement.duplicates) == 4


def test_a_cine_that_tells_times_is_time():
    frames = [make_plane(k, variant={"frame-time-ms": 40.0 * k}) for k in range(3)]
    arrangement = lay(unroll([make_instance(frames, sop_class=US)]))
    assert (arrangement.axis, arrangement.values) == ("time", (0.0, 0.04, 0.08))


def test_digests_are_asked_for_only_where_slices_may_be_duplicates():
    asked = []

    def note(item):
        asked.append(item)
        return digest(item)

    from medvision.io.stacking.volumes import arrange

    slices = make_grid(5, lambda t, _: {"temporal_position": float(t)})
    arrange(slices, digest=note, gap_tolerance=0.1, gaps="refuse", tilt="keep")
    assert asked == []
    # Told apart by their number alone: the pixels of one position answer for all.
    slices = make_grid(5, lambda t, k: {"instance_number": 4.0 * t + k})
    arrange(slices, digest=note, gap_tolerance=0.1, gaps="refuse", tilt="keep")
    assert len(asked) == 5
