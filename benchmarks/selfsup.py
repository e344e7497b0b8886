"""Whether pretraining without labels helps where labels are few: PneumoniaMNIST, official split.

Every network is pretrained on all training images, labels unseen, then trained on a few labelled
ones of them; the validation images that choose the epoch are as few. The test images are scored
once, after training. What differs between the arms of a seed is the starting weights alone.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medvision.cli._training.self_supervised import build_view
from medvision.config.pretrain import PretrainSection
from medvision.learn.backbones import build_backbone, head_names
from medvision.learn.dataset import Examples
from medvision.learn.freezing import Freezing
from medvision.learn.predict import predict_logits
from medvision.learn.scores import compute_scores
from medvision.learn.selfsup import pretrain_unlabelled
from medvision.learn.settings import TrainSettings
from medvision.learn.train import fit_network
from medvision.learn.transfer import load_weights
from medvision.runtime.seeds import seed_everything

ARMS = ("scratch", "contrastive", "masked")
CPU = torch.device("cpu")
SETTINGS = TrainSettings(
    epochs=30,
    batch_size=16,
    learning_rate=0.002,
    weight_decay=0.01,
    imbalance="none",
    monitor="loss",
    patience=30,
    amp="off",
)


def read_split(path: Path, name: str) -> Examples:
    """Return one official split, scaled to [0, 1]."""
    with np.load(path) as held:
        images = held[f"{name}_images"].astype(np.float32)[:, np.newaxis] / 255
        labels = held[f"{name}_labels"].ravel().astype(np.int64)
    names = tuple(f"{name}-{row}" for row in range(len(labels)))
    return Examples(images, np.arange(len(labels)), labels, names)


def choose_few(examples: Examples, n_images: int, *, seed: int) -> Examples:
    """Draw as many images of each class."""
    rng = np.random.default_rng(seed)
    each = n_images // 2
    rows = np.concatenate(
        [rng.permutation(np.flatnonzero(examples.labels == label))[:each] for label in (0, 1)]
    )
    names = tuple(examples.subjects[row] for row in rows)
    return Examples(examples.arrays, rows, examples.labels[rows], names)


def pretrain(
    images: Examples, arm: str, *, backbone: str, seed: int, epochs: int
) -> dict[str, torch.Tensor]:
    """Return starting weights, none from scratch."""
    if arm == "scratch":
        return {}
    section = PretrainSection(mask_block=(4, 4, 4))
    return pretrain_unlabelled(
        images,
        task=arm,
        backbone=backbone,
        view=build_view(section, spatial_dims=2),
        temperature=section.temperature,
        mask_share=section.mask_share,
        mask_block=section.mask_block,
        seed=seed,
        epochs=epochs,
        batch_size=64,
        learning_rate=0.002,
        amp="off",
        device=CPU,
        state=None,
    ).tensors


def score(
    tensors: dict[str, torch.Tensor],
    parts: dict[str, Examples],
    *,
    backbone: str,
    seed: int,
    n_labels: int,
) -> tuple[float, float]:
    """Train on a few labels, and return the AUC on validation and test."""
    seed_everything(seed)
    model = build_backbone(backbone, spatial_dims=2, channels=1, n_classes=2)
    if tensors:
        load_weights(model, tensors, head=head_names(backbone), minimum_match=1.0)
    few = {name: choose_few(parts[name], n_labels, seed=seed) for name in ("train", "val")}
    fit = fit_network(
        model,
        few["train"],
        validation=few["val"],
        n_classes=2,
        settings=SETTINGS,
        freezing=Freezing((), "full"),
        seed=seed,
        device=CPU,
        transform=None,
        state=None,
    )
    model.load_state_dict(fit.tensors)
    found = [_compute_auc(model, few["val"]), _compute_auc(model, parts["test"])]
    return found[0], found[1]


def _compute_auc(model: torch.nn.Module, examples: Examples) -> float:
    """Return the AUC on some images."""
    logits = predict_logits(model, examples, device=CPU)
    auc = compute_scores(logits, examples.labels, class_weights=np.ones(2)).auc
    return float(auc if auc is not None else np.nan)


def main() -> None:
    """Print a row per arm and number of labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="pneumoniamnist.npz")
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5, help="of the pretraining")
    parser.add_argument("--labels", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts = {name: read_split(options.file, name) for name in ("train", "val", "test")}
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for seed in range(options.seeds):
        for arm in ARMS:
            begin = time.process_time()
            tensors = pretrain(
                parts["train"], arm, backbone=options.backbone, seed=seed, epochs=options.epochs
            )
            spent = time.process_time() - begin
            for n_labels in options.labels:
                pair = score(
                    tensors, parts, backbone=options.backbone, seed=seed, n_labels=n_labels
                )
                found.setdefault((arm, n_labels), []).append(pair)
                print(f"seed {seed} {arm} {n_labels}: {pair} ({spent:.0f} CPU s)", flush=True)
    _print_table(found, options.labels)


def _print_table(
    found: dict[tuple[str, int], list[tuple[float, float]]], labels: list[int]
) -> None:
    """Print mean and deviation, and the difference from scratch seed by seed."""
    print("| labels | arm | validation AUC | test AUC | test AUC less scratch, paired |")
    print("|---|---|---|---|---|")
    for n_labels in labels:
        base = np.array(found["scratch", n_labels])[:, 1]
        for arm in ARMS:
            pairs = np.array(found[arm, n_labels])
            cells = [_say(pairs[:, 0]), _say(pairs[:, 1])]
            cells.append("" if arm == "scratch" else _say(pairs[:, 1] - base))
            print(f"| {n_labels} | {arm} | {' | '.join(cells)} |")


def _say(values: NDArray[np.float64]) -> str:
    """Return mean ± standard deviation over the seeds."""
    spread = values.std(ddof=1) if len(values) > 1 else 0.0
    return f"{values.mean():.3f} ± {spread:.3f}"


if __name__ == "__main__":
    main()
