"""Cost of attribution: its floor, Captum's obvious loop and MONAI's visualize, in one run."""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
from monai.visualize import GradCAM, OcclusionSensitivity
from torch import Tensor

from medvision.explain.methods import Settings, attribute
from medvision.explain.methods.layers import weigh
from medvision.explain.methods.scene import open_scene
from medvision.explain.network import canonicalise, find_layer, reference_precision
from medvision.learn.backbones import build_backbone, gradcam_layer

BATCH = 8
REPEATS = 3
CASES = {"small": (64, 64, 24), "resnet18": (48, 48, 48)}
"""Backbone to the voxels of its image."""

SETTINGS = Settings(
    steps=32,
    batch_size=BATCH,
    baseline=0.0,
    blur_voxels=(4.0, 4.0, 2.4),
    occlusion_window=(12, 12, 6),
    occlusion_stride=(6, 6, 3),
    occlusion_share=1.0,
    completeness=float("inf"),
    noise_draws=32,
    noise_level=0.1,
    shap_draws=512,
)
"""The default ones, but that steps are not added: the work is the same for all."""

CAPTUM_STEPS = 50

OCCLUDED = "small"
"""The one whose boxes are counted: they cost a forward pass each in every network."""


def measure(work: Callable[[], object]) -> float:
    """Return the median of CPU seconds; one run warms up."""
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds[1:]))


class Desk:
    """A network with weights drawn by a seed, its image, and what is measured on them."""

    def __init__(self, backbone: str) -> None:
        torch.manual_seed(0)
        shape = CASES[backbone]
        network = build_backbone(backbone, spatial_dims=3, channels=1, n_classes=2)
        self.layer = gradcam_layer(backbone)
        self.original = network.eval()
        self.network = canonicalise(network, device=torch.device("cpu")).network
        self.image = torch.rand(1, 1, *shape)

    def ours(self, method: str, **changes: object) -> np.ndarray:
        """Return a map as the pipeline computes it."""
        return attribute(
            self.network,
            self.image,
            method=method,
            target=1,
            layer=self.layer,
            settings=replace(SETTINGS, **changes),
            seed=1,
        ).grid

    def forward(self, n_images: int) -> Tensor:
        """Return logits of a batch, with nothing kept for a gradient."""
        with torch.no_grad():
            logits: Tensor = self.network(self.image.expand(n_images, -1, -1, -1, -1))
        return logits

    def floor(self, n_images: int, steps: int) -> None:
        """Do what integrated gradients cannot do without: forward and backward of each step."""
        for _ in range(steps // n_images):
            batch = self.image.repeat(n_images, 1, 1, 1, 1).requires_grad_()
            torch.autograd.grad(self.network(batch)[:, 1].sum(), batch)

    def captum_gradients(self) -> None:
        """Integrate as Captum does unless told otherwise."""
        IntegratedGradients(self.network).attribute(
            self.image, target=1, n_steps=CAPTUM_STEPS, internal_batch_size=None
        )

    def captum_gradcam(self) -> None:
        """Weigh the activations as Captum does, one image."""
        LayerGradCam(self.network, find_layer(self.network, self.layer)).attribute(
            self.image, target=1
        )

    def captum_occlusion(self, per_eval: int = 1) -> None:
        """Occlude as Captum does unless told otherwise: one box a forward pass."""
        with torch.no_grad():
            Occlusion(self.network).attribute(
                self.image,
                target=1,
                sliding_window_shapes=(1, *SETTINGS.occlusion_window),
                strides=(1, *SETTINGS.occlusion_stride),
                perturbations_per_eval=per_eval,
            )

    def monai_gradcam(self) -> None:
        """Weigh the activations as MONAI's tutorials do; it needs a network that is not frozen."""
        GradCAM(nn_module=self.original, target_layers=self.layer)(x=self.image, class_idx=1)

    def monai_occlusion(self) -> None:
        """Occlude as MONAI does with the same boxes and overlap."""
        OcclusionSensitivity(
            nn_module=self.original,
            mask_size=SETTINGS.occlusion_window,
            n_batch=BATCH,
            overlap=0.5,
            verbose=False,
        )(self.image)


def tell(name: str, seconds: float, *, of: float, what: str) -> None:
    """Print one figure as seconds and as a ratio."""
    print(f"  {name:52s} {seconds:8.3f} CPU s  {seconds / of:6.2f} x {what}", flush=True)


def compare_gradients(desk: Desk) -> None:
    """Hold integrated gradients against what their steps cost at least."""
    floors = {n: measure(lambda n=n: desk.floor(n, SETTINGS.steps)) for n in (1, 2, 4, 8)}
    best = min(floors, key=floors.__getitem__)
    step = floors[best] / SETTINGS.steps
    print(f" integrated gradients; a step costs {1e3 * step:.1f} CPU ms, best in batches of {best}")
    for batch in (4, 8):
        seconds = measure(lambda batch=batch: desk.ours("integrated_gradients", batch_size=batch))
        tell(f"ours, 32 steps in batches of {batch}", seconds, of=32 * step, what="floor")
    seconds = measure(desk.captum_gradients)
    tell("Captum, 50 steps at once", seconds, of=CAPTUM_STEPS * step, what="floor")


def compare_gradcam(desk: Desk) -> None:
    """Hold Grad-CAM against forward passes of as many images."""
    one, pair = measure(lambda: desk.forward(1)), measure(lambda: desk.forward(2))
    print(f" Grad-CAM; a forward pass of one image {one:.3f}, of two {pair:.3f} CPU s")
    scene = open_scene(
        desk.network, desk.image, target=1, layer=desk.layer, settings=SETTINGS, seed=1
    )
    tell(
        "ours, on the layer's cells", measure(lambda: weigh(scene)), of=pair, what="forward of two"
    )
    tell(
        "ours, with baseline's logit and on the array's grid",
        measure(lambda: desk.ours("layer_gradcam")),
        of=pair,
        what="forward of two",
    )
    tell("Captum", measure(desk.captum_gradcam), of=one, what="forward of one")
    tell("MONAI", measure(desk.monai_gradcam), of=one, what="forward of one")


def compare_occlusion(desk: Desk) -> None:
    """Hold occlusion against plain loops."""
    plain = measure(lambda: desk.ours("occlusion"))
    whole = desk.ours("occlusion")
    print(f" occlusion; ours, every box, batches of {BATCH}: {plain:.3f} CPU s")
    for share in (1 / 3, 1 / 2):
        seconds = measure(lambda share=share: desk.ours("occlusion", occlusion_share=share))
        part = desk.ours("occlusion", occlusion_share=share)
        miss = np.linalg.norm(part - whole) / np.linalg.norm(whole)
        tell(
            f"ours, {share:.2f} of the boxes; differs by {miss:.2f}", seconds, of=plain, what="ours"
        )
    tell("Captum, one box a pass", measure(desk.captum_occlusion), of=plain, what="ours")
    tell("MONAI, the same boxes", measure(desk.monai_occlusion), of=plain, what="ours")


def show_memory(backbone: str, way: str) -> None:
    """Print the peak memory of one way in a process of its own, above that of a forward pass."""
    command = [sys.executable, __file__, "--memory", backbone, way]
    print(f"  {way:52s} {subprocess.check_output(command, text=True).strip()} MiB")


def measure_memory(backbone: str, way: str) -> None:
    """Print by how many MiB one way raises the peak over a single forward pass."""
    desk = Desk(backbone)
    desk.forward(1)
    before = read_peak_kib(reset=True)
    WAYS[way](desk)
    print(round((read_peak_kib() - before) / 1024))


def read_peak_kib(*, reset: bool = False) -> int:
    """Return this process's peak of resident memory, on Linux since it was last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


WAYS: dict[str, Callable[[Desk], object]] = {
    "ours, 32 steps": lambda desk: desk.ours("integrated_gradients"),
    "ours, 256 steps": lambda desk: desk.ours("integrated_gradients", steps=256),
    "ours, batches of 4": lambda desk: desk.ours("integrated_gradients", batch_size=4),
    "Captum, 50 steps at once": Desk.captum_gradients,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", nargs=2, metavar=("BACKBONE", "WAY"), help=argparse.SUPPRESS)
    parser.add_argument("--backbones", nargs="+", choices=CASES, default=list(CASES))
    told = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if told.memory:
        measure_memory(*told.memory)
        return
    with reference_precision():
        for backbone in told.backbones:
            desk = Desk(backbone)
            print(f"{backbone}, image {tuple(desk.image.shape[2:])}, one thread")
            compare_gradients(desk)
            compare_gradcam(desk)
            if backbone == OCCLUDED:
                compare_occlusion(desk)
            print(" peak memory above a forward pass")
            for way in WAYS:
                show_memory(backbone, way)


if __name__ == "__main__":
    main()
