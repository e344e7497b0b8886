"""What a GPU gains: random augmentation, training with and without mixed precision, attribution."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from medvision.augment.batch import apply_parameters, draw_parameters
from medvision.explain.methods import Settings, attribute
from medvision.explain.network import canonicalise, reference_precision
from medvision.learn.backbones import build_backbone
from medvision.learn.compiling import compile_forward
from medvision.learn.dataset import Examples
from medvision.learn.loop import Engine, Position, build_engine, run_epoch
from medvision.learn.placement import place_network
from medvision.learn.settings import TrainSettings
from medvision.runtime.seeds import choose_kernels

BATCH, SIDE = 8, 96
BATCH_2D, SIDE_2D = 64, 224
N_STEPS = 4
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
    occlusion_share=1.0,
    completeness=0.05,
    noise_draws=32,
    noise_level=0.1,
    shap_draws=512,
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


@dataclass(frozen=True)
class Way:
    """One way to train: on what, and how."""

    backbone: str = BACKBONE
    spatial_dims: int = 3
    amp: str = "off"
    kernels: str = "exact"
    compile: str = "off"
    is_augmented: bool = False

    def __str__(self) -> str:
        side = SIDE if self.spatial_dims == 3 else SIDE_2D
        words = [self.backbone, f"{side}^{self.spatial_dims}", f"amp {self.amp}", self.kernels]
        words += ["compiled"] if self.compile == "on" else []
        return " ".join([*words, "augmented"] if self.is_augmented else words)


WAYS = (
    Way(),
    Way(amp="auto"),
    Way(amp="auto", is_augmented=True),
    Way(amp="auto", kernels="fast"),
    Way(amp="auto", kernels="fast", compile="on"),
    *(
        Way(backbone=name, spatial_dims=2, amp=amp, kernels=kernels)
        for name in ("resnet18", "densenet121")
        for amp, kernels in (("off", "exact"), ("off", "fast"), ("auto", "exact"), ("auto", "fast"))
    ),
)


def change(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Change a batch at random."""
    drawn = draw_parameters(
        generator, n_images=len(images), spatial_dims=images.ndim - 2, **AUGMENT
    )
    return apply_parameters(images, drawn)


def build(way: Way, device: torch.device, *, images: np.ndarray) -> Engine:
    """Return the engine that a training of this way would have."""
    torch.manual_seed(0)
    choose_kernels(way.kernels)
    model = build_backbone(way.backbone, spatial_dims=way.spatial_dims, channels=1, n_classes=2)
    engine = build_engine(
        place_network(model, device, n_axes=images.ndim),
        device,
        settings=replace(TRAINING, amp=way.amp, batch_size=way_batch(way)),
        class_weights=np.ones(2),
        blocks=(),
    )
    if way.compile == "off":
        return engine
    shape = (way_batch(way), *images.shape[1:])
    return replace(
        engine, forward=compile_forward(engine.model.train(), shape=shape, device=device)
    )


def way_batch(way: Way) -> int:
    """Return the images of a step."""
    return BATCH if way.spatial_dims == 3 else BATCH_2D


def time_training(device: torch.device, way: Way) -> float:
    """Return images trained on per second."""
    rng = np.random.default_rng(0)
    side = SIDE if way.spatial_dims == 3 else SIDE_2D
    n_images = N_STEPS * way_batch(way)
    examples = Examples(
        arrays=rng.random((n_images, 1, *[side] * way.spatial_dims), dtype=np.float32),
        rows=np.arange(n_images),
        labels=np.arange(n_images) % 2,
        subjects=tuple(f"s{n}" for n in range(n_images)),
    )
    engine = build(way, device, images=examples.arrays)

    def train() -> None:
        run_epoch(
            engine,
            examples,
            position=Position(np.arange(n_images)),
            frozen=(),
            transform=change if way.is_augmented else None,
            generator=torch.Generator().manual_seed(0),
            rate=lambda _: 1e-3,
            should_stop=lambda: False,
        )

    return n_images / measure(train, repeats=5 if device.type == "cuda" else 1)


def watch_training(device: torch.device, way: Way) -> str:
    """Return speed, peak memory and utilisation of a GPU in words."""
    torch.cuda.reset_peak_memory_stats(device)
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    with subprocess.Popen([*command, "-lms", "100"], stdout=subprocess.PIPE, text=True) as watch:
        speed = time_training(device, way)
        watch.terminate()
        busy = [int(line) for line in watch.communicate()[0].split() if line.isdigit()]
    memory = torch.cuda.max_memory_allocated(device) / 2**30
    # The first half holds the making of the images and the first run.
    share = float(np.median(busy[len(busy) // 2 :])) if busy else float("nan")
    return f"{way}: {speed:.1f} images/s, {memory:.2f} GiB, {share:.0f} % busy"


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
                seed=0,
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
    print(f"training on the CPU, {Way()}: {time_training(cpu, Way()):.1f} images/s")
    for way in WAYS:
        print(f"training, {watch_training(gpu, way)}", flush=True)
    choose_kernels("exact")
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
