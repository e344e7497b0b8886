"""Each schedule against torch's own, step by step."""

import pytest
import torch

from medvision.learn.schedules import Schedule, compute_one_cycle


def optimizer(rate):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


@pytest.mark.parametrize("n_steps", [10, 30, 117])
def test_one_cycle_is_torch_s(n_steps):
    held = optimizer(1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(held, 0.01, total_steps=n_steps)
    for step in range(n_steps):
        expected = held.param_groups[0]["lr"]
        ours = compute_one_cycle(step, n_steps=n_steps, peak=0.01)
        assert ours == pytest.approx(expected, rel=1e-9), step
        held.step()
        if step < n_steps - 1:
            schedule.step()


@pytest.mark.parametrize("n_steps", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["one_cycle", "cosine", "constant", "plateau"])
def test_shortest_trainings_have_a_learning_rate_too(name, n_steps):
    schedule = Schedule(name, peak=1.0, epochs=n_steps)
    rates = [schedule.compute_rate(s, n_batches=1, figures=[]) for s in range(n_steps)]
    assert max(rates) > 0.5
    assert min(rates) >= 0


def test_cosine_is_torch_s():
    held = optimizer(0.2)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(held, T_max=40)
    schedule = Schedule("cosine", peak=0.2, epochs=4)
    for step in range(40):
        ours = schedule.compute_rate(step, n_batches=10, figures=[])
        assert ours == pytest.approx(held.param_groups[0]["lr"], abs=1e-9), step
        held.step()
        theirs.step()


@pytest.mark.parametrize(("patience", "factor"), [(0, 0.5), (1, 0.1), (3, 0.5)])
def test_plateau_is_torch_s(patience, factor):
    losses = torch.rand(30, generator=torch.Generator().manual_seed(2)).tolist()
    held = optimizer(0.2)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        held, factor=factor, patience=patience, threshold=0.0, eps=0.0
    )
    schedule = Schedule(
        "plateau", peak=0.2, epochs=31, plateau_epochs=patience, plateau_factor=factor
    )
    seen = []
    for epoch, loss in enumerate(losses):
        ours = schedule.compute_rate(5 * epoch, n_batches=5, figures=[[-x] for x in seen])
        assert ours == pytest.approx(held.param_groups[0]["lr"], rel=1e-9), epoch
        theirs.step(loss)
        seen.append(loss)
    assert held.param_groups[0]["lr"] < 0.2, "it was never lowered"


@pytest.mark.parametrize("name", ["cosine", "constant", "plateau"])
def test_warm_up_rises_in_equal_parts_to_the_peak(name):
    schedule = Schedule(name, peak=1.0, epochs=3, warm_up_epochs=0.5)
    rates = [schedule.compute_rate(step, n_batches=8, figures=[]) for step in range(24)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert max(rates) == 1.0
