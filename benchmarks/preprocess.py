"""CPU seconds of preprocessing a volume: fused against MONAI, TorchIO and SimpleITK.

The chain: .nii.gz of 182 x 218 x 182 int16, RAS, crop on source > 0, 1.5 mm, z-score, 96^3; each on
one thread, in one run, the least of several. TorchIO is no dependency: `--torchio FOLDER` names a
folder that it was installed into (`pip install --no-deps --target FOLDER torchio humanize einops
jaxtyping deprecated wrapt`).
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK
import torch
from isal import igzip
from monai.transforms import Compose, LoadImage

from medvision.domain.volume import FloatVolume
from medvision.io.nifti.planes import open_planes
from medvision.preprocess.compose import compose_plan
from medvision.preprocess.execute import Executor, build_executor
from medvision.preprocess.plan import Plan, build_plan

SIZE, SPACING_MM = 96, 1.5


def build_brain() -> Executor:
    """Return the chain."""
    plan = build_plan(
        spatial_dims=3,
        orientation="RAS",
        spacing_mm=(SPACING_MM,) * 3,
        intensity="zscore",
        window=(0.0, 1.0),
        percentiles=(1.0, 99.0),
        normalise_within="image",
        crop_foreground=True,
        foreground_above=0.0,
        foreground_units="source",
        sizing="pad",
        size=(SIZE,) * 3,
    )
    return build_executor(plan)


def write_brain(path: Path) -> None:
    """Write a head-like ellipsoid with texture and noise."""
    grid = np.zeros((182, 218, 182), dtype=np.int16)
    i, j, k = np.indices(grid.shape, dtype=np.float32)
    inside = ((i - 91) / 70) ** 2 + ((j - 109) / 88) ** 2 + ((k - 85) / 74) ** 2 < 1
    noise = np.random.default_rng(0).normal(500, 40, size=grid.shape)
    grid[inside] = (noise + 200 * np.sin(i / 9) * np.cos(j / 7))[inside]
    nib.save(nib.Nifti1Image(grid, np.diag([1.0, 1.0, 1.0, 1.0])), path)


def run_fused(path: Path) -> FloatVolume:
    """Planes as they are unpacked."""
    planes = open_planes(path)
    if planes is None:
        raise SystemExit(f"{path}: file must be one grey volume.")
    return build_brain().run(planes).array[0]


def run_monai(path: Path) -> FloatVolume:
    """MONAI's own reader and eager Compose, of the same plan."""
    image = LoadImage(image_only=True, ensure_channel_first=True)(path)
    result: FloatVolume = compose_plan(build_brain().plan)(image)[0].numpy()
    return result


def run_torchio(path: Path) -> FloatVolume:
    """TorchIO's reader and transforms."""
    import torchio as tio  # noqa: PLC0415 - optional, and its folder is named by an option

    image = tio.ToCanonical()(tio.ScalarImage(path))
    held = np.argwhere(image.numpy()[0] > 0)
    low, high = held.min(axis=0), np.array(image.spatial_shape) - held.max(axis=0) - 1
    borders = [int(n) for pair in zip(low, high, strict=True) for n in pair]
    chain = [tio.Crop(borders), tio.Resample(SPACING_MM), tio.ZNormalization()]
    chain.append(tio.CropOrPad(SIZE, padding_mode="minimum"))
    result: FloatVolume = tio.Compose(chain)(image).numpy()[0]
    return result


def run_simpleitk(path: Path) -> FloatVolume:
    """ITK's reader and trilinear resampling onto the same grid; numpy for the rest."""
    image = SimpleITK.ReadImage(str(path))
    held = np.argwhere(SimpleITK.GetArrayViewFromImage(image) > 0)
    low, high = held.min(axis=0)[::-1], held.max(axis=0)[::-1] + 1
    size = [int(n) for n in high - low]
    cropped = SimpleITK.RegionOfInterest(image, size, [int(n) for n in low])
    wanted = [round((n - 1) / SPACING_MM + 1) for n in size]
    resampled = SimpleITK.Resample(
        SimpleITK.Cast(cropped, SimpleITK.sitkFloat32),
        wanted,
        SimpleITK.Transform(),
        SimpleITK.sitkLinear,
        cropped.GetOrigin(),
        [SPACING_MM] * 3,
        cropped.GetDirection(),
    )
    grid = SimpleITK.GetArrayFromImage(resampled).T
    return centre((grid - grid.mean()) / grid.std())


def centre(grid: FloatVolume) -> FloatVolume:
    """Crop and pad about the centre, as MONAI does."""
    result = np.full((SIZE,) * 3, grid.min(), dtype=np.float32)
    into, out_of = [], []
    for n in grid.shape:
        first, before = max(n // 2 - SIZE // 2, 0) if n > SIZE else 0, max(SIZE - n, 0) // 2
        out_of.append(slice(first, first + min(n, SIZE)))
        into.append(slice(before, before + min(n, SIZE)))
    result[tuple(into)] = grid[tuple(out_of)]
    return result


def run_monai_late(path: Path) -> FloatVolume:
    """MONAI with the crop after the resampling, as chains are commonly written."""
    steps = list(build_brain().plan.steps)
    steps[1], steps[2] = steps[2], steps[1]
    chain: Compose = compose_plan(Plan(3, tuple(steps)))
    image = LoadImage(image_only=True, ensure_channel_first=True)(path)
    result: FloatVolume = chain(image)[0].numpy()
    return result


def run_floor(path: Path) -> FloatVolume:
    """Unpack, and one trilinear gather of 96^3 points in compiled code; nothing else."""
    packed = igzip.decompress(path.read_bytes())
    grid = np.frombuffer(packed, dtype="<i2", offset=352).reshape(1, 1, 182, 218, 182)
    line = torch.linspace(-0.79, 0.79, SIZE)
    points = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), dim=-1)[None]
    values = torch.from_numpy(grid.astype(np.float32))
    gathered = torch.nn.functional.grid_sample(values, points, align_corners=False)
    result: FloatVolume = gathered[0, 0].numpy()
    return result


def time_least(run: Callable[[Path], FloatVolume], path: Path, *, n_runs: int) -> float:
    """Return the least CPU seconds of several runs, the first (imports) left out."""
    run(path)
    spent = []
    for _ in range(n_runs):
        start = time.process_time()
        run(path)
        spent.append(time.process_time() - start)
    return min(spent)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torchio", type=Path, help="folder that TorchIO was installed into")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print_table(Path(folder) / "brain.nii.gz", options=options)


def print_table(path: Path, *, options: argparse.Namespace) -> None:
    """Run each way, and print what it took and how far it is from the fused pass."""
    torch.set_num_threads(1)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    if options.torchio:
        sys.path.append(str(options.torchio))
    write_brain(path)
    ours = run_fused(path)
    base = time_least(run_fused, path, n_runs=options.runs)
    print("| | CPU ms | times fused | largest difference, z |\n|---|---|---|---|")
    print(f"| fused | {1000 * base:.0f} | 1.0 | |")
    ways = {
        "MONAI eager": run_monai,
        "MONAI eager, crop last": run_monai_late,
        "SimpleITK": run_simpleitk,
        "TorchIO": run_torchio,
        "floor: unpack and one gather": run_floor,
    }
    for name, run in ways.items():
        try:
            theirs = run(path)
        except ImportError as error:
            print(f"| {name} | left out: {error} | | |")
            continue
        spent = time_least(run, path, n_runs=options.runs)
        # The others take their voxels elsewhere.
        is_same = name in {"MONAI eager", "SimpleITK"}
        apart = f"{np.abs(theirs - ours).max():.1e}" if is_same else ""
        print(f"| {name} | {1000 * spent:.0f} | {spent / base:.1f} | {apart} |")


if __name__ == "__main__":
    main()
