"""A series is divided into grids by what makes a grid, and by the parts that it holds."""

import time
from collections import Counter

import numpy as np
import pytest
from slices import (
    AXIAL,
    CT,
    MR,
    SAGITTAL,
    US,
    at,
    gather,
    make_frame,
    make_instance,
    make_slice,
    shuffle,
    unroll,
)

from medvision.domain.study import Series
from medvision.io.reasons import REFUSED, RefusalError
from medvision.io.stacking.series import check_grid, split_grids

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def split(slices):
    return split_grids(gather(slices))


def tell(grids):
    """Parts and sizes of grids."""
    return [(dict(grid.part), len(grid.slices)) for grid in grids]


def refusal_of(grid):
    with pytest.raises(RefusalError) as caught:
        check_grid(grid)
    assert caught.value.reason in REFUSED
    return caught.value.reason


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sop_class", CT),
        ("role", "derived"),
        ("rows", 8),
        ("columns", 8),
        ("photometric", "MONOCHROME1"),
        ("frame_of_reference", "g"),
    ],
)
def test_what_cannot_be_one_grid_is_split(name, value):
    slices = [make_slice((0, 0, k), **({name: value} if k > 2 else {})) for k in range(6)]
    assert [len(grid.slices) for grid in split(slices)] == [3, 3]


def test_orientation_and_pixel_spacing_split_beyond_their_tolerance():
    turned = (np.cos(0.01), np.sin(0.01), 0, -np.sin(0.01), np.cos(0.01), 0)
    nearly = (1.0, 5e-4, 0, -5e-4, 1.0, 0)
    slices = [make_slice((0, 0, k), orientation=o) for o in (AXIAL, turned, nearly) for k in (0, 1)]
    assert sorted(len(grid.slices) for grid in split(slices)) == [2, 4]
    spacings = [(0.7, 0.5), (0.7, 0.6), (0.700001, 0.5)]
    slices = [make_slice((0, 0, k), spacing=s) for s in spacings for k in (0, 1)]
    assert sorted(len(grid.slices) for grid in split(slices)) == [2, 4]


def test_planes_of_a_localizer_are_grids_of_their_own():
    slices = [
        make_slice((5 * k, 5 * k, 5 * k), orientation=o)
        for o in (AXIAL, SAGITTAL, CORONAL)
        for k in range(3)
    ]
    assert [len(grid.slices) for grid in split(shuffle(slices))] == [3, 3, 3]


def test_planes_across_each_other_are_a_localizer():
    slices = [
        make_slice((5 * k, 5 * k, 5 * k), orientation=o)
        for o in (AXIAL, SAGITTAL)
        for k in range(3)
    ]
    assert {item.instance.role for grid in split(slices) for item in grid.slices} == {"localizer"}


def make_fan(degrees, n_each=2):
    angles = np.deg2rad(degrees)
    return [
        make_slice((0, 0, 5 * k), orientation=(1, 0, 0, 0, np.cos(a), np.sin(a)))
        for a in angles
        for k in range(n_each)
    ]


@pytest.mark.parametrize(
    "slices",
    [
        make_fan([0, 20]),  # discs of a spine
        make_fan([0, 45, 90, 135]),  # turning about an axis
        make_fan([0, 90], n_each=40),  # two whole volumes
        make_fan([0, 90]) + make_fan([0, 90]),  # over time
    ],
)
def test_other_planes_are_no_localizer(slices):
    assert {item.instance.role for grid in split(slices) for item in grid.slices} == {"original"}


def make_planes(n_slices, *, orientation, **values):
    """Slices 5 mm apart along each axis, so that every orientation has them at several heights."""
    return [
        make_slice((5 * k, 5 * k, 5 * k), orientation=orientation, **values)
        for k in range(n_slices)
    ]


def count_roles(grids):
    """Slices of each normal axis and role."""
    return Counter(
        (
            ["sagittal", "coronal", "axial"][
                int(np.abs(np.cross(*np.reshape(item.frame.orientation, (2, 3)))).argmax())
            ],
            item.instance.role,
        )
        for grid in grids
        for item in grid.slices
    )


def test_planes_of_a_scout_may_differ_in_size():
    slices = [
        *make_planes(3, orientation=AXIAL, rows=4),
        *make_planes(3, orientation=SAGITTAL, rows=8, spacing=(0.9, 0.9)),
        *make_planes(1, orientation=CORONAL, rows=16, columns=8),
    ]
    grids = split(shuffle(slices))
    assert sorted(len(grid.slices) for grid in grids) == [1, 3, 3]
    assert {role for _, role in count_roles(grids)} == {"localizer"}


@pytest.mark.parametrize("rows", [4, 8])
@pytest.mark.parametrize("n_axial", [4, 5, 24, 80])
def test_a_plane_across_a_stack_is_a_localizer_and_the_stack_is_none(n_axial, rows):
    slices = [
        *make_planes(n_axial, orientation=AXIAL, sop_class=CT, modality="CT"),
        *make_planes(1, orientation=CORONAL, sop_class=CT, modality="CT", rows=rows),
    ]
    assert count_roles(split(shuffle(slices))) == {
        ("axial", "original"): n_axial,
        ("coronal", "localizer"): 1,
    }


def test_two_planes_across_a_stack_are_localizers_up_to_three_slices_each():
    def make(n_axial, n_sagittal, n_coronal):
        planes = [(n_axial, AXIAL), (n_sagittal, SAGITTAL), (n_coronal, CORONAL)]
        return [item for n, plane in planes for item in make_planes(n, orientation=plane)]

    assert count_roles(split(make(9, 3, 1))) == {
        ("axial", "original"): 9,
        ("sagittal", "localizer"): 3,
        ("coronal", "localizer"): 1,
    }
    # Neither a few planes across a stack, nor about as many in each direction: nothing is known.
    assert {role for _, role in count_roles(split(make(24, 5, 5)))} == {"original"}
    assert {role for _, role in count_roles(split(make(5, 5, 1)))} == {"localizer"}
    assert {role for _, role in count_roles(split(make(3, 1, 1)))} == {"localizer"}


def test_a_file_sent_twice_counts_once_among_crossing_planes():
    slices = make_planes(2, orientation=AXIAL) + make_planes(1, orientation=SAGITTAL)
    copies = [
        make_slice(
            item.frame.position_mm,
            orientation=AXIAL,
            uid=item.instance.sop_uid,
            file=f"copy-{item.instance.file}",
        )
        for item in slices[:2]
    ]
    assert {role for _, role in count_roles(split([*slices, *copies]))} == {"localizer"}


def test_planes_across_a_stack_through_time_are_left_as_they_are():
    slices = [item for _ in range(2) for item in make_planes(8, orientation=AXIAL)]
    slices += make_planes(1, orientation=CORONAL)
    assert {role for _, role in count_roles(split(slices))} == {"original"}


def test_planes_across_derived_slices_are_no_localizer():
    slices = make_planes(8, orientation=AXIAL, role="derived")
    slices += make_planes(1, orientation=CORONAL)
    assert count_roles(split(slices)) == {("axial", "derived"): 8, ("coronal", "original"): 1}


def test_many_orientations_take_linear_time():
    angles = np.linspace(0, np.pi, 8000)
    slices = [make_slice((0, 0, 0), orientation=(1, 0, 0, 0, np.cos(a), np.sin(a))) for a in angles]
    start = time.process_time()
    grids = split(slices)
    assert time.process_time() - start < 20
    assert all(
        np.ptp([item.frame.orientation for item in grid.slices], axis=0).max() <= 1e-3
        for grid in grids
    )


def test_echoes_are_grids_in_the_order_of_their_time():
    slices = [at(3 * k, echo_time_ms=e, echo_number=n)
              for k in range(4) for n, e in ((1.0, 4.9), (2.0, 20.0), (3.0, 100.0))]  # fmt: skip
    assert tell(split(shuffle(slices))) == [
        ({"echo-time-ms": 4.9}, 4),
        ({"echo-time-ms": 20.0}, 4),
        ({"echo-time-ms": 100.0}, 4),
    ]


def test_echo_times_a_thousandth_apart_are_one():
    slices = [at(3 * k, echo_time_ms=30 + 4e-4 * (k % 2)) for k in range(4)]
    assert tell(split(slices)) == [({}, 4)]


def test_echo_numbers_split_where_times_are_absent():
    slices = [at(3 * k, echo_number=n) for k in range(4) for n in (1.0, 2.0)]
    assert tell(split(slices)) == [({"echo-number": 1.0}, 4), ({"echo-number": 2.0}, 4)]


def test_magnitude_and_phase_of_two_echoes_are_four_grids():
    slices = [
        at(3 * k, echo_time_ms=e, component=c) for k in range(3) for e in (5.0, 7.0) for c in "MP"
    ]
    assert tell(split(shuffle(slices))) == [
        ({"echo-time-ms": e, "component": c}, 3) for e in (5.0, 7.0) for c in "MP"
    ]


def test_components_split_even_where_they_never_meet():
    slices = [at(3 * k, component="M" if k < 3 else "P") for k in range(6)]
    assert len(split(slices)) == 2


def test_a_part_that_some_slices_lack_is_the_empty_term():
    slices = [at(3 * k) for k in range(3)] + [at(3 * k, image_kind="ADC") for k in range(3)]
    assert tell(split(slices)) == [({"image-kind": ""}, 3), ({"image-kind": "ADC"}, 3)]


def test_kinds_that_change_from_slice_to_slice_tear_no_volume():
    slices = [at(3 * k, image_kind="AB"[k % 2]) for k in range(8)]
    assert tell(split(slices)) == [({}, 8)]
    # A missing slice does not turn one torn volume into two whole ones.
    assert tell(split(slices[:4] + slices[5:])) == [({}, 7)]


def test_kinds_of_neighbouring_ranges_that_form_one_even_stack_stay_together():
    assert len(split([at(3 * k, image_kind="AB"[k // 4]) for k in range(8)])) == 1
    apart = [at(3 * k + 50 * (k // 4), image_kind="AB"[k // 4]) for k in range(8)]
    assert len(split(apart)) == 2


def test_kinds_that_only_follow_the_b_value_are_no_parts():
    slices = [at(3 * k, b_value=b, image_kind="DIFFUSION" if b else "SE")
              for k in range(4) for b in (0.0, 800.0)]  # fmt: skip
    assert tell(split(slices)) == [({}, 8)]


def test_maps_are_parts_though_they_follow_the_b_value():
    slices = [at(3 * k, b_value=b, image_kind="DIFFUSION+ADC" if b else "DIFFUSION")
              for k in range(4) for b in (0.0, 800.0)]  # fmt: skip
    assert len(split(slices)) == 2


def test_the_trace_of_directions_is_an_image_of_its_own():
    plan = [(0.0, ""), (800.0, "1,0,0"), (800.0, "0,1,0"), (800.0, "")]
    slices = [at(3 * k, b_value=b, gradient=g) for k in range(4) for b, g in plan]
    assert tell(split(slices)) == [({"image-kind": ""}, 12), ({"image-kind": "TRACE"}, 4)]
    # Without directions, nothing is a mean of them.
    slices = [at(3 * k, b_value=b, gradient="") for k in range(4) for b in (0.0, 800.0)]
    assert tell(split(slices)) == [({}, 8)]


def test_the_trace_is_derived_and_the_directions_are_not():
    plan = [(0.0, ""), (800.0, "1,0,0"), (800.0, "0,1,0"), (800.0, "")]
    slices = [at(3 * k, b_value=b, gradient=g) for k in range(4) for b, g in plan]
    roles = [{item.instance.role for item in grid.slices} for grid in split(shuffle(slices))]
    assert roles == [{"original"}, {"derived"}]


def test_a_trace_among_the_frames_of_one_object_is_derived_alone():
    plan = [(z, g) for z in (0, 3, 6) for g in ("1,0,0", "0,1,0", "")]
    frames = [
        make_frame((0, 0, z), index=n, variant={"b-value": 800.0, "gradient": g})
        for n, (z, g) in enumerate(plan)
    ]
    grids = split(unroll([make_instance(frames)]))
    assert tell(grids) == [({"image-kind": ""}, 6), ({"image-kind": "TRACE"}, 3)]
    assert [grid.first.role for grid in grids] == ["original", "derived"]


def test_a_trace_keeps_a_role_that_is_not_original():
    plan = [(800.0, "1,0,0"), (800.0, "")]
    slices = [
        make_slice((0, 0, 3 * k), {"b-value": b, "gradient": g}, role="localizer")
        for k in range(4)
        for b, g in plan
    ]
    assert {grid.first.role for grid in split(slices)} == {"localizer"}


def test_two_fields_of_view_side_by_side_are_two_grids():
    slices = [make_slice((x, 0, 3 * k)) for k in range(4) for x in (0, 90)]
    assert [len(grid.slices) for grid in split(slices)] == [4, 4]


def test_two_ct_passes_over_different_ranges_are_two_grids():
    first = [(3 * k, 1.0) for k in range(10)]
    second = [(3 * k, 2.0) for k in range(5, 20)]
    slices = [
        make_slice((0, 0, z), {"acquisition-number": n}, modality="CT", sop_class=CT)
        for z, n in first + second
    ]
    assert tell(split(shuffle(slices))) == [
        ({"acquisition-number": 1.0}, 10),
        ({"acquisition-number": 2.0}, 15),
    ]


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_a_time_series_that_lost_a_slice_is_not_torn_into_passes(modality):
    slices = [
        make_slice((0, 0, 3 * k), {"acquisition-number": float(t)}, modality=modality)
        for k in range(6)
        for t in range(3)
    ]
    assert len(split(slices[:7] + slices[8:])) == 1


def test_rotations_that_go_on_where_others_end_are_one_grid():
    slices = [
        make_slice((0, 0, k), {"acquisition-number": float(k // 4)}, modality="CT")
        for k in range(16)
    ]
    repeated = make_slice((0, 0, 5), {"acquisition-number": 1.0}, modality="CT")
    again = make_slice((0, 0, 3), {"acquisition-number": 1.0}, modality="CT")
    assert len(split([*slices, repeated])) == 1
    assert len(split([*slices, again])) == 1


def test_one_uid_in_two_orientations_is_one_grid_that_is_refused_later():
    slices = [make_slice((0, 0, k)) for k in range(3)]
    uid = slices[1].instance.sop_uid
    liar = make_slice((0, 0, 1), orientation=SAGITTAL, uid=uid, file="other")
    (grid,) = split([*slices, liar])
    assert len(grid.slices) == 4


def test_neither_file_names_nor_the_order_of_instances_change_the_grids():
    slices = [
        at(3 * k, echo_time_ms=e, b_value=b)
        for k in range(4)
        for e in (5.0, 7.0)
        for b in (0.0, 9.0)
    ]
    expected = split(slices)
    for seed in range(5):
        assert split(shuffle(slices, seed=seed)) == expected


def test_frames_of_an_instance_can_be_of_several_grids():
    frames = [
        make_frame((0, 0, 3 * k), index=2 * k + n, variant={"component": c})
        for k in range(4)
        for n, c in enumerate("MP")
    ]
    grids = split_grids(Series("s", "1", "2", (make_instance(frames),)))
    assert tell(grids) == [({"component": "M"}, 4), ({"component": "P"}, 4)]
    assert grids[0].files == grids[1].files


def test_a_file_with_a_fault_makes_every_grid_of_its_series_incomplete():
    slices = [at(3 * k, component=c) for k in range(3) for c in "MP"]
    assert not any(grid.is_incomplete for grid in split(slices))
    faulty = make_slice((0, 0, 0), {"component": "M"}, fault=("truncated", "…"))
    assert all(grid.is_incomplete for grid in split([*slices, faulty]))


def test_planes_without_geometry_are_grids_by_instance():
    slices = [make_slice(None, orientation=None, spacing=None, sop_class=US) for _ in range(3)]
    grids = split(slices)
    assert [(len(grid.slices), grid.is_stack) for grid in grids] == [(1, False)] * 3
    for grid in grids:
        check_grid(grid)


def test_a_cine_passes_and_a_volume_without_positions_does_not():
    frames = [make_frame(None, index=k, orientation=None, spacing=None) for k in range(5)]
    (cine,) = split_grids(Series("s", "1", "2", (make_instance(frames, sop_class=US),)))
    check_grid(cine)
    (volume,) = split_grids(Series("s", "1", "2", (make_instance(frames, sop_class=MR),)))
    assert refusal_of(volume) == "no-position"


def test_slices_of_ct_without_position_are_refused_together():
    slices = [make_slice(None, orientation=None, sop_class=CT) for _ in range(3)]
    (grid,) = split(slices)
    assert refusal_of(grid) == "no-position"


def test_slices_without_pixel_spacing_are_refused_as_such():
    slices = [make_slice((0, 0, k), spacing=None, sop_class=CT) for k in range(3)]
    (grid,) = split(slices)
    assert refusal_of(grid) == "no-spacing"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"series_uid": ""}, "no-series-uid"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "MOSAIC")}, "mosaic-without-header"),
        ({"photometric": "CMYK"}, "photometric-not-supported"),
        ({"samples": 3}, "photometric-not-supported"),
        ({"photometric": "RGB"}, "photometric-not-supported"),
    ],
)
def test_headers_that_cannot_be_used_are_refused(values, reason):
    (grid,) = split([make_slice((0, 0, k), **values) for k in range(2)])
    assert refusal_of(grid) == reason


def test_broken_directions_end_in_one_grid_and_not_in_an_exception():
    slices = [
        make_slice((0, 0, k), {"image-kind": "AB"[k % 2]}, orientation=(0, 0, 0, 0, 0, 0))
        for k in range(4)
    ]
    assert len(split(slices)) == 1
    nans = [make_slice((0, 0, float("nan")), {"image-kind": c}) for c in "AB"]
    assert len(split(nans)) == 1
