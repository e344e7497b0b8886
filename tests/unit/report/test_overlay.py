"""Claims on overlays: sign, symmetry, outline."""

import io
import re

import numpy as np
from PIL import Image

from medvision.report.overlay import (
    build_palette,
    colour_slices,
    compute_scale,
    encode_grey,
    encode_palette,
    stack_slices,
    trace_outline,
)


def colours_of(values: list[float], scale: float) -> np.ndarray:
    slices = np.array([[values]], dtype=np.float32)
    return build_palette()[colour_slices(slices, scale)][0, 0]


def test_positive_is_warm_negative_is_cold_zero_is_clear() -> None:
    negative, zero, positive = colours_of([-1.0, 0.0, 1.0], 1.0)
    assert positive[0] > positive[2]
    assert negative[2] > negative[0]
    assert zero[3] == 0
    assert positive[3] == negative[3] > 200


def test_opacity_grows_with_magnitude_alike_on_both_sides() -> None:
    values = np.linspace(0, 1, 30)
    alpha = colours_of(values.tolist(), 1.0)[:, 3].astype(int)
    assert (np.diff(alpha) >= 0).all()
    np.testing.assert_array_equal(alpha, colours_of((-values).tolist(), 1.0)[:, 3])


def test_an_empty_map_is_never_stretched() -> None:
    empty = np.zeros((2, 3, 3), dtype=np.float32)
    assert compute_scale(empty) == 0
    assert (build_palette()[colour_slices(empty, 0.0)][..., 3] == 0).all()


def test_scale_is_of_magnitudes_and_ignores_zeros() -> None:
    slices = np.zeros((1, 10, 10), dtype=np.float32)
    slices[0, 0, :2] = (-4, 2)
    assert 3.9 < compute_scale(slices) <= 4


def test_pictures_decode_to_what_was_encoded() -> None:
    levels = np.random.default_rng(0).integers(0, 81, (2, 5, 4)).astype(np.uint8)
    tall = stack_slices(levels)
    assert tall.shape == (14, 4)
    decoded = np.asarray(Image.open(io.BytesIO(encode_palette(tall))).convert("RGBA"))
    np.testing.assert_array_equal(decoded, build_palette()[tall])
    grey = Image.open(io.BytesIO(encode_grey(tall)))
    np.testing.assert_array_equal(np.asarray(grey), tall)
    assert grey.info == {}


def test_outline_is_the_boundary_of_the_mask() -> None:
    mask = np.zeros((5, 6), dtype=bool)
    mask[1:3, 2:5] = True
    mask[3, 2] = True
    path = trace_outline(mask)
    horizontal = sum(int(n) for n in re.findall(r"h(\d+)", path))
    vertical = sum(int(n) for n in re.findall(r"v(\d+)", path))
    # A plain count: sides of pixels inside that have no neighbour inside.
    padded = np.pad(mask, 1)
    assert horizontal == sum((padded & ~np.roll(padded, step, axis=0)).sum() for step in (1, -1))
    assert vertical == sum((padded & ~np.roll(padded, step, axis=1)).sum() for step in (1, -1))
    assert trace_outline(np.zeros((3, 3), dtype=bool)) == ""
