"""Claims on the training of a generator: what it reads, that it repeats itself, that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gans import QUIET, SETTINGS, make_real, train

from medvision.errors import ConfigError, StoppedError, TrainingError
from medvision.synthesis import course as course_module
from medvision.synthesis.course import State, measure_weights, start_course
from medvision.synthesis.sample import draw_image
from medvision.synthesis.train import list_ends, list_grid_steps


def same(one, other) -> bool:
    tensors = one.generator.state_dict(), other.generator.state_dict()
    return all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


class Stop:
    """Says stop once it was asked a number of times."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("after", [1, 4, 6, 11])
def test_stopped_between_any_two_steps_it_ends_bit_equal(tmp_path, after):
    state = State(tmp_path / "state.pt", "digest")
    with pytest.raises(StoppedError, match=f"after step {after}"):
        train(state=state, watch=replace(QUIET, should_stop=Stop(after)))
    resumed, undisturbed = train(state=state), train()
    assert same(resumed, undisturbed)
    assert resumed.history == undisturbed.history


def test_killed_it_goes_on_after_the_last_kept_step_and_ends_bit_equal(tmp_path):
    state = State(tmp_path / "state.pt", "digest")

    def die(step, images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(state=state, watch=replace(QUIET, on_grid=die))
    shown = []
    resumed = train(state=state, watch=replace(QUIET, on_row=lambda row: shown.append(row["step"])))
    assert shown == [8, 12]
    assert same(resumed, train())


def test_a_state_of_other_settings_is_not_gone_on_with(tmp_path):
    with pytest.raises(StoppedError):
        train(state=State(tmp_path / "state.pt", "one"), watch=replace(QUIET, should_stop=Stop(6)))
    other = train(state=State(tmp_path / "state.pt", "other"), seed=1)
    assert same(other, train(seed=1))


def test_another_seed_gives_another_generator():
    assert not same(train(), train(seed=1))


def test_no_position_beyond_the_train_images_is_ever_asked_for():
    asked = set()
    real = make_real()

    def load(positions):
        asked.update(positions.tolist())
        return real.load(positions)

    train(replace(real, load=load))
    assert asked == set(range(len(real)))


def test_states_rows_and_pictures_come_when_they_are_asked_for():
    steps = []
    watch = replace(QUIET, on_grid=lambda step, images: steps.append((step, images.shape)))
    trained = train(watch=watch)
    assert steps == [(8, (2, 8, 1, 9, 8)), (12, (2, 8, 1, 9, 8))]
    assert [row["step"] for row in trained.history] == [4, 8, 12]
    assert list_ends(replace(SETTINGS, steps=10)) == [4, 8, 10]
    assert list_grid_steps(replace(SETTINGS, steps=10)) == [8, 10]


def test_the_penalty_is_taken_every_so_often_and_told_where_it_was():
    rows = train(r1_interval=8).history
    assert [row["r1"] is None for row in rows] == [False, True, False]


def test_a_diverged_training_ends_with_a_named_error_before_a_weight_is_no_number():
    with pytest.raises(TrainingError, match=r"must be finite.* in step \d+, with the subj"):
        train(generator_rate=1e6, discriminator_rate=1e6, steps=200)


def test_images_larger_than_supported_are_refused_before_one_is_read():
    def load(positions):
        raise AssertionError

    with pytest.raises(ConfigError, match="at most 256 voxels"):
        train(make_real(shape=(1, 300, 8), load=load, n_images=2))


def test_each_layer_moves_in_the_measure_of_its_own_weights():
    weights = torch.zeros(5, 8, 3, 3)
    assert measure_weights(weights) == pytest.approx((2 / 72) ** 0.5)
    assert measure_weights(torch.zeros(5)) == 1.0
    course = start_course(make_real(), settings=SETTINGS, seed=0, device=torch.device("cpu"))
    for optimizer, rate in zip(course.optimizers, (0.002, 0.002), strict=True):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                assert group["lr"] == pytest.approx(rate * measure_weights(parameter))


@pytest.mark.slow
def test_a_wide_network_does_not_run_away_as_it_does_at_one_rate_for_all_layers(monkeypatch):
    wide = {"width": 32, "latent": 64, "batch_size": 16, "steps": 4, "r1_interval": 100}
    wide |= {"checkpoint_steps": 4, "grid_steps": 4}
    train(make_real(shape=(1, 64, 64)), **wide)
    monkeypatch.setattr(course_module, "measure_weights", lambda _: 1.0)
    with pytest.raises(TrainingError, match="at most 1000"):
        train(make_real(shape=(1, 64, 64)), **wide)


@pytest.mark.slow
def test_each_class_is_drawn_near_its_own_images():
    rates = {"generator_rate": 0.005, "discriminator_rate": 0.005}
    trained = train(steps=300, checkpoint_steps=100, grid_steps=100, changes=(), **rates)
    means = [
        np.mean(
            [
                draw_image(trained.generator, trained.scale, label=label, seed=seed).mean()
                for seed in range(8)
            ]
        )
        for label in (0, 1)
    ]
    assert means[0] < -0.5
    assert means[1] > 0.5
