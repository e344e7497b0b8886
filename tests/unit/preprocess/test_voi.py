"""A plan that is filled by each image's header: both executors, turned over or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.config.preprocess import PreprocessSection
from medvision.domain.voi import TABLE, Voi, apply_voi
from medvision.preprocess.apply import transform_image
from medvision.preprocess.channels import put_channels_first
from medvision.preprocess.compose import compose_plan
from medvision.preprocess.execute import build_executor
from medvision.preprocess.plan import build_plan
from medvision.preprocess.rejection import UnusableImageError
from medvision.preprocess.voi import Display, fill_plan, find_mirror

SIZE = (12, 10, 1)
vois = st.builds(
    Voi,
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    centre=st.integers(500, 3500),
    width=st.integers(1500, 4000),
) | st.builds(
    Voi,
    function=st.just(TABLE),
    first=st.integers(-50, 300),
    bits=st.just(12),
    entries=st.integers(0, 99).map(
        lambda seed: np.random.default_rng(seed).integers(0, 4096, 900, dtype="<u2").tobytes()
    ),
)


def make_plan(intensity="voi", **changes):
    section = PreprocessSection(size=SIZE, **changes)
    return build_plan(spatial_dims=2, **section.pipeline | {"intensity": intensity})


def make_radiograph(seed, *, is_inverted):
    stored = np.random.default_rng(seed).integers(0, 4096, SIZE, dtype=np.uint16)
    return stored, put_channels_first(stored, is_colour=False, is_inverted=is_inverted)


@settings(max_examples=60, deadline=None)
@given(
    voi=vois,
    is_inverted=st.booleans(),
    seed=st.integers(0, 99),
    crop=st.booleans(),
    units=st.sampled_from(["source", "scaled"]),
    sizing=st.sampled_from(["pad", "resize"]),
)
def test_fused_pass_is_the_compose_for_every_window(  # noqa: PLR0917 - drawn, by name
    voi, is_inverted, seed, crop, units, sizing
):
    _, image = make_radiograph(seed, is_inverted=is_inverted)
    above = 0.2 if units == "scaled" else 900.0
    plan = make_plan(
        crop_foreground=crop, foreground_units=units, foreground_above=above, sizing=sizing
    )
    plan = fill_plan(plan, Display(voi, is_inverted), mirror=find_mirror(image))
    executor = build_executor(plan)
    assert executor.kind == "fused"
    monai = transform_image(image, np.eye(4), transform=compose_plan(plan))
    fused = executor(image, np.eye(4))
    np.testing.assert_allclose(fused.affine, monai.affine, atol=1e-6)
    np.testing.assert_allclose(fused.array, monai.array, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(voi=vois, seed=st.integers(0, 99))
def test_monochrome1_is_shown_as_the_standard_says_and_then_turned_over(voi, seed):
    # The window is of the stored values; white is where what it returns is lowest.
    stored, image = make_radiograph(seed, is_inverted=True)
    plan = fill_plan(make_plan(), Display(voi, is_inverted=True), mirror=find_mirror(image))
    shown = build_executor(plan)(image, np.eye(4)).array[0]
    np.testing.assert_allclose(shown, 1 - apply_voi(stored, voi), atol=1e-6)


def test_a_window_taken_to_the_turned_values_would_be_found():
    stored, image = make_radiograph(0, is_inverted=True)
    voi = Voi("LINEAR", 500, 600)
    wrong = build_executor(fill_plan(make_plan(), Display(voi, is_inverted=False)))
    assert np.abs(wrong(image, np.eye(4)).array[0] - (1 - apply_voi(stored, voi))).max() > 0.5


def test_an_image_that_has_none_is_refused_or_scaled_by_percentiles_as_planned():
    with pytest.raises(UnusableImageError) as caught:
        fill_plan(make_plan(), None)
    assert caught.value.reason == "no-voi"
    section = {"normalise_within": "image"}
    otherwise = fill_plan(make_plan("voi-or-percentile", **section), None)
    assert otherwise == make_plan("percentile", **section)


def test_each_window_has_a_digest_of_its_own():
    plans = [fill_plan(make_plan(), Display(Voi("LINEAR", c, 100), False)) for c in (40, 41)]
    assert plans[0].digest != plans[1].digest
