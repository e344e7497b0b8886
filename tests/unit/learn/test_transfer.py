"""Starting weights: every tensor accounted for, channels adapted, strangers refused."""

import pytest
import torch

from medvision.errors import WeightsError
from medvision.learn.backbones import build_backbone, head_names
from medvision.learn.transfer import load_weights


def build(*, channels=1, n_classes=2, seed=0, name="small"):
    torch.manual_seed(seed)
    return build_backbone(name, spatial_dims=2, channels=channels, n_classes=n_classes)


def load(model, tensors, *, minimum_match=0.9, name="small"):
    return load_weights(model, tensors, head=head_names(name), minimum_match=minimum_match)


def test_every_tensor_of_network_and_file_has_one_row():
    model, source = build(), build(n_classes=5, seed=1).state_dict()
    source["decoder.weight"] = torch.zeros(1)
    report = load(model, source)
    assert [row.tensor for row in report.rows] == sorted({*model.state_dict(), "decoder.weight"})
    status = {row.tensor: row.status for row in report.rows}
    assert status["decoder.weight"] == "unused"
    assert status["class_layers.out.weight"] == "skipped-head"
    assert report.match == 1


def test_backbone_is_taken_over_and_the_head_is_not():
    model, source = build(), build(seed=1).state_dict()
    head = model.class_layers.out.weight.clone()
    load(model, {f"module.{name}": tensor for name, tensor in source.items()})
    held = model.state_dict()
    assert torch.equal(held["class_layers.out.weight"], head)
    assert all(
        torch.equal(held[name], source[name]) for name in held if not name.startswith("class")
    )


def test_colour_weights_answer_to_grey_as_to_three_equal_channels():
    grey, colour = build(), build(channels=3, seed=1)
    report = load(grey, colour.state_dict())
    assert report.count("adapted") == 1
    grey.class_layers.out.load_state_dict(colour.class_layers.out.state_dict())
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        expected = colour.eval()(images.expand(-1, 3, -1, -1))
        assert torch.allclose(grey.eval()(images), expected, atol=1e-5)


def test_grey_weights_answer_to_three_equal_channels_as_to_grey():
    grey, colour = build(seed=1), build(channels=3)
    load(colour, grey.state_dict())
    colour.class_layers.out.load_state_dict(grey.class_layers.out.state_dict())
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        expected = grey.eval()(images)
        assert torch.allclose(colour.eval()(images.expand(-1, 3, -1, -1)), expected, atol=1e-5)


def test_other_shape_is_skipped_and_missing_is_counted():
    model, source = build(), build(seed=1).state_dict()
    name = "features.denseblock1.denselayer1.layers.conv1.weight"
    source[name] = torch.zeros(3, 3, 1, 1)
    del source["features.norm0.weight"]
    report = load(model, source, minimum_match=0.5)
    rows = {row.tensor: row for row in report.rows}
    assert (rows[name].status, rows[name].file_shape) == ("skipped-shape", "3x3x1x1")
    assert rows["features.norm0.weight"].status == "missing"
    n_backbone = sum(
        not n.startswith("class_layers.out") and not n.endswith("num_batches_tracked")
        for n in model.state_dict()
    )
    assert report.match == pytest.approx((n_backbone - 2) / n_backbone)


def test_weights_of_another_network_are_refused_and_change_nothing():
    model, source = build(), build(seed=1, name="resnet18").state_dict()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError, match=r"must be >= 0.5, got 0: .*conv0.weight missing"):
        load(model, source, minimum_match=0.5)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
