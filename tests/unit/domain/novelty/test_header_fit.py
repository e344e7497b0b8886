"""What sets a header apart from those of the train images: planted, and not where nothing is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.novelty.header_fit import gather_headers, list_differences, parse_header


def make(modality="CT", spacing="0.7x0.7x5", shape="512x512x60", scanner=None, **cells):
    row = {"modality": modality, "spacing_mm": spacing, "shape": shape, "orientation": "LPS"}
    return parse_header(row | {"units": "HU"} | cells, scanner or {})


TRAIN = gather_headers(
    [
        make(scanner={"manufacturer": "Siemens", "field strength (T)": "1.5"}),
        make(spacing="0.9x0.9x3", shape="512x512x110", scanner={"manufacturer": "GE"}),
    ]
)


def test_a_header_like_those_of_train_differs_in_nothing():
    assert list_differences(make(), TRAIN) == ()
    assert list_differences(make(spacing="0.8x0.8x4", shape="512x512x80"), TRAIN) == ()


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ({"modality": "MR"}, [("modality", "MR", "CT")]),
        ({"scanner": {"manufacturer": "Philips"}}, [("manufacturer", "Philips", "GE or Siemens")]),
        ({"scanner": {"field strength (T)": "3"}}, [("field strength (T)", "3", "1.5")]),
        ({"spacing": "0.7x0.7x10"}, [("spacing along k (mm)", "10", "3 to 5")]),
        ({"spacing": "0.3x0.7x5"}, [("spacing along i (mm)", "0.3", "0.7 to 0.9")]),
        ({"shape": "256x512x60"}, [("voxels along i", "256", "512")]),
        (
            {"orientation": "RAS", "units": "none"},
            [("orientation", "RAS", "LPS"), ("units", "none", "HU")],
        ),
    ],
)
def test_what_was_planted_is_named_and_nothing_else(planted, told):
    found = list_differences(make(**planted), TRAIN)
    assert [(each.fact, each.found, each.train) for each in found] == told


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("Philips Medical Systems, Inc.; SN 4711", [("manufacturer", "Philips", "GE or Siemens")]),
        ("Doe, Jane *1950-01-02", [("manufacturer", "other", "GE or Siemens")]),
        ("GE MEDICAL SYSTEMS; SN 4711", []),
    ],
)
def test_of_what_was_typed_as_manufacturer_only_a_known_vendor_goes_on(typed, told):
    found = list_differences(make(scanner={"manufacturer": typed}), TRAIN)
    assert [(each.fact, each.found, each.train) for each in found] == told
    known = gather_headers([make(scanner={"manufacturer": typed})])
    strange = list_differences(make(scanner={"manufacturer": "Esaote"}), known)
    assert not any(part in str(strange) for part in ("4711", "Doe", "1950", "Inc"))


def test_a_tenth_beyond_the_range_is_still_within():
    assert list_differences(make(spacing="0.7x0.7x5.49"), TRAIN) == ()
    assert len(list_differences(make(spacing="0.7x0.7x5.51"), TRAIN)) == 1
    assert list_differences(make(spacing="0.7x0.7x2.71"), TRAIN) == ()
    assert len(list_differences(make(spacing="0.7x0.7x2.69"), TRAIN)) == 1


def test_what_is_not_known_of_either_side_is_no_difference():
    silent = gather_headers([make(modality="", spacing="", shape="")])
    assert list_differences(make(scanner={"manufacturer": "GE"}), silent) == ()
    assert list_differences(make(modality="", spacing="unknown", shape=""), TRAIN) == ()


def test_two_axes_and_odd_cells_are_read_as_far_as_they_go():
    flat = make(spacing="0.1x0.1", shape="1024x1024")
    assert "spacing along k (mm)" not in flat.numbers
    assert make(spacing="0x-1xnan", shape="infx1x2x3").numbers == {
        "voxels along j": 1,
        "voxels along k": 2,
    }


@given(st.lists(st.floats(0.1, 50), min_size=1, max_size=8))
def test_no_train_image_differs_from_its_own(steps):
    every = [make(spacing=f"{step:g}x1x1") for step in steps]
    known = gather_headers(every)
    assert all(list_differences(facts, known) == () for facts in every)
