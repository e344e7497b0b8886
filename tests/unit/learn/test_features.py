"""Features kept while predicting: what the head is given, whichever images are beside."""

import numpy as np
import pytest
import torch
from toy_study import make_images

from medvision.learn.backbones import BACKBONES, build_backbone, head_names
from medvision.learn.dataset import Examples
from medvision.learn.features import join_features, keep_features
from medvision.learn.predict import predict_logits, predict_views

CPU = torch.device("cpu")


def make_examples(n_images=11, spatial_dims=2):
    images, labels = make_images(n_images, seed=1, spatial_dims=spatial_dims)
    names = tuple(str(n) for n in range(n_images))
    return Examples(images, np.arange(n_images), labels, names)


def read(model, examples, name, views=None):
    views = views or [lambda batch: batch]
    with keep_features(model, head_names(name)[0], n_views=len(views)) as seen:
        logits = predict_views(model, examples, device=CPU, views=views)
    return logits, join_features(seen, len(examples))


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_network_gives_features_and_the_same_logits_as_without(name):
    torch.manual_seed(0)
    model = build_backbone(name, spatial_dims=2, channels=1, n_classes=2)
    examples = make_examples(3)
    if name in ("squeezenet1_1", "mobilenet_v2", "efficientnet_b0", "densenet121", "resnet50"):
        images = np.repeat(np.repeat(examples.arrays, 4, axis=2), 4, axis=3)
        examples = Examples(images, examples.rows, examples.labels, examples.subjects)
    logits, features = read(model, examples, name)
    assert np.array_equal(logits[0], predict_logits(model, examples, device=CPU))
    assert features.shape[0] == 3
    assert features.ndim == 2
    assert np.isfinite(features).all()
    assert len(np.unique(features, axis=0)) == 3


def test_the_head_of_the_features_is_the_logits():
    model = build_backbone("small", spatial_dims=2, channels=1, n_classes=2)
    logits, features = read(model, make_examples(), "small")
    head = model.get_submodule(head_names("small")[0])
    with torch.no_grad():
        assert head(torch.from_numpy(features)).numpy() == pytest.approx(logits[0], abs=1e-5)


def test_an_image_has_the_same_features_whichever_others_are_predicted():
    model = build_backbone("small", spatial_dims=3, channels=1, n_classes=2)
    examples = make_examples(11, spatial_dims=3)
    _, together = read(model, examples, "small")
    for rows in ([4], [10, 4], [4, 0, 1, 2, 3, 5, 6, 7, 8, 9]):
        part = Examples(
            examples.arrays, np.array(rows), examples.labels[rows], tuple(map(str, rows))
        )
        _, some = read(model, part, "small")
        assert np.array_equal(some[rows.index(4)], together[4])


def test_views_leave_the_features_those_of_the_image_itself():
    model = build_backbone("small", spatial_dims=2, channels=1, n_classes=2)
    examples = make_examples()
    _, plain = read(model, examples, "small")
    views = [lambda batch: batch, lambda batch: batch.flip(2), lambda batch: batch.flip(3)]
    logits, features = read(model, examples, "small", views)
    assert logits.shape[0] == 3
    assert np.array_equal(features, plain)
