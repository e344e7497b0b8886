"""What each setting of a training promises, seen from the finished training."""

import itertools

import numpy as np
import pytest
import torch
from fits import examples, fit
from toy_study import make_images

from medvision.learn import chain
from medvision.learn.backbones import blocks, build_backbone
from medvision.learn.freezing import Freezing
from medvision.learn.predict import predict_logits
from medvision.learn.scores import compute_scores

LINEAR = Freezing(blocks("small"), "linear")


@pytest.fixture(scope="module")
def images():
    return examples(*make_images(24, seed=0))


@pytest.fixture(scope="module")
def validation():
    return examples(*make_images(20, seed=1))


def build(n_norm=0):
    """A network without BatchNorm, whose passes know nothing of each other."""
    torch.manual_seed(n_norm)
    return torch.nn.Sequential(
        torch.nn.Conv3d(1, 4, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool3d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 2),
    )


PLAIN = Freezing((("0",),), "full")


def difference(a, b) -> float:
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


@pytest.mark.parametrize("accumulation", [2, 3, 4])
@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_accumulation_is_the_large_batch_but_for_rounding(images, validation, accumulation, loss):
    # Unequal class weights: a mean of the passes' means would not be the batch's mean.
    skewed = examples(images.arrays[:17], images.labels[:17] * (images.rows[:17] % 3 == 1))
    settings = {"freezing": PLAIN, "optimizer": "sgd", "loss": loss, "imbalance": "weights"}
    one = fit(skewed, validation, model=build(), **settings)
    many = fit(skewed, validation, model=build(), accumulation=accumulation, **settings)
    assert difference(one.tensors, many.tensors) < 1e-5
    assert many.history[-1]["train_loss"] == pytest.approx(one.history[-1]["train_loss"], abs=1e-5)
    other = fit(skewed, validation, model=build(), batch_size=8 // accumulation + 1, **settings)
    assert difference(one.tensors, other.tensors) > 1e-4, "a smaller batch is another training"


def test_with_batchnorm_accumulation_is_another_training(images, validation):
    one, many = (fit(images, validation, epochs=1, accumulation=n) for n in (1, 2))
    assert difference(one.tensors, many.tensors) > 1e-4


def test_clipping_bounds_the_first_step(images, validation):
    before = {name: t.clone() for name, t in build().state_dict().items()}
    settings = {"freezing": PLAIN, "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0}
    moved = {}
    for norm in (0.0, 1e-3):
        model = build()
        fit(
            images,
            validation,
            model=model,
            epochs=1,
            batch_size=24,
            schedule="constant",
            learning_rate=1.0,
            clip_norm=norm,
            **settings,
        )
        after = model.state_dict()
        moved[norm] = float(sum(((after[n] - before[n]) ** 2).sum() for n in before) ** 0.5)
    assert moved[1e-3] == pytest.approx(1e-3, rel=1e-3)
    assert moved[0.0] > 1e-2


def test_what_is_kept_is_the_average_and_its_own_validation(images, validation):
    plain, averaged = (fit(images, validation, epochs=2, ema=ema) for ema in (0.0, 0.9))
    assert difference(plain.tensors, averaged.tensors) > 1e-4
    # Training itself knows nothing of it.
    assert [r["train_loss"] for r in plain.history] == [r["train_loss"] for r in averaged.history]
    model = build_backbone("small", spatial_dims=3, channels=1, n_classes=2)
    model.load_state_dict(averaged.tensors)
    logits = predict_logits(model, validation, device=torch.device("cpu"))
    scores = compute_scores(logits, validation.labels, class_weights=np.ones(2))
    assert scores.loss == averaged.history[averaged.best_epoch - 1]["validation_loss"]


def test_gradual_releases_a_block_at_a_time_from_the_head_down(images, validation):
    torch.manual_seed(0)
    model = build_backbone("small", spatial_dims=3, channels=1, n_classes=2)
    seen = [{n: t.clone() for n, t in model.state_dict().items()}]

    def note(_):
        seen.append({n: t.clone() for n, t in model.state_dict().items()})

    freezing = Freezing(blocks("small"), "gradual", unfreeze_epochs=1)
    fit(images, validation, model=model, freezing=freezing, epochs=4, on_epoch=note)
    order = ["class_layers.out", *[block[0] for block in blocks("small")[::-1]]]
    for epoch, (before, after) in enumerate(itertools.pairwise(seen)):
        for depth, name in enumerate(order):
            changed = [
                not torch.equal(before[key], after[key])
                for key in after
                if key.startswith(f"{name}.") and not key.endswith("num_batches_tracked")
            ]
            assert any(changed) == (depth <= epoch), (epoch, name)


def test_released_blocks_epochs_are_those_stated():
    freezing = Freezing((("a",), ("b",), ("c",)), "gradual", unfreeze_epochs=2)
    frozen = [len(freezing.list_frozen(epoch)) for epoch in range(8)]
    assert frozen == [3, 3, 2, 2, 1, 1, 0, 0]


@pytest.mark.parametrize("batch_size", [8, 7])
@pytest.mark.parametrize("name", ["small", "resnet18"])
def test_features_computed_once_end_in_the_same_network(name, batch_size):
    images = examples(*make_images(24, seed=0, spatial_dims=2))
    ends = []
    for reuse in ("auto", "off"):
        torch.manual_seed(0)
        model = build_backbone(name, spatial_dims=2, channels=1, n_classes=2)
        ends.append(
            fit(
                images,
                images,
                model=model,
                freezing=Freezing(blocks(name), "linear"),
                batch_size=batch_size,
                reuse_features=reuse,
                ema=0.9,
            )
        )
    assert [end.reuses_features for end in ends] == [True, False]
    assert ends[0].tensors.keys() == ends[1].tensors.keys()
    # 24 images in batches of 7 leave a last batch of 3, which kernels may sum in another order.
    limit = 0.0 if batch_size == 8 else 1e-5
    assert difference(ends[0].tensors, ends[1].tensors) <= limit
    if not limit:
        assert ends[0].history == ends[1].history


@pytest.mark.parametrize(
    ("name", "frozen_blocks", "is_chain"),
    [
        ("small", 1, True),
        ("small", 2, True),
        ("squeezenet1_1", 3, True),
        ("mobilenet_v2", 3, True),
        ("resnet18", 2, False),
    ],
)
def test_frozen_blocks_computed_once_end_in_the_same_network(name, frozen_blocks, is_chain):
    side = 3 if name == "squeezenet1_1" else 2
    images = examples(*make_images(16, seed=0, spatial_dims=2))
    arrays = np.tile(images.arrays, (1, 1, side, side))
    images = examples(arrays, images.labels)
    ends = []
    for reuse in ("auto", "off"):
        torch.manual_seed(0)
        model = build_backbone(name, spatial_dims=2, channels=1, n_classes=2)
        freezing = Freezing(blocks(name), "partial", frozen_blocks=frozen_blocks)
        settings = {"freezing": freezing, "epochs": 2, "ema": 0.9, "depth_decay": 0.5}
        ends.append(fit(images, images, model=model, reuse_features=reuse, **settings))
    assert [end.reuses_features for end in ends] == [is_chain, False]
    assert ends[0].tensors.keys() == ends[1].tensors.keys()
    assert difference(ends[0].tensors, ends[1].tensors) == 0
    assert ends[0].history == ends[1].history


def test_features_too_large_to_hold_are_computed_anew(images, validation, monkeypatch):
    monkeypatch.setattr(chain, "LARGEST_BYTES", 1000)
    freezing = Freezing(blocks("small"), "partial", frozen_blocks=1)
    assert not fit(images, validation, freezing=freezing, epochs=1).reuses_features


def test_features_are_computed_anew_where_something_is_random(images, validation):
    def shift(given, generator):
        return given + torch.rand(1, generator=generator)

    settings = {"freezing": LINEAR, "epochs": 1}
    assert not fit(images, validation, transform=shift, **settings).reuses_features
    torch.manual_seed(0)
    model = build_backbone("small", spatial_dims=3, channels=1, n_classes=2)
    model.class_layers.flatten = torch.nn.Sequential(torch.nn.Flatten(1), torch.nn.Dropout(0.5))
    assert not fit(images, validation, model=model, **settings).reuses_features
    partial = Freezing(blocks("small"), "partial")
    changed = fit(images, validation, transform=shift, freezing=partial, epochs=1)
    assert not changed.reuses_features
    gradual = Freezing(blocks("small"), "gradual")
    assert not fit(images, validation, freezing=gradual, epochs=1).reuses_features


def test_a_network_that_goes_on_after_its_head_is_trained_whole(images, validation):
    model = torch.nn.Sequential(build(), torch.nn.Softplus())
    freezing = Freezing((("0.0",),), "linear")
    assert not fit(images, validation, model=model, freezing=freezing, epochs=1).reuses_features
