"""Random changes of batches: replayable, identity when switched off, and never side-swapping."""

import inspect
import json

import pytest
import torch

from medvision.augment.batch import AugmentParameters, apply_parameters, draw_parameters
from medvision.config.sections import AugmentSection
from medvision.errors import ConfigError

OFF = {
    "flip_axes": (),
    "shift_voxels": 0,
    "rotate_degrees": 0.0,
    "zoom": 0.0,
    "noise_sd": 0.0,
    "gain": 0.0,
}
ON = {
    "flip_axes": (0, 1),
    "shift_voxels": 3,
    "rotate_degrees": 20.0,
    "zoom": 0.1,
    "noise_sd": 0.05,
    "gain": 0.2,
}


def draw(seed, batch, **settings):
    return draw_parameters(
        torch.Generator().manual_seed(seed),
        n_images=len(batch),
        spatial_dims=batch.ndim - 2,
        **settings,
    )


def keep(n_images, **changes):
    """Return parameters that change nothing but what is named."""
    nothing = {
        "flips": ((),) * n_images,
        "shifts_voxels": ((0, 0),) * n_images,
        "turns_deg": (0.0,) * n_images,
        "zooms": (1.0,) * n_images,
        "gains": (1.0,) * n_images,
        "noise_sd": 0.0,
        "noise_seed": 0,
    }
    return AugmentParameters(**{**nothing, **changes})


@pytest.fixture(params=[(6, 1, 12, 10), (6, 1, 12, 10, 7)], ids=["2d", "3d"])
def batch(request):
    return torch.rand(request.param, generator=torch.Generator().manual_seed(9))


def test_replay_is_bit_equal(batch):
    parameters = draw(4, batch, **ON)
    once, again = apply_parameters(batch, parameters), apply_parameters(batch, parameters)
    assert not torch.equal(once, batch)
    assert torch.equal(once, again)


def test_same_generator_state_draws_the_same_and_another_differs(batch):
    assert draw(4, batch, **ON) == draw(4, batch, **ON)
    assert draw(4, batch, **ON) != draw(5, batch, **ON)


def test_everything_off_is_the_identity(batch):
    assert torch.equal(apply_parameters(batch, draw(4, batch, **OFF)), batch)


def test_batch_is_not_changed_in_place(batch):
    before = batch.clone()
    apply_parameters(batch, draw(4, batch, **ON))
    assert torch.equal(batch, before)


@pytest.mark.parametrize("flip_axes", [(), (1,)])
def test_left_and_right_stay_apart_unless_axis_i_is_flipped(flip_axes):
    batch = torch.zeros(64, 1, 20, 12)
    batch[:, :, 4:6, 4:6] = 1
    result = apply_parameters(batch, draw(1, batch, **{**ON, "flip_axes": flip_axes}))
    left, right = result[:, :, :10].mean(dim=(1, 2, 3)), result[:, :, 10:].mean(dim=(1, 2, 3))
    assert (left > right).all()


def test_flip_of_axis_i_reaches_about_half_of_the_images():
    batch = torch.zeros(200, 1, 8, 8)
    batch[:, :, :2] = 1
    result = apply_parameters(batch, draw(1, batch, **{**OFF, "flip_axes": (0,)}))
    flipped = (result[:, 0, -1, 0] == 1).float().mean()
    assert 0.35 < flipped < 0.65


def test_shift_moves_content_and_fills_with_the_image_minimum(batch):
    batch = batch + 5
    moved = apply_parameters(batch, keep(6, shifts_voxels=((2, -3),) * 6))
    assert torch.equal(moved[:, :, 2:, :-3], batch[:, :, :-2, 3:])
    lowest = batch.flatten(1).min(dim=1).values.reshape(-1, *[1] * (batch.ndim - 1))
    assert (moved[:, :, :2] == lowest).all()
    assert (moved[:, :, :, -3:] == lowest).all()


def test_shift_beyond_the_image_leaves_only_its_minimum(batch):
    moved = apply_parameters(batch, keep(6, shifts_voxels=((40, 0),) * 6))
    assert torch.equal(
        moved,
        batch.flatten(1).min(dim=1).values.reshape(-1, *[1] * (batch.ndim - 1)).expand(batch.shape),
    )


def test_gain_multiplies_each_image_by_its_own_factor(batch):
    gains = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
    scaled = apply_parameters(batch, keep(6, gains=gains))
    ratio = (scaled / batch).flatten(1)
    assert torch.allclose(ratio, torch.tensor(gains).reshape(-1, 1).expand(ratio.shape))


def test_noise_has_the_deviation_asked_for():
    batch = torch.zeros(4, 1, 64, 64)
    noisy = apply_parameters(batch, draw(1, batch, **{**OFF, "noise_sd": 0.3}))
    assert abs(float(noisy.std()) - 0.3) < 0.01
    assert not torch.equal(noisy[0], noisy[1])


def test_draws_stay_within_their_bounds():
    parameters = draw(3, torch.zeros(500, 1, 4, 4), **ON)
    shifts = {step for shift in parameters.shifts_voxels for step in shift}
    assert shifts == set(range(-3, 4))
    assert 0.8 <= min(parameters.gains) < 0.82
    assert 1.18 < max(parameters.gains) <= 1.2
    assert -20 <= min(parameters.turns_deg) < -19
    assert 19 < max(parameters.turns_deg) <= 20
    assert 0.9 <= min(parameters.zooms) < 0.91
    assert 1.09 < max(parameters.zooms) <= 1.1


def test_number_of_draws_does_not_depend_on_what_came_out():
    batch = torch.zeros(5, 1, 4, 4)
    states = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        draw_parameters(generator, n_images=5, spatial_dims=2, **ON)
        fresh = torch.Generator().manual_seed(seed)
        torch.randint(0, 2, (5, 2), generator=fresh)
        torch.randint(-3, 4, (5, 2), generator=fresh)
        torch.rand(5, generator=fresh, dtype=torch.float64)
        torch.randint(0, 2**31, (1,), generator=fresh)
        torch.rand(2 * 5, generator=fresh, dtype=torch.float64)
        states.append(torch.equal(generator.get_state(), fresh.get_state()))
    assert states == [True, True, True]
    assert len(draw(0, batch, **ON).flips) == 5


def test_parameters_survive_json(batch):
    held = json.loads(json.dumps(draw(4, batch, **ON).as_dict()))
    rebuilt = AugmentParameters(
        flips=tuple(tuple(axes) for axes in held["flips"]),
        shifts_voxels=tuple(tuple(shift) for shift in held["shifts_voxels"]),
        turns_deg=tuple(held["turns_deg"]),
        zooms=tuple(held["zooms"]),
        gains=tuple(held["gains"]),
        noise_sd=held["noise_sd"],
        noise_seed=held["noise_seed"],
    )
    assert torch.equal(
        apply_parameters(batch, rebuilt), apply_parameters(batch, draw(4, batch, **ON))
    )


def test_axis_that_2d_images_lack_is_refused():
    with pytest.raises(ConfigError, match="axes must be below 2 for 2D images, got 2"):
        draw(0, torch.zeros(2, 1, 4, 4), **{**OFF, "flip_axes": (2,)})


@pytest.mark.gpu
def test_replay_is_bit_equal_on_a_gpu(batch):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU is visible")
    parameters = draw(4, batch, **ON)
    on_gpu = batch.cuda()
    assert torch.equal(apply_parameters(on_gpu, parameters), apply_parameters(on_gpu, parameters))


def test_drawing_takes_every_field_of_its_section():
    taken = set(inspect.signature(draw_parameters).parameters)
    assert taken == {*AugmentSection.model_fields, "generator", "n_images", "spatial_dims"}
