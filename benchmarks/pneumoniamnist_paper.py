"""ResNet-18 on PneumoniaMNIST by the paper's recipe, in plain torch, for the table of ours.

Yang et al. 2023, doi:10.1038/s41597-022-01721-8: the stem of small images, Adam at 0.001, divided
by ten at half and at three quarters of the epochs, batches of 128, no augmentation.
"""

import numpy as np
import torch
from monai.networks.nets.resnet import ResNet
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional

from medvision.domain.metrics.pooling import Logits
from medvision.learn.dataset import Examples
from medvision.runtime.seeds import seed_everything

BATCH = 128


def train_paper(parts: dict[str, Examples], *, epochs: int, seed: int) -> Logits:
    """Train by the paper's recipe; return the test logits at the best validation AUC."""
    seed_everything(seed)
    network = ResNet(
        "basic",
        [2, 2, 2, 2],
        [64, 128, 256, 512],
        spatial_dims=2,
        n_input_channels=1,
        conv1_t_size=3,
        conv1_t_stride=1,
        no_max_pool=True,
        shortcut_type="B",
        num_classes=2,
        bias_downsample=False,
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    steps = [epochs // 2, 3 * epochs // 4]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, steps, gamma=0.1)
    train, validation, test = (parts[name] for name in ("train", "validation", "test"))
    images, labels = (torch.from_numpy(part) for part in (train.arrays, train.labels))
    best, kept = -1.0, np.empty((0, 2))
    for _ in range(epochs):
        network.train()
        for rows in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            # The paper's images are scaled to -1 to 1.
            loss = functional.cross_entropy(network(images[rows] * 2 - 1), labels[rows])
            loss.backward()
            optimizer.step()
        schedule.step()
        found = _predict_paper(network, validation)
        auc = float(roc_auc_score(validation.labels, found[:, 1] - found[:, 0]))
        if auc > best:
            best, kept = auc, _predict_paper(network, test)
    return kept


@torch.no_grad()
def _predict_paper(network: nn.Module, part: Examples) -> Logits:
    """Return the logits of a part."""
    network.eval()
    images = torch.from_numpy(part.arrays).split(BATCH)
    return torch.cat([network(each * 2 - 1) for each in images]).double().numpy()
