"""The whole explain wing run on a planted detector, for tests of what it gives."""

from inspect import signature

import numpy as np
import torch
from explain_nets import SIDE, Detector, make_lesion_image

from medvision.config.explain import ExplainSection
from medvision.domain.labels.rows import Classes
from medvision.explain.bench import Hands
from medvision.explain.case import CaseImage, Trained
from medvision.explain.study import WHOLE, conclude, draw_brief, explain_share

CLASSES = ("benign", "nodule")
TENSOR_AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
FLIPPED = np.diag([-1.0, 1.0, 1.0, 1.0])
FLIPPED[0, 3] = SIDE - 1
TAKEN = set(signature(draw_brief).parameters)
SETTINGS = {
    **{name: value for name, value in ExplainSection() if name in TAKEN},
    "images": 6,
    "steps": 16,
    "batch_size": 4,
    "occlusion_window": (6, 6, 6),
    "occlusion_stride": (4, 4, 4),
    "random_orders": 20,
    "deletion_steps": 8,
    "stability_images": 0,
    "cascade_images": 0,
}


def explain_predictions(
    predictions, classes, *, load_image, load_network, save_map, parts=1, **settings
):
    """Explain in as many shares as parts, each by itself, and put them together."""
    brief = draw_brief(predictions, classes, **settings)
    is_exclusive = classes.task != "multilabel"
    hands = Hands(load_image, load_network, save_map, torch.device("cpu"), is_exclusive)
    shares = [(k, parts) for k in range(1, parts + 1)] if parts > 1 else [WHOLE]
    return conclude(brief, [explain_share(brief, hands=hands, share=share) for share in shares])


def make_predictions(n_subjects=12):
    """Odd subjects have a nodule; the first of either kind is predicted wrongly."""
    rows = []
    for n in range(n_subjects):
        label = CLASSES[n % 2]
        predicted = label if n > 1 else CLASSES[1 - n % 2]
        share = 0.9 if predicted == "nodule" else 0.1
        rows.append(
            {
                "arm": "transfer",
                "fold": str(n // 2 % 2),
                "repeat": "0",
                "inner": "0",
                "seed": "0",
                "split": "test",
                "image_id": f"image-{n:02d}",
                "subject": f"subject-{n:02d}",
                "label": label,
                "predicted": predicted,
                "probability_benign": str(1 - share),
                "probability_nodule": str(share),
            }
        )
    return rows


def load_image(case, *, spatial_dims=3):
    """The source is the array mirrored along i; the map has to be mirrored back."""
    number = int(case.image_id[-2:])
    array, mask = make_lesion_image(number, spatial_dims=spatial_dims, positive=number % 2 == 1)
    return CaseImage(
        array=array,
        tensor_affine=TENSOR_AFFINE,
        source_affine=TENSOR_AFFINE @ FLIPPED,
        source_shape=mask.shape,
        mask=mask[::-1] if number % 2 else None,
    )


def explain(network=None, *, spatial_dims=3, load=load_image, parts=1, **changes):
    network = network or Detector(spatial_dims)
    maps, loaded = {}, []

    def load_network(case):
        loaded.append((case.fold, case.image_id))
        return Trained(network, CLASSES, "cells")

    def save_map(image_id, method, *, grid, affine):
        maps[image_id, method] = (grid, affine)
        return f"digest of {image_id} {method}"

    outcome = explain_predictions(
        make_predictions(),
        Classes(CLASSES, "nodule"),
        load_image=lambda case: load(case, spatial_dims=spatial_dims),
        load_network=load_network,
        save_map=save_map,
        parts=parts,
        **{**SETTINGS, **changes},
    )
    return outcome, maps, loaded
