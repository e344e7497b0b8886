"""What a GPU gains: random augmentation, training with and without mixed precision, attribution."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from medvision.augment.batch import apply_parameters, draw_parameters
from medvision.explain.methods import Settings, attribute
from medvision.explain.network import canonicalise, reference_precision
from medvision.learn.backbones import build_backbone
from medvision.learn.dataset import Examples
from medvision.learn.loop import Position, build_engine, run_epoch
from medvision.learn.settings import TrainSettings

N_IMAGES, BATCH, SIDE = 32, 8, 96
BACKBONE = "resnet18"
AUGMENT = {
    "flip_axes": (0,),
    "shift_voxels": 4,
    "rotate_degrees": 0.0,
    "zoom": 0.0,
    "noise_sd": 0.05,
    "gain": 0.1,
}
TRAINING = TrainSettings(
    epochs=1,
    batch_size=BATCH,
    learning_rate=1e-3,
    weight_decay=0.01,
    imbalance="none",
    monitor="loss",
    patience=1,
    amp="off",
)
SETTINGS = Settings(
    steps=32,
    batch_size=8,
    baseline=0.0,
    blur_voxels=(4.0, 4.0, 4.0),
    occlusion_window=(24, 24, 24),
    occlusion_stride=(24, 24, 24),
    completeness=0.05,
)


def measure(work: Callable[[], object], *, repeats: int) -> float:
    """Return the median of wall-clock seconds, the device waited for; one run warms up."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


def time_augmentation(device: torch.device) -> float:
    """Return ms to change one batch of volumes."""
    batch = torch.rand(BATCH, 1, SIDE, SIDE, SIDE, device=device)
    drawn = draw_parameters(
        torch.Generator().manual_seed(0), n_images=BATCH, spatial_dims=3, **AUGMENT
    )
    return 1e3 * measure(lambda: apply_parameters(batch, drawn), repeats=5)


def time_training(device: torch.device, *, amp: str, is_augmented: bool) -> float:
    """Return volumes trained on per second."""
    rng = np.random.default_rng(0)
    examples = Examples(
        arrays=rng.random((N_IMAGES, 1, SIDE, SIDE, SIDE), dtype=np.float32),
        rows=np.arange(N_IMAGES),
        labels=np.arange(N_IMAGES) % 2,
        subjects=tuple(f"s{n}" for n in range(N_IMAGES)),
    )
    torch.manual_seed(0)
    engine = build_engine(
        build_backbone(BACKBONE, spatial_dims=3, channels=1, n_classes=2),
        device,
        settings=replace(TRAINING, amp=amp),
        class_weights=np.ones(2),
        blocks=(),
    )

    def transform(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        drawn = draw_parameters(generator, n_images=len(images), spatial_dims=3, **AUGMENT)
        return apply_parameters(images, drawn)

    def train() -> None:
        run_epoch(
            engine,
            examples,
            position=Position(np.arange(N_IMAGES)),
            frozen=(),
            transform=transform if is_augmented else None,
            generator=torch.Generator().manual_seed(0),
            rate=lambda _: 1e-3,
            should_stop=lambda: False,
        )

    return N_IMAGES / measure(train, repeats=5 if device.type == "cuda" else 1)


def explain(device: torch.device) -> tuple[float, np.ndarray, bool]:
    """Return seconds of one map by integrated gradients, the map, and whether it repeats."""
    torch.manual_seed(0)
    network = build_backbone(BACKBONE, spatial_dims=3, channels=1, n_classes=2)
    twin = canonicalise(network, device=device).network
    image = torch.rand(1, 1, SIDE, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    held = image.to(device)

    def make() -> np.ndarray:
        with reference_precision():
            found = attribute(
                twin,
                held,
                method="integrated_gradients",
                target=1,
                layer="",
                settings=SETTINGS,
            )
        return found.grid

    maps = [make(), make()]
    seconds = measure(make, repeats=2 if device.type == "cuda" else 1)
    return seconds, maps[0], bool(np.array_equal(maps[0], maps[1]))


def main() -> None:
    """Print each figure on the CPU and on the GPU, in one run."""
    torch.backends.cudnn.deterministic = True
    cpu = torch.device("cpu")
    if not torch.cuda.is_available():
        raise SystemExit("a CUDA GPU is needed: none is visible")
    gpu = torch.device("cuda")
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, against "
        f"{torch.get_num_threads()} CPU threads; batches of {BATCH} volumes of {SIDE} cubed"
    )
    on_cpu, on_gpu = time_augmentation(cpu), time_augmentation(gpu)
    print(f"augmentation, ms a batch: CPU {on_cpu:.1f}, GPU {on_gpu:.2f}, {on_cpu / on_gpu:.0f}x")
    speeds = {
        f"{device.type} {amp}{' augmented' if changed else ''}": time_training(
            device, amp=amp, is_augmented=changed
        )
        for device, amp, changed in (
            (cpu, "off", False),
            (gpu, "off", False),
            (gpu, "auto", False),
            (gpu, "auto", True),
        )
    }
    for name, speed in speeds.items():
        print(f"training {BACKBONE}, volumes a second, {name}: {speed:.1f}")
    cpu_s, cpu_map, _ = explain(cpu)
    gpu_s, gpu_map, repeats = explain(gpu)
    error = float(np.abs(cpu_map - gpu_map).max() / np.abs(cpu_map).max())
    print(
        f"integrated gradients, s a map: CPU {cpu_s:.2f}, GPU {gpu_s:.3f}, "
        f"{cpu_s / gpu_s:.0f}x; largest difference {error:.1e} of the peak; "
        f"bit-equal on repeat: {repeats}"
    )


if __name__ == "__main__":
    main()
