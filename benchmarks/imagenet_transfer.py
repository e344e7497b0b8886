"""What ImageNet weights are worth on few radiographs: transfer against scratch, in one run.

SqueezeNet 1.1 on PneumoniaMNIST's official split, images enlarged to 64×64, as many train images
as asked for, the same for all arms of a seed. The epoch is chosen by the validation AUC, the test
part is looked at once. Both arms have the same entrance and the same settings; scratch also gets a
larger learning rate, since a network that has everything to learn may want one.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional

from medvision.learn.backbones import blocks, build_backbone, head_names
from medvision.learn.dataset import Examples
from medvision.learn.entrance import build_form
from medvision.learn.freezing import Freezing, Policy
from medvision.learn.predict import predict_logits
from medvision.learn.registry import find_shelf, get_source
from medvision.learn.settings import TrainSettings
from medvision.learn.sources import read_weights
from medvision.learn.train import fit_network
from medvision.learn.transfer import load_weights
from medvision.runtime.files import hash_file
from medvision.runtime.seeds import derive_seed, seed_everything

BACKBONE, SOURCE, SIDE = "squeezenet1_1", "squeezenet1_1-imagenet-copy", 64
ARMS: tuple[tuple[str, float, Policy, bool], ...] = (
    ("transfer, all layers", 3e-4, "full", True),
    ("transfer, head only", 3e-3, "linear", True),
    ("scratch", 3e-4, "full", False),
    ("scratch, larger rate", 1e-3, "full", False),
)
CPU = torch.device("cpu")


def read_part(folder: Path, part: str, *, n: int | None = None, seed: int = 0) -> Examples:
    """Read a part of PneumoniaMNIST, drawn at random where a number is given."""
    with np.load(folder / "pneumoniamnist" / "pneumoniamnist.npz") as data:
        pixels, labels = data[f"{part}_images"], data[f"{part}_labels"][:, 0]
    chosen = np.random.default_rng(seed).permutation(len(pixels))[:n] if n else slice(None)
    grey = torch.from_numpy(pixels[chosen]).float()[:, None] / 255
    images = functional.interpolate(grey, size=(SIDE, SIDE), mode="bilinear").numpy()
    names = tuple(f"{part}-{row}" for row in range(len(images)))
    return Examples(images, np.arange(len(images)), labels[chosen].astype(np.int64), names)


def build(path: Path, *, is_transfer: bool, seed: int) -> nn.Module:
    """Build the network of one arm; all arms of a seed begin with the same random numbers."""
    source = get_source(SOURCE, find_shelf())
    if hash_file(path) != source.sha256:
        raise SystemExit(f"{path} is not the file that {SOURCE} describes")
    form = build_form(source, intensity="percentile", channels=1)
    seed_everything(derive_seed("initial-weights", seed))
    network = build_backbone(BACKBONE, spatial_dims=2, channels=1, n_classes=2, form=form)
    if is_transfer:
        head = head_names(BACKBONE)
        load_weights(network, read_weights(path), head=head, minimum_match=1)
    return network


def train(
    network: nn.Module,
    parts: dict[str, Examples],
    *,
    policy: Policy,
    rate: float,
    args: dict[str, int],
) -> tuple[float, float]:
    """Fit a network; return (validation AUC of its best epoch, test AUC)."""
    fit = fit_network(
        network,
        parts["train"],
        validation=parts["val"],
        n_classes=2,
        settings=TrainSettings(
            epochs=args["epochs"],
            batch_size=16,
            learning_rate=rate,
            weight_decay=0.01,
            imbalance="weights",
            monitor="auc",
            patience=args["epochs"],
            amp="off",
        ),
        freezing=Freezing(blocks(BACKBONE), policy),
        seed=derive_seed("train", args["seed"]),
        device=CPU,
        transform=None,
        state=None,
    )
    network.load_state_dict(fit.tensors)
    logits: NDArray[np.float32] = predict_logits(network, parts["test"], device=CPU)
    test = float(roc_auc_score(parts["test"].labels, logits[:, 1] - logits[:, 0]))
    return float(fit.history[fit.best_epoch - 1]["validation_auc"]), test


def main() -> None:
    """Print one line per seed and arm, then mean and deviation over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of pneumoniamnist/, weights/"
    )
    parser.add_argument("--n", type=int, default=300, help="train images")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(1)
    path = given.data / "weights" / "squeezenet1_1_imagenet_torchvision.pt"
    held = {part: read_part(given.data, part) for part in ("val", "test")}
    scores: dict[str, list[float]] = {name: [] for name, *_ in ARMS}
    for seed in range(given.seeds):
        parts = {**held, "train": read_part(given.data, "train", n=given.n, seed=seed)}
        for name, rate, policy, is_transfer in ARMS:
            start = time.process_time()
            network = build(path, is_transfer=is_transfer, seed=seed)
            args = {"seed": seed, "epochs": given.epochs}
            validation, test = train(network, parts, policy=policy, rate=rate, args=args)
            scores[name].append(test)
            used_s = time.process_time() - start
            print(
                f"seed {seed}  {name:22} validation {validation:.3f}  test {test:.3f}  "
                f"{used_s:.0f} CPU s",
                flush=True,
            )
    for name, values in scores.items():
        spread = np.std(values, ddof=1) if len(values) > 1 else float("nan")
        print(f"{name:22} test AUC {np.mean(values):.3f} ± {spread:.3f}, {len(values)} seeds")


if __name__ == "__main__":
    main()
