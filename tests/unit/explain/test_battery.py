"""The whole battery on planted lesions: it accepts who looks at them, and rejects each control."""

import numpy as np
import pytest
import torch
from explain_runs import SETTINGS, explain_predictions
from scipy.ndimage import gaussian_filter
from torch import nn

from medvision.domain.labels.rows import Classes
from medvision.explain import one
from medvision.explain.case import CaseImage, Trained
from medvision.explain.names import EDGE, RANDOM, name_other_class, name_randomised

SIDE = 24
CLASSES = ("dark", "bright")
METHODS = ("integrated_gradients", "layer_gradcam", "occlusion")
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
N_IMAGES = 8
pytestmark = pytest.mark.slow
MARK = 4


class Looker(nn.Module):
    """Tells a bright lump from a dark one; by hand, so that what it looks at is known.

    Two channels: tissue with the lump, and waves all over. Four features: what is brighter and what
    is darker than tissue ever is, and the waves, up and down. The head looks at the first two;
    random weights in its place look at all.
    """

    def __init__(self, spatial_dims=3, *, watermark=False):
        super().__init__()
        conv, pool = (nn.Conv3d, nn.AvgPool3d) if spatial_dims == 3 else (nn.Conv2d, nn.AvgPool2d)
        self.watermark = watermark
        self.conv = conv(2, 4, 1)
        self.act = nn.ReLU()
        self.cells = pool(2)
        self.head = nn.Linear(4, 2)
        with torch.no_grad():
            weight = torch.tensor([[1.0, 0], [-1.0, 0], [0, 10.0], [0, -10.0]])
            self.conv.weight.copy_(weight.reshape(self.conv.weight.shape))
            self.conv.bias.copy_(torch.tensor([-0.7, 0.3, -5.0, 5.0]))
            self.head.weight.copy_(torch.tensor([[-90.0, 90.0, 0, 0], [90.0, -90.0, 0, 0]]))
            self.head.bias.zero_()

    def forward(self, x):
        if self.watermark:
            corner = torch.zeros_like(x)
            corner[:, :, :MARK, :MARK] = 1
            x = x * corner + 0.5 * (1 - corner)
        return self.head(self.cells(self.act(self.conv(x))).flatten(2).mean(2))


def make_image(case, *, spatial_dims):
    """Tissue with one lump of either kind, away from the corner, where a mark tells it as well."""
    number = int(case.image_id[-2:])
    rng = np.random.default_rng(number)
    shape = (SIDE,) * spatial_dims
    array = rng.uniform(0.4, 0.6, shape).astype(np.float32)
    corner = rng.integers(6, SIDE - 7, spatial_dims)
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(c, c + 6) for c in corner)] = True
    sign = 1 if case.label == "bright" else -1
    array[mask] += 0.5 * sign
    array[:MARK, :MARK] += 0.5 * sign
    waves = gaussian_filter(rng.standard_normal(shape), 1.5)
    waves = (0.5 + 0.2 * waves / waves.std()).astype(np.float32)
    return np.stack([array, waves]), mask.reshape((*shape, 1)[:3])


def make_predictions():
    return [
        {
            "arm": "transfer",
            "fold": "0",
            "repeat": "0",
            "inner": "0",
            "seed": "0",
            "split": "test",
            "image_id": f"image-{n:02d}",
            "subject": f"subject-{n:02d}",
            "label": CLASSES[n % 2],
            "predicted": CLASSES[n % 2],
            "probability_dark": str(0.9 - 0.8 * (n % 2)),
            "probability_bright": str(0.1 + 0.8 * (n % 2)),
        }
        for n in range(N_IMAGES)
    ]


def forget_map(*_, **__):
    return ""


def run(network, *, spatial_dims=3, marked=True):
    def load(case):
        array, mask = make_image(case, spatial_dims=spatial_dims)
        if not marked:
            array[0, :MARK, :MARK] = 0.5
        return CaseImage(array, AFFINE, AFFINE, mask.shape, mask)

    return explain_predictions(
        make_predictions(),
        Classes(CLASSES, "bright"),
        load_image=load,
        load_network=lambda _: Trained(network, CLASSES, "cells"),
        save_map=forget_map,
        **{
            **SETTINGS,
            "images": N_IMAGES,
            "methods": METHODS,
            "blur_voxels": (6.0, 6.0, 6.0),
        },
    )


@pytest.fixture(scope="module", params=[3, 2], ids=["volumes", "slices"])
def planted(request):
    return run(Looker(request.param), spatial_dims=request.param, marked=False)


def test_a_model_that_looks_at_the_planted_lesion_is_accepted(planted):
    for method in METHODS:
        verdict = planted.summary["methods"][method]["verdict"]
        assert verdict["verdict"] == "PASS", (method, verdict)


def test_each_control_is_rejected(planted):
    names = [EDGE, RANDOM]
    names += [name(method) for name in (name_randomised, name_other_class) for method in METHODS]
    assert set(planted.summary["controls"]) == set(names)
    for name in names:
        verdict = planted.summary["controls"][name]["verdict"]
        assert verdict["verdict"] == "FAIL", (name, verdict)
        assert verdict["n_passed"] == 0


def test_an_edge_map_passes_what_only_looks_at_the_picture_and_the_conjunction_rejects_it(planted):
    checks = planted.summary["controls"][EDGE]["checks"]
    assert checks["relevance_mass"]["rate"] == 1
    assert checks["weight_randomisation"]["rate"] == 0
    assert checks["class_sensitivity"]["rate"] == 0


def test_a_model_that_looks_at_a_mark_in_the_corner_is_not_accepted():
    outcome = run(Looker(watermark=True))
    verdict = outcome.summary["methods"]["integrated_gradients"]["verdict"]
    assert verdict["verdict"] == "FAIL"
    assert verdict["checks"]["pointing"] == "FAIL"
    assert verdict["checks"]["weight_randomisation"] == "PASS", "it depends on the weights"
    assert verdict["checks"]["deletion"] == "PASS", "it is faithful: the model is at fault"


def test_maps_that_are_shown_for_other_images_are_not_accepted(monkeypatch):
    """A planted fault: each map is mirrored along its first axis."""
    plain = one.map_to_source

    def mirror(grid, *args, **kwargs):
        return plain(grid, *args, **kwargs)[::-1]

    monkeypatch.setattr(one, "map_to_source", mirror)
    verdict = run(Looker(), marked=False).summary["methods"]["integrated_gradients"]["verdict"]
    assert (verdict["verdict"], verdict["checks"]["pointing"]) == ("FAIL", "FAIL")
