"""Predictions do not depend on the company of other images."""

import numpy as np
import torch
from toy_study import make_images

from medvision.learn.backbones import build_backbone
from medvision.learn.dataset import Examples
from medvision.learn.predict import compute_probabilities, predict_logits, predict_views
from medvision.runtime.seeds import seed_everything


def test_prediction_is_bit_equal_whichever_images_are_asked_for():
    seed_everything(0)
    model = build_backbone("small", spatial_dims=3, channels=1, n_classes=2)
    images, labels = make_images(21, seed=0)

    def predict(rows):
        given = Examples(images, np.array(rows), labels[rows], ("s",) * len(rows))
        return predict_logits(model, given, device=torch.device("cpu"))

    together = predict(list(range(21)))
    assert not model.training
    assert together.dtype == np.float32
    assert np.array_equal(together[[20, 3]], predict([20, 3]))
    assert np.array_equal(together[:13], predict(list(range(13))))


def test_probabilities_are_a_softmax_that_does_not_overflow():
    shares = compute_probabilities(np.array([[1000.0, 0.0], [0.0, 0.0]], dtype=np.float32))
    assert shares.tolist() == [[1.0, 0.0], [0.5, 0.5]]


def test_each_view_is_predicted_as_if_it_were_the_image():
    seed_everything(0)
    for spatial_dims in (2, 3):
        model = build_backbone("small", spatial_dims=spatial_dims, channels=1, n_classes=2)
        images, labels = make_images(11, seed=0, spatial_dims=spatial_dims)
        cpu = torch.device("cpu")

        def give(arrays, labels=labels):
            return Examples(arrays, np.arange(11), labels, ("s",) * 11)

        both = predict_views(
            model, give(images), device=cpu, views=[lambda b: b, lambda b: b.flip(2)]
        )
        assert both.shape == (2, 11, 2)
        assert np.array_equal(both[0], predict_logits(model, give(images), device=cpu))
        flipped = np.ascontiguousarray(images[:, :, ::-1])
        assert np.array_equal(both[1], predict_logits(model, give(flipped), device=cpu))
