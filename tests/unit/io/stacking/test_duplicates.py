"""Slices that repeat others are found; slices that only look alike are kept."""

from dataclasses import replace

import pytest
from slices import at, lay, make_slice, shuffle

from medvision.domain.study import Slice
from medvision.io.reasons import RefusalError


def resend(item, *, uid, path=None, **variant):
    """The same slice in another file."""
    values = {**dict(item.frame.variant), **{k.replace("_", "-"): v for k, v in variant.items()}}
    frame = replace(item.frame, variant=tuple(sorted(values.items())))
    instance = replace(
        item.instance,
        sop_uid=uid,
        file=f"{item.instance.file}-again",
        path=path or item.instance.path,
        frames=(frame,),
    )
    return Slice(instance, frame)


def refusal_of(slices):
    with pytest.raises(RefusalError) as caught:
        lay(slices)
    return caught.value.reason


def test_copies_under_one_uid_are_counted():
    slices = [at(3 * k) for k in range(4)]
    copies = [resend(item, uid=item.instance.sop_uid) for item in slices]
    arrangement = lay([*slices, *copies])
    assert len(arrangement.volumes) == 1
    assert len(arrangement.duplicates) == 4


def test_resent_slices_under_other_uids_are_counted():
    slices = [at(3 * k, instance_number=float(k)) for k in range(4)]
    resent = [
        resend(item, uid=f"new-{n}", instance_number=100.0 + n, content_time_s=5.0)
        for n, item in enumerate(slices)
    ]
    for some in (resent, resent[:1], resent[1:3]):
        arrangement = lay(shuffle([*slices, *some]))
        assert len(arrangement.volumes) == 1
        assert len(arrangement.duplicates) == len(some)


def test_one_slice_of_a_time_series_sent_again_is_counted():
    slices = [at(3 * k, temporal_position=float(t)) for k in range(4) for t in range(3)]
    arrangement = lay([*slices, resend(slices[5], uid="new")])
    assert len(arrangement.volumes) == 3
    assert arrangement.duplicates in ((5,), (12,))


@pytest.mark.parametrize("change", ["pixels", "place", "value", "size"])
def test_one_uid_for_different_slices_is_refused(change):
    slices = [at(3 * k, b_value=0.0) for k in range(4)]
    uid = slices[1].instance.sop_uid
    copy = resend(slices[1], uid=uid)
    if change == "pixels":
        copy = resend(slices[1], uid=uid, path="other")
    elif change == "place":
        copy = Slice(copy.instance, replace(copy.frame, position_mm=(0.0, 0.0, 99.0)))
    elif change == "value":
        copy = resend(slices[1], uid=uid, b_value=800.0)
    else:
        copy = Slice(replace(copy.instance, rows=8), copy.frame)
    assert refusal_of([*slices, copy]) == "conflicting-duplicate"


def test_a_copy_that_lost_attributes_gives_way_to_the_one_that_has_them():
    slices = [at(3 * k, b_value=b) for k in range(3) for b in (0.0, 800.0)]
    bare = [
        Slice(replace(item.instance, file=f"a-{n}"), replace(item.frame, variant=()))
        for n, item in enumerate(slices)
    ]
    arrangement = lay([*bare, *slices])
    assert arrangement.values == (0.0, 800.0)
    assert arrangement.duplicates == (0, 1, 2, 3, 4, 5)


def test_equal_headers_with_different_pixels_are_refused():
    slices = [at(3 * k) for k in range(4)]
    assert refusal_of([*slices, at(3)]) == "conflicting-duplicate"


def test_blank_slices_of_different_times_are_no_duplicates():
    slices = [
        make_slice(
            (0, 0, 3 * k),
            {"temporal-position": float(t)},
            path="air" if k == 3 else f"{k}/{t}",
        )
        for k in range(4)
        for t in range(3)
    ]  # fmt: skip
    arrangement = lay(slices)
    assert (len(arrangement.volumes), arrangement.duplicates) == (3, ())


@pytest.mark.parametrize("blank", range(4))
def test_blank_slices_that_only_a_number_tells_apart_are_no_duplicates(blank):
    slices = [
        make_slice(
            (0, 0, 3 * k),
            {"instance-number": 4.0 * t + k},
            **({"path": "air"} if k == blank else {}),
        )
        for k in range(4)
        for t in range(3)
    ]
    arrangement = lay(slices)
    assert (len(arrangement.volumes), arrangement.duplicates) == (3, ())


def test_equal_pixels_at_different_places_are_no_duplicates():
    slices = [make_slice((0, 0, 3 * k), path="air") for k in range(3)]
    assert lay(slices).duplicates == ()
