"""What fewer steps and fewer boxes cost in accuracy, on the networks of a finished study.

python benchmarks/attribution_accuracy.py results: integrated gradients by number of steps, held
against 512 of them, and occlusion by share of the boxes, held against all of them, for test images.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from attribution import SETTINGS as PLAIN
from scipy.stats import spearmanr

from medvision.domain.attribution import Attribution
from medvision.domain.volume import FloatGrid
from medvision.explain.methods import attribute
from medvision.explain.network import canonicalise, reference_precision
from medvision.io.tables import read_table
from medvision.learn.backbones import build_backbone, gradcam_layer
from medvision.runtime.arrays import read_array_store
from medvision.runtime.checkpoint import load_model

GATE = 0.01
SETTINGS = replace(PLAIN, baseline="blur")
"""The default ones, but that steps are added only where a line of the table says so."""

WAYS = {
    "16 steps": {"steps": 16, "batch_size": 16},
    "32 steps": {"steps": 32, "batch_size": 32},
    "50 steps": {"steps": 50, "batch_size": 50},
    "16 and more": {"steps": 16, "completeness": GATE},
    "32 and more": {"steps": 32, "completeness": GATE},
}


class Image:
    """A test image before the network that never saw it."""

    def __init__(self, root: Path, row: dict[str, str], array: np.ndarray) -> None:
        path = root / f"train/{row['arm']}/fold-{row['fold']}/seed-{row['seed']}/model.safetensors"
        model, self.meta = load_model(path, build=build_backbone)
        self.network = canonicalise(model, device=torch.device("cpu")).network
        self.image = torch.tensor(array, dtype=torch.float32)[None]
        self.target = self.meta.classes.index(row["predicted"])

    def explain(self, method: str, **changes: object) -> Attribution:
        """Return the attribution with some settings changed."""
        return attribute(
            self.network,
            self.image,
            method=method,
            target=self.target,
            layer=gradcam_layer(self.meta.backbone),
            settings=replace(SETTINGS, **changes),
            seed=1,
        )


def compute_miss(grid: FloatGrid, whole: FloatGrid) -> float:
    """Return the relative distance of two maps in L2."""
    return float(np.linalg.norm(grid - whole) / np.linalg.norm(whole))


def list_images(root: Path, n: int) -> Iterator[Image]:
    """Open the first test images of the study's first arm."""
    store = read_array_store(
        sorted((root / "preprocess").glob("arrays-*.npy")),
        root / "preprocess" / "index.tsv",
        root / "preprocess" / "meta.json",
    )
    rows = [row for row in read_table(root / "predict/predictions.tsv") if row["split"] == "test"]
    first = [row for row in rows if row["arm"] == "transfer"][:n]
    for row in first:
        yield Image(root, dict(row), np.array(store.array[store.row(row["image_id"])]))


def main() -> None:
    """Print a line for each way: the mean and the largest over the images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--images", type=int, default=10)
    told = parser.parse_args()
    found: dict[str, list[tuple[float, ...]]] = {}
    with reference_precision():
        for image in list_images(told.results, told.images):
            whole = image.explain("integrated_gradients", steps=512)
            gate = max(GATE * abs(whole.output_difference), 0.01)
            for name, changes in WAYS.items():
                part = image.explain("integrated_gradients", **changes)
                error = (part.completeness_error or 0.0) / gate
                steps = float(str(part.parameters["steps"]))
                found.setdefault(name, []).append(
                    (steps, error, compute_miss(part.grid, whole.grid))
                )
            every = image.explain("occlusion")
            for share in (1 / 3, 1 / 2):
                part = image.explain("occlusion", occlusion_share=share)
                rank = float(spearmanr(part.grid.ravel(), every.grid.ravel())[0])
                is_same = float(np.argmax(part.grid) == np.argmax(every.grid))
                found.setdefault(f"{share:.2f} of boxes", []).append(
                    (compute_miss(part.grid, every.grid), rank, is_same)
                )
    print("way", "mean of", "", "", "largest of", sep="\t")
    print("steps", "steps", "error in gates", "distance in L2", sep="\t")
    print("boxes", "distance in L2", "rank correlation", "same peak", sep="\t")
    for name, rows in found.items():
        values = np.array(rows)
        print(name, *np.round(values.mean(0), 3), "|", *np.round(values.max(0), 3), sep="\t")


if __name__ == "__main__":
    main()
