"""What views, an ensemble over seeds and a temperature change, on the phantom's source task.

Balls against tubes in noise, with few training images. Networks of several seeds are trained once;
every way from their logits to probabilities is then held against the same test images, which
choose nothing: the epoch and the temperature are those of validation images. Synthetic images: the
figures say what the means do here, not what they do for patients.
"""

import argparse
import time

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from medvision.augment.batch import apply_parameters, draw_parameters
from medvision.augment.fixed_views import FixedView, list_views
from medvision.domain.metrics.pooling import Logits, pool_logits
from medvision.domain.metrics.temperature import compute_nll, fit_temperature
from medvision.learn.backbones import build_backbone
from medvision.learn.dataset import Examples
from medvision.learn.freezing import Freezing
from medvision.learn.predict import predict_views
from medvision.learn.settings import TrainSettings
from medvision.learn.train import fit_network
from medvision.phantom.source_task import generate_source_images
from medvision.runtime.seeds import seed_everything

CPU = torch.device("cpu")
FLIP_AXES = (0, 1)
SHIFT_VOXELS = 2
COUNTS = {"train": 240, "validation": 120, "test": 1000}
SIZE = (64, 64, 1)
NOISE_SD = 0.1

Split = dict[str, Logits]


def make_examples(seed: int) -> dict[str, Examples]:
    """Return noisy images, balls (1) and tubes (0), one set per split."""
    images, labels, names = generate_source_images(
        n_images=sum(COUNTS.values()), size=SIZE, seed=seed
    )
    images = images.reshape(images.shape[:4])
    noise = np.random.default_rng(seed).normal(0, NOISE_SD, images.shape)
    images = (images + noise).astype(np.float32)
    is_ball = np.array([name.endswith("ball") for name in names], dtype=np.int64)[labels]
    ends = np.cumsum([0, *COUNTS.values()])
    return {
        name: Examples(images, np.arange(a, b), is_ball[a:b], ("none",) * int(b - a))
        for name, a, b in zip(COUNTS, ends[:-1], ends[1:], strict=True)
    }


def change(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Flip and shift a training batch."""
    parameters = draw_parameters(
        generator,
        n_images=len(batch),
        spatial_dims=2,
        flip_axes=FLIP_AXES,
        shift_voxels=SHIFT_VOXELS,
        rotate_degrees=0.0,
        zoom=0.0,
        noise_sd=0.0,
        gain=0.0,
    )
    return apply_parameters(batch, parameters)


def train(parts: dict[str, Examples], *, epochs: int, seed: int) -> nn.Module:
    """Train one network; the epoch is chosen on the validation images."""
    seed_everything(seed)
    model = build_backbone("small", spatial_dims=2, channels=1, n_classes=2)
    settings = TrainSettings(
        epochs=epochs,
        batch_size=16,
        learning_rate=0.003,
        weight_decay=0.01,
        imbalance="none",
        monitor="auc",
        patience=epochs,
        amp="off",
    )
    fit = fit_network(
        model,
        parts["train"],
        validation=parts["validation"],
        n_classes=2,
        settings=settings,
        freezing=Freezing((), "full"),
        seed=seed,
        device=CPU,
        transform=change,
        state=None,
    )
    model.load_state_dict(fit.tensors)
    return model


def predict(
    model: nn.Module, parts: dict[str, Examples], views: tuple[FixedView, ...]
) -> tuple[Split, float]:
    """Return one network's logits of validation and test, and the CPU ms of an image."""
    start = time.process_time()
    found = {
        name: pool_logits(predict_views(model, parts[name], device=CPU, views=views), "softmax")
        for name in ("validation", "test")
    }
    n_images = sum(len(parts[name]) for name in found)
    return found, 1000 * (time.process_time() - start) / n_images


def score(logits: Split, parts: dict[str, Examples], *, is_scaled: bool) -> NDArray[np.float64]:
    """Return AUC, log loss and Brier score of the test images."""
    validation, test = (parts[name].labels for name in ("validation", "test"))
    scale = fit_temperature(logits["validation"], validation).value if is_scaled else 1.0
    final = logits["test"] / scale
    odds = final[:, 1] - final[:, 0]
    brier = np.mean((1 / (1 + np.exp(-odds)) - test) ** 2)
    return np.array([roc_auc_score(test, odds), compute_nll(final, test), brier])


def tell(name: str, rows: list[NDArray[np.float64]]) -> None:
    """Print one line: mean and standard deviation over the seeds."""
    held = np.array(rows)
    sds = held.std(axis=0, ddof=1) if len(held) > 1 else [None] * 3
    said = [
        f"{mean:.3f}" + ("" if sd is None else f" ± {sd:.3f}")
        for mean, sd in zip(held.mean(axis=0), sds, strict=True)
    ]
    print(f"| {name} | {' | '.join(said)} |", flush=True)


def main() -> None:
    """Print one table: a row per way from the networks to probabilities."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    given = parser.parse_args()
    torch.set_num_threads(1)
    parts = make_examples(seed=1)
    networks = [train(parts, epochs=given.epochs, seed=seed) for seed in range(given.seeds)]
    every = list_views(
        ("flip", "shift"), 2, flip_axes=FLIP_AXES, shift_voxels=SHIFT_VOXELS, zoom=0.05
    )
    print("| network | AUC | log loss | Brier |\n|---|---|---|---|")
    costs = []
    for words, views in (("the image", every[:1]), (f"{len(every)} views", every)):
        found = [predict(model, parts, views) for model in networks]
        costs.append(f"{words} {np.mean([cost for _, cost in found]):.2f}")
        singles = [logits for logits, _ in found]
        pool = {
            name: pool_logits(np.stack([each[name] for each in singles]), "softmax")
            for name in ("validation", "test")
        }
        for is_scaled in (False, True):
            then = ", temperature" if is_scaled else ""
            rows = [score(each, parts, is_scaled=is_scaled) for each in singles]
            tell(f"single, {words}{then}", rows)
            tell(f"ensemble, {words}{then}", [score(pool, parts, is_scaled=is_scaled)])
    print(f"\nCPU ms an image: {', '.join(costs)}")


if __name__ == "__main__":
    main()
