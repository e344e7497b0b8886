"""Methods written twice agree, on networks and images of other forms than a study's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from explain_nets import Tiny, make_lesion_image, make_settings

from medvision.domain.explanation.recomputed import compute_relative_distance
from medvision.explain.independent import (
    INDEPENDENT,
    Question,
    explain_independently,
    integrate_with_more_steps,
    weigh_cells_by_monai,
)
from medvision.explain.methods import attribute
from medvision.explain.network import canonicalise

CPU = torch.device("cpu")


def ask(method, *, spatial_dims=3, target=1, gain=1, **changes):
    """Return (Captum's attribution, the question for the other implementation)."""
    network = Tiny(spatial_dims).eval()
    network.head.weight.data *= gain
    array, _ = make_lesion_image(3, spatial_dims=spatial_dims)
    image, settings = torch.tensor(array)[None], make_settings(**changes)
    twin = canonicalise(network, device=CPU).network
    found = attribute(
        twin, image, method=method, target=target, layer="second", settings=settings, seed=0
    )
    steps = found.parameters.get("steps", 0)
    return found, Question(network, image, target, "second", settings, steps)


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("method", sorted(INDEPENDENT))
def test_both_agree_in_planes_and_volumes(method, spatial_dims):
    found, question = ask(method, spatial_dims=spatial_dims)
    other = explain_independently(method, question)
    assert other.shape == found.grid.shape
    assert compute_relative_distance(found.grid, other) < 1e-5


@pytest.mark.parametrize("baseline", [0.0, "blur"])
@pytest.mark.parametrize(("window", "stride"), [((5, 7, 4), (3, 4, 4)), ((40, 6, 6), (4, 9, 5))])
def test_boxes_that_do_not_divide_the_image_agree(baseline, window, stride):
    found, question = ask(
        "occlusion", baseline=baseline, occlusion_window=window, occlusion_stride=stride
    )
    assert (
        compute_relative_distance(found.grid, explain_independently("occlusion", question)) < 1e-5
    )


@pytest.mark.parametrize("method", sorted(INDEPENDENT))
def test_the_other_class_is_another_map(method):
    found, question = ask(method)
    other = explain_independently(method, replace(question, target=0))
    assert compute_relative_distance(found.grid, other) > 0.1


def test_monais_two_maps_make_one_with_its_sign():
    found, question = ask("layer_gradcam")
    cells = weigh_cells_by_monai(question)
    assert found.native is not None
    np.testing.assert_allclose(cells, found.native, rtol=1e-4, atol=1e-7)
    assert cells.min() < 0 < cells.max()


def test_more_nodes_give_the_sum_that_the_logits_say():
    found, question = ask("integrated_gradients", completeness=1e-3)
    finer = integrate_with_more_steps(question, factor=8)
    gap = abs(float(finer.astype(float).sum()) - found.output_difference)
    assert gap < 0.02 * abs(found.output_difference)


def test_panels_are_halved_where_the_run_halved_them():
    found, question = ask(
        "integrated_gradients", gain=1000, completeness=1e-4, steps=4, batch_size=2
    )
    assert question.steps > question.settings.steps
    other = explain_independently("integrated_gradients", question)
    assert compute_relative_distance(found.grid, other) < 1e-5


def test_the_network_is_left_as_it_was():
    _, question = ask("saliency")
    before = {name: value.clone() for name, value in question.network.state_dict().items()}
    for method in INDEPENDENT:
        explain_independently(method, replace(question, steps=4))
    assert all(torch.equal(before[name], v) for name, v in question.network.state_dict().items())
    assert all(p.grad is None for p in question.network.parameters())
