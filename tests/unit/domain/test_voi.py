"""Windows and tables show values as pydicom, which follows the standard, shows them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_voi, apply_windowing

from medvision.domain.voi import TABLE, Voi, check_voi, decode_voi, encode_voi
from medvision.domain.voi import apply_voi as show
from medvision.errors import DataError

VALUES = np.arange(4096, dtype=np.uint16).reshape(64, 64)
WHITE = 4095.0
windows = st.builds(
    Voi,
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    centre=st.floats(-500, 5000),
    width=st.floats(1, 6000) | st.just(1.0),
)


def build_header(voi):
    """Return what pydicom reads a window of 12 unsigned bits from."""
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.PixelRepresentation = 12, 0
    dataset.WindowCenter, dataset.WindowWidth = [f"{voi.centre:.9g}"], [f"{voi.width:.9g}"]
    dataset.VOILUTFunction = voi.function
    return dataset


@settings(max_examples=80, deadline=None)
@given(voi=windows)
def test_a_window_is_pydicoms(voi):
    header = build_header(voi)
    voi = Voi(voi.function, float(header.WindowCenter), float(header.WindowWidth))
    expected = apply_windowing(VALUES, header) / WHITE
    np.testing.assert_allclose(show(VALUES, voi), expected, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    first=st.integers(-100, 4000),
    n_entries=st.integers(2, 300),
    bits=st.sampled_from([10, 12, 16]),  # places beyond 255 overflow pydicom's tables of 8 bits
    seed=st.integers(0, 99),
)
def test_a_table_is_pydicoms(first, n_entries, bits, seed):
    entries = np.random.default_rng(seed).integers(0, 2**bits, n_entries, dtype=np.uint16)
    item = Dataset()
    item.add_new(0x00283002, "SS" if first < 0 else "US", [n_entries, first, bits])
    item.add_new(0x00283006, "US", entries.tolist())
    header = Dataset()
    header.VOILUTSequence = [item]
    header.PixelRepresentation = int(first < 0)
    expected = apply_voi(VALUES.astype(np.int32), header) / (2**bits - 1)
    voi = Voi(TABLE, first=first, bits=bits, entries=entries.astype("<u2").tobytes())
    np.testing.assert_allclose(show(VALUES, voi), expected, atol=1e-6)
    assert decode_voi(encode_voi(voi)) == voi


def test_linear_and_linear_exact_differ_by_the_half_that_the_standard_gives_them():
    values = np.array([0.0, 99.5, 100.0])
    np.testing.assert_allclose(show(values, Voi("LINEAR", 50.5, 101)), [0, 0.995, 1], atol=1e-6)
    np.testing.assert_allclose(show(values, Voi("LINEAR_EXACT", 50, 100)), [0, 0.995, 1], atol=1e-6)


def test_values_between_two_entries_take_the_nearest():
    voi = Voi(TABLE, first=10, bits=8, entries=np.array([0, 51, 255], "<u2").tobytes())
    shown = show(np.array([-1e9, 10.4, 10.6, 11.7, 1e9]), voi)
    np.testing.assert_allclose(shown, [0, 0, 0.2, 1, 1], atol=1e-6)


@pytest.mark.parametrize(
    "voi",
    [
        Voi("LINEAR", 40, 0.5),
        Voi("SIGMOID", 40, 0),
        Voi("LINEAR_EXACT", float("nan"), 4),
        Voi("GAMMA", 40, 4),
        Voi(TABLE, bits=12),
        Voi(TABLE, bits=17, entries=b"ab"),
    ],
)
def test_what_has_no_meaning_is_refused(voi):
    with pytest.raises(DataError):
        check_voi(voi)


def test_a_spoilt_entry_is_refused():
    for value in (None, {}, {"Function": "LINEAR"}, {"Function": TABLE, "Entries": "?"}, [1]):
        with pytest.raises(DataError):
            decode_voi(value)
