"""State dicts in each published layout load whole, by the names that the files have."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from medvision.errors import WeightsError
from medvision.learn.backbones import build_backbone, head_names
from medvision.learn.transfer import load_weights

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def name_norm(stem):
    return [f"{stem}.{part}" for part in NORM]


def list_torchvision_densenet121(*, is_old=False):
    names = ["features.conv0.weight", *name_norm("features.norm0")]
    dot = "." if is_old else ""
    for block, n_layers in enumerate((6, 12, 24, 16), 1):
        for layer in range(1, n_layers + 1):
            stem = f"features.denseblock{block}.denselayer{layer}"
            for n in (1, 2):
                names += [*name_norm(f"{stem}.norm{dot}{n}"), f"{stem}.conv{dot}{n}.weight"]
        if block < 4:
            stem = f"features.transition{block}"
            names += [*name_norm(f"{stem}.norm"), f"{stem}.conv.weight"]
    return [*names, *name_norm("features.norm5"), "classifier.weight", "classifier.bias"]


def list_torchvision_resnet(layers, n_convolutions, *, shortcut="B"):
    names = ["conv1.weight", *name_norm("bn1")]
    for stage, n_blocks in enumerate(layers, 1):
        for block in range(n_blocks):
            stem = f"layer{stage}.{block}"
            for n in range(1, n_convolutions + 1):
                names += [f"{stem}.conv{n}.weight", *name_norm(f"{stem}.bn{n}")]
            if block == 0 and (stage > 1 or n_convolutions == 3) and shortcut == "B":
                names += [f"{stem}.downsample.0.weight", *name_norm(f"{stem}.downsample.1")]
    return [*names, "fc.weight", "fc.bias"]


def list_torchvision_efficientnet_b0():
    names = ["features.0.0.weight", *name_norm("features.0.1")]
    for stage, n_blocks in enumerate((1, 2, 2, 3, 3, 4, 1), 1):
        for block in range(n_blocks):
            stem, part = f"features.{stage}.{block}.block", 0
            if stage > 1:
                names += [f"{stem}.0.0.weight", *name_norm(f"{stem}.0.1")]
                part = 1
            names += [f"{stem}.{part}.0.weight", *name_norm(f"{stem}.{part}.1")]
            squeeze = f"{stem}.{part + 1}"
            names += [f"{squeeze}.{fc}.{kind}" for fc in ("fc1", "fc2") for kind in NORM[:2]]
            names += [f"{stem}.{part + 2}.0.weight", *name_norm(f"{stem}.{part + 2}.1")]
    names += ["features.8.0.weight", *name_norm("features.8.1")]
    return [*names, "classifier.1.weight", "classifier.1.bias"]


RESNET_CHILDREN = {
    "conv1": "0",
    "bn1": "1",
    "layer1": "4",
    "layer2": "5",
    "layer3": "6",
    "layer4": "7",
}


def list_radimagenet(names, *, is_dense):
    if is_dense:
        return [n.replace("features.", "backbone.0.") for n in names if "classifier" not in n]
    pairs = [n.partition(".") for n in names if not n.startswith("fc")]
    return [f"backbone.{RESNET_CHILDREN[first]}.{rest}" for first, _, rest in pairs]


RESNET18 = list_torchvision_resnet((2, 2, 2, 2), 2)
RESNET50 = list_torchvision_resnet((3, 4, 6, 3), 3)
DENSENET = list_torchvision_densenet121()
PUBLISHED = {
    "torchvision resnet18": ("resnet18", RESNET18, 122),
    "torchvision resnet50": ("resnet50", RESNET50, 320),
    "torchvision densenet121": ("densenet121", DENSENET, 727),
    "torchvision densenet121, old": ("densenet121", list_torchvision_densenet121(is_old=True), 727),
    "torchvision efficientnet_b0": ("efficientnet_b0", list_torchvision_efficientnet_b0(), 360),
    "RadImageNet resnet50": ("resnet50", list_radimagenet(RESNET50, is_dense=False), 318),
    "RadImageNet densenet121": ("densenet121", list_radimagenet(DENSENET, is_dense=True), 725),
    "DataParallel resnet50": ("resnet50", [f"module.{n}" for n in RESNET50], 320),
}


def build(name, *, dims=2, channels=3):
    torch.manual_seed(0)
    return build_backbone(name, spatial_dims=dims, channels=channels, n_classes=4)


@pytest.mark.parametrize("published", PUBLISHED)
def test_every_tensor_of_a_published_layout_finds_its_place(published):
    backbone, names, count = PUBLISHED[published]
    assert len(names) == count
    network = build(backbone)
    shapes = {n: t.shape for n, t in network.state_dict().items()}
    given = {name: torch.zeros(0) for name in names}
    report = load_shapes(network, given, backbone)
    taken = {row.tensor: row.file_tensor for row in report if row.file_tensor}
    assert not [row.tensor for row in report if row.status == "unused"]
    backbone_names = [n for n in shapes if not n.startswith(head_names(backbone)[0])]
    assert set(backbone_names) <= set(taken)
    assert len(set(taken.values())) == len(taken)


def load_shapes(network, given, backbone):
    """The rows of a loading of which the names alone matter."""
    rows = []
    try:
        load_weights(
            network,
            given,
            head=head_names(backbone),
            minimum_match=0.5,
            on_report=lambda report: rows.extend(report.rows),
        )
    except WeightsError:
        # Empty tensors fit nowhere; the table was made before they were refused.
        assert rows
    return rows


def run_resnet18_plainly(tensors, images):
    """torchvision's ResNet-18 by its published names, function by function."""

    def norm(x, stem):
        held = [tensors[f"{stem}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(x, *held)

    def conv(x, name, **how):
        return functional.conv2d(x, tensors[f"{name}.weight"], **how)

    x = functional.relu(norm(conv(images, "conv1", stride=2, padding=3), "bn1"))
    x = functional.max_pool2d(x, 3, stride=2, padding=1)
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            stem, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = functional.relu(
                norm(conv(x, f"{stem}.conv1", stride=stride, padding=1), f"{stem}.bn1")
            )
            y = norm(conv(y, f"{stem}.conv2", padding=1), f"{stem}.bn2")
            if stride == 2:
                x = shorten(x, tensors, stem=stem, conv=conv, norm=norm)
            x = functional.relu(x + y)
    return x.mean((2, 3))


def shorten(x, tensors, *, stem, conv, norm):
    """Shortcut B where the file has its tensors; else A: every second cell, zeros for channels."""
    if f"{stem}.downsample.0.weight" in tensors:
        return norm(conv(x, f"{stem}.downsample.0", stride=2), f"{stem}.downsample.1")
    return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, x.shape[1]))


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_resnet_with_either_shortcut_answers_as_its_file_says(shortcut):
    source = build("resnet18")
    with torch.no_grad():
        for _ in range(2):
            source(torch.rand(4, 3, 64, 64))
    tensors = {n: t for n, t in source.state_dict().items() if shortcut == "B" or "downs" not in n}
    network = build("resnet18")
    report = load_weights(
        network,
        {f"module.{n}": t for n, t in tensors.items()},
        head=("fc",),
        minimum_match=1,
    )
    n_adapted = report.count("adapted")
    assert n_adapted == (0 if shortcut == "B" else 3 * 5)
    network.fc = nn.Identity()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = run_resnet18_plainly(tensors, images)
        assert torch.allclose(network.eval()(images), expected, atol=1e-4)


def test_medicalnets_file_of_a_3d_network_loads_whole():
    source = build("resnet18", dims=3, channels=1).state_dict()
    tensors = {f"module.{n}": t for n, t in source.items() if "downs" not in n and "fc" not in n}
    tensors["module.conv_seg.0.weight"] = torch.zeros(512, 32, 2, 2, 2)
    report = load_weights(
        build("resnet18", dims=3, channels=1),
        {"state_dict": tensors}["state_dict"],
        head=("fc",),
        minimum_match=1,
    )
    assert report.count("unused") == 1
    assert report.count("missing-head") == 2


def test_the_table_says_where_each_tensor_came_from():
    network = build("densenet121")
    report = load_shapes(network, {n: torch.zeros(0) for n in DENSENET}, "densenet121")
    row = next(
        r for r in report if r.tensor == "features.denseblock1.denselayer1.layers.conv1.weight"
    )
    assert row.file_tensor == "features.denseblock1.denselayer1.conv1.weight"
