"""Whatever the slices and their order: volumes are recovered exactly, or refused with a reason."""

from dataclasses import dataclass

import numpy as np
from geometry_strategies import rotations
from hypothesis import given, settings
from hypothesis import strategies as st
from slices import AXIAL, SAGITTAL, gather, lay, make_slice

from medvision.domain.study import AXES, PARTS
from medvision.io.reasons import FLAGS, REFUSED, RefusalError
from medvision.io.stacking.resample import resample
from medvision.io.stacking.series import split_grids

# What tells volume t of slice k, of P slices, from others; what is true of real scanners.
TELLERS = {
    "temporal-position": lambda t, **_: {"temporal-position": t + 1.0},
    "number-of-acquisition": lambda t, **_: {"acquisition-number": t + 1.0},
    "time-of-volume": lambda t, **_: {"acquisition-time-s": 40000 + 2.0 * t},
    "time-of-slice": lambda t, k, p: {"acquisition-time-s": 40000 + 2.0 * (t + (k * 3 % p) / p)},
    "slice-after-slice": lambda t, k, **_: {"acquisition-time-s": 40000 + 50.0 * k + 0.9 * t},
    "trigger-time": lambda t, k, **_: {"trigger-time-ms": 3.0 * k + (25 + k % 4) * t},
    "b-value": lambda t, **_: {"b-value": 100.0 * t},
    "directions": lambda t, **_: {"b-value": 0.0 if t == 0 else 700.0, "gradient": f"{t},0,0"},
    "repeated-b0": lambda t, k, p: {
        "b-value": 0.0 if t % 2 else 700.0,
        "acquisition-time-s": 7.0 * t + k / p,
    },
    "instance-number": lambda t, k, p: {"instance-number": 1.0 + t * p + k},
}


@dataclass
class Truth:
    """Slices in a random order, and which volume and place each was made for."""

    slices: list
    volumes: list
    places: list
    lps: np.ndarray  # (4, 4)


@st.composite
def truths(draw, *, tellers=tuple(TELLERS), most_volumes=5, fewest_places=1):
    teller = TELLERS[draw(st.sampled_from(tellers))]
    n_volumes, n_places = (
        draw(st.integers(1, most_volumes)),
        draw(st.integers(fewest_places, 7)),
    )
    # At one position, InstanceNumber alone tells nothing.
    if n_places == 1 and teller is TELLERS["instance-number"]:
        n_places = 2
    rotation = draw(rotations())
    step = draw(st.floats(0.2, 10))
    shear = draw(st.sampled_from([0.0, 0.3])) * step
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = rotation[:, 0] * 0.5, rotation[:, 1] * 0.7
    lps[:3, 2] = rotation[:, 2] * step + rotation[:, 1] * shear
    lps[:3, 3] = draw(st.tuples(*[st.floats(-200, 200)] * 3))
    cells = [(t, k) for t in range(n_volumes) for k in range(n_places)]
    slices = [
        make_slice(
            (lps @ [0, 0, k, 1])[:3],
            teller(t=t, k=k, p=n_places),
            orientation=(*rotation[:, 0], *rotation[:, 1]),
            thickness_mm=step,
        )
        for t, k in cells
    ]
    order = draw(st.permutations(range(len(cells))))
    return Truth(
        [slices[n] for n in order], [cells[n][0] for n in order], [cells[n][1] for n in order], lps
    )


@settings(max_examples=200, deadline=None)
@given(truths())
def test_volumes_are_recovered_exactly(truth):
    (grid,) = split_grids(gather(truth.slices))
    assert set(grid.slices) == set(truth.slices)
    arrangement = lay(truth.slices)
    n_places = max(truth.places) + 1
    volumes = [[truth.volumes[n] for n in volume] for volume in arrangement.volumes]
    assert volumes == [[t] * n_places for t in range(max(truth.volumes) + 1)]
    for volume in arrangement.volumes:
        assert [truth.places[n] for n in volume] == list(range(n_places))
    assert len(arrangement.values) == (len(volumes) if len(volumes) > 1 else 0)
    assert arrangement.duplicates == ()
    expected = np.diag([-1.0, -1, 1, 1]) @ truth.lps
    columns = slice(None) if n_places > 1 else [0, 1, 3]
    np.testing.assert_allclose(arrangement.affine[:, columns], expected[:, columns], atol=1e-6)


@settings(max_examples=150, deadline=None)
@given(truths(most_volumes=4, fewest_places=4), st.data())
def test_a_removed_slice_is_never_accepted_in_silence(truth, data):
    # An end that all volumes lost leaves no trace.
    n_volumes, last = max(truth.volumes) + 1, max(truth.places)
    candidates = [n for n, k in enumerate(truth.places) if n_volumes > 1 or 0 < k < last]
    most = max(n_volumes - 1, 1)
    gone = data.draw(st.sets(st.sampled_from(candidates), min_size=1, max_size=most))
    left = [item for n, item in enumerate(truth.slices) if n not in gone]
    verdicts = [describe(grid.slices) for grid in split_grids(gather(left))]
    assert any(one in ("missing-slice", "variable-spacing", "uneven-repeats") for one in verdicts)


@settings(max_examples=100, deadline=None)
@given(truths(most_volumes=3, fewest_places=4), st.integers(1, 3))
def test_gaps_of_all_volumes_are_filled_where_the_affine_says(truth, gone):
    left = [n for n, k in enumerate(truth.places) if k != gone or k == max(truth.places)]
    slices = [truth.slices[n] for n in left]
    arrangement = lay(slices, gaps="resample")
    heights = np.array([truth.places[left[n]] for n in arrangement.volumes[0]], dtype=np.float64)
    array = np.broadcast_to(heights, (2, 2, len(heights)))
    if arrangement.resampling is not None:
        assert {"missing-slice", "resampled"} <= set(arrangement.flags)
        array = resample(array, arrangement.resampling)
    np.testing.assert_allclose(array[0, 0], np.arange(max(heights) + 1), atol=1e-4)


odd = st.sampled_from([0.0, 1.0, 2.0, 3.0, 5.0, 1e-4, 1e9, -1e300, float("nan"), float("inf")])
plain = st.sampled_from([0.0, 1.0, 2.0, 3.0])
names = st.sampled_from(sorted((*PARTS, *AXES)))


@st.composite
def oddities(draw):
    """Slices whose headers are made up."""
    number = odd if draw(st.booleans()) else plain
    told = draw(st.lists(names, max_size=4, unique=True))
    n_slices = draw(st.integers(1, 12))
    slices = []
    for n in range(n_slices):
        variant = {
            name: draw(st.sampled_from(["", "a"]) if name in ("component", "gradient") else plain)
            for name in told
            if draw(st.integers(0, 5))
        }
        direction = draw(st.sampled_from([AXIAL] * 6 + [SAGITTAL, (0.0,) * 6]))
        has_place = draw(st.integers(0, 9)) > 0
        slices.append(
            make_slice(
                (0, 0, draw(number)) if has_place else None,
                variant,
                orientation=direction,
                spacing=draw(st.sampled_from([(1.0, 1.0)] * 6 + [(0.0, 1.0), None])),
                uid=f"u{draw(st.integers(0, 30))}" if draw(st.booleans()) else f"v{n}",
                file=f"f{n}",
                path=draw(st.sampled_from(["p", "q", f"x{n}"])),
            )
        )
    return slices


def describe(slices, **settings_):
    """What becomes of slices, in words that do not depend on their order."""
    try:
        made = lay(slices, **settings_)
    except RefusalError as refusal:
        return refusal.reason if refusal.reason in REFUSED else "unknown reason"
    used = sorted((*(n for volume in made.volumes for n in volume), *made.duplicates))
    assert used == list(range(len(slices)))
    assert len({len(volume) for volume in made.volumes}) == 1
    assert len(made.values) == (len(made.volumes) if made.axis else 0)
    assert bool(made.axis) == (len(made.volumes) > 1)
    assert np.isfinite(made.affine).all()
    assert set(made.flags) <= set(FLAGS)
    files = [[slices[n].instance.file for n in volume] for volume in made.volumes]
    return files, made.axis, made.values, made.unit, made.affine.tobytes(), made.flags


@settings(max_examples=400, deadline=None)
@given(oddities(), st.randoms(), st.sampled_from(["refuse", "flag", "resample"]))
def test_made_up_headers_end_in_a_verdict_that_their_order_does_not_change(slices, random, gaps):
    grids = split_grids(gather(slices))
    assert sorted(item.instance.file for grid in grids for item in grid.slices) == sorted(
        item.instance.file for item in slices
    )
    verdicts = [describe(grid.slices, gaps=gaps, tilt="resample") for grid in grids]
    assert "unknown reason" not in verdicts
    random.shuffle(slices)
    again = split_grids(gather(slices))
    assert again == grids
    shuffled = [random.sample(grid.slices, len(grid.slices)) for grid in again]
    assert [describe(one, gaps=gaps, tilt="resample") for one in shuffled] == verdicts
