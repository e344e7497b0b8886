"""The two objectives against plain loops, and what they must not see."""

import math

import numpy as np
import pytest
import torch
from monai.losses.contrastive import ContrastiveLoss

from medvision.learn.backbones import BACKBONES, build_backbone
from medvision.learn.decoder import Decoder, list_sizes
from medvision.learn.objectives import build_objective, compute_masked_error, draw_mask


def nt_xent(first, second, *, temperature):
    """Chen 2020, equation 1, one pair at a time."""
    both = np.concatenate([first, second]).astype(np.float64)
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    n = len(first)
    total = 0.0
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        others = sum(math.exp(both[i] @ both[k] / temperature) for k in range(2 * n) if k != i)
        total -= math.log(math.exp(both[i] @ both[partner] / temperature) / others)
    return total / (2 * n)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("n_pairs", [2, 7])
def test_monais_contrastive_loss_is_that_of_the_paper(n_pairs, temperature):
    generator = np.random.default_rng(n_pairs)
    first, second = generator.normal(size=(2, n_pairs, 5)).astype(np.float32)
    found = ContrastiveLoss(temperature)(torch.from_numpy(first), torch.from_numpy(second))
    assert float(found) == pytest.approx(nt_xent(first, second, temperature=temperature), rel=1e-5)


def test_features_that_tell_nothing_cost_the_logarithm_of_the_other_views():
    same = torch.ones(6, 4)
    assert float(ContrastiveLoss(0.5)(same, same)) == pytest.approx(math.log(2 * 6 - 1))


@pytest.mark.parametrize("size", [(16, 16), (10, 7), (16, 12, 6)])
def test_every_image_hides_its_share_in_whole_blocks(size):
    block, share = (4, 4, 3), 0.6
    mask = draw_mask(
        torch.Generator().manual_seed(0), (5, 2, *size), mask_share=share, mask_block=block
    )
    assert mask.shape == (5, 1, *size)
    cells = [math.ceil(n / b) for n, b in zip(size, block, strict=False)]
    for image in mask[:, 0].numpy():
        found = 0
        for cell in np.ndindex(*cells):
            where = tuple(
                slice(c * b, (c + 1) * b) for c, b in zip(cell, block[: len(size)], strict=True)
            )
            assert len(np.unique(image[where])) == 1
            found += bool(image[where].all())
        assert found == round(share * math.prod(cells))
    assert len({image.numpy().tobytes() for image in mask}) > 1


def test_something_is_hidden_and_something_left_whatever_the_share():
    for share in (0.001, 0.999):
        mask = draw_mask(
            torch.Generator().manual_seed(0), (1, 1, 8, 8), mask_share=share, mask_block=(4, 4, 4)
        )
        assert 0 < mask.sum() < mask.numel()


def test_masked_error_is_the_mean_over_hidden_voxels():
    generator = np.random.default_rng(0)
    filled, images = generator.normal(size=(2, 3, 2, 6, 5)).astype(np.float32)
    hidden = generator.random((3, 1, 6, 5)) < 0.5
    squares = [
        (filled[b, c, i, j] - images[b, c, i, j]) ** 2
        for b, c, i, j in np.ndindex(*images.shape)
        if hidden[b, 0, i, j]
    ]
    found = compute_masked_error(
        *map(torch.from_numpy, (filled, images)), hidden=torch.from_numpy(hidden)
    )
    assert float(found) == pytest.approx(np.mean(squares), rel=1e-5)


def build(task, *, backbone="small", shape=(1, 16, 16)):
    network = build_backbone(backbone, spatial_dims=len(shape) - 1, channels=1, n_classes=2)
    return build_objective(
        task,
        network,
        backbone=backbone,
        shape=shape,
        view=lambda images, _: images,
        temperature=0.5,
        mask_share=0.5,
        mask_block=(4, 4, 4),
    )


def test_the_network_never_sees_what_it_must_fill_in():
    torch.manual_seed(0)
    objective = build("masked").eval()
    images = torch.rand(2, 1, 16, 16)
    mask = draw_mask(
        torch.Generator().manual_seed(3), images.shape, mask_share=0.5, mask_block=(4, 4, 4)
    )
    seen = []
    objective.network.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    for values in (images, torch.where(mask, images.flip(0) * 0 + images.mean(), images)):
        objective(values, torch.Generator().manual_seed(3))
    means = images.mean(dim=(2, 3), keepdim=True)
    assert torch.equal(seen[0], torch.where(mask, means, images))
    assert torch.equal(seen[0][~mask], seen[1][~mask])


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_bare_networks_hold_all_but_the_head(backbone, spatial_dims):
    shape = (1, *[48] * spatial_dims)
    whole = build_backbone(backbone, spatial_dims=spatial_dims, channels=1, n_classes=2)
    head = BACKBONES[backbone].head
    expected = {n for n in whole.state_dict() if not n.startswith(tuple(f"{p}." for p in head))}
    for task in ("contrastive", "masked"):
        objective = build(task, backbone=backbone, shape=shape)
        assert set(objective.network.state_dict()) == expected


@pytest.mark.parametrize(
    ("grid", "size"), [((8, 8, 6), (64, 64, 24)), ((2, 3), (33, 50)), ((5, 5), (5, 5))]
)
def test_decoders_enlarge_step_by_step_to_the_images_size(grid, size):
    sizes = list_sizes(grid, size)
    assert sizes[-1] == size
    for before, after in zip([grid, *sizes], sizes, strict=False):
        assert all(b <= a <= 2 * b + 2 for b, a in zip(before, after, strict=True))
    decoder = Decoder(7, grid=grid, shape=(2, *size))
    assert decoder(torch.rand(2, 7, *grid)).shape == (2, 2, *size)
