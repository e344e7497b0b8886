"""Peak memory of preprocessing a CT of 512 x 512 x 600 int16, and how long a worker takes to start.

The fused pass alone in a process of its own; then `medvision preprocess` as users call it, on two
such CTs among small ones, with one process and with two workers.
"""

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from isal import igzip

from medvision.io.nifti.planes import open_planes
from medvision.preprocess.execute import build_executor
from medvision.preprocess.plan import build_plan

CT_SHAPE = (512, 512, 600)
SMALL_SHAPE = (48, 48, 20)
N_LARGE, N_SMALL = 2, 6
LOOK_EVERY_S = 0.02

WAYS = {
    "one process": (),
    "two workers": ("preprocess.workers=2",),
    "a crop on the source": (
        *("preprocess.crop_foreground=true", "preprocess.foreground_units=source"),
        "preprocess.foreground_above=-300",
    ),
    "kept after Spacing": ("preprocess.keep_after=Spacing",),
}
"""What is done to the settings that a user is likely to leave as they are."""

Peaks = dict[int, float]
"""Process id to its peak memory in MiB."""


def write_ct(path: Path, *, shape: tuple[int, int, int] = CT_SHAPE, seed: int = 0) -> None:
    """Write a CT of noise plane by plane."""
    import nibabel as nib  # noqa: PLC0415 - what measures must not import it

    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header.set_sform(np.diag([0.7, 0.7, 1.0, 1.0]), code=1)
    header["vox_offset"] = 352
    plane = np.random.default_rng(seed).normal(-400, 300, size=shape[:2]).astype("<i2")
    with igzip.open(path, "wb", compresslevel=0) as stream:
        stream.write(header.binaryblock + bytes(4))
        for number in range(shape[2]):
            stream.write(np.roll(plane, 7 * number, axis=1).tobytes())


def measure_ct(path: Path) -> None:
    """Print peak memory and CPU seconds of one CT, of this process alone."""
    plan = build_plan(
        spatial_dims=3,
        orientation="RAS",
        spacing_mm=(3.0, 3.0, 5.0),
        intensity="window",
        window="lung",
        percentiles=(1.0, 99.0),
        normalise_within="image",
        crop_foreground=False,
        foreground_above=0.0,
        foreground_units="source",
        sizing="pad",
        size=(128, 128, 128),
    )
    planes = open_planes(path)
    if planes is not None:
        build_executor(plan).run(planes)
    # Not ru_maxrss, which a process inherits from the one that started it.
    peak = read_peak("self")
    print(f"fused pass alone: peak {peak:.0f} MiB, {time.process_time():.1f} CPU s in all")


def read_peak(process: int | str) -> float:
    """Return the peak memory of a process in MiB, 0 of one that is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return int(status.split("VmHWM:")[1].split()[0]) / 1024 if "VmHWM:" in status else 0.0


def list_children(process: int) -> Iterator[int]:
    """Yield the processes that a process has started."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == process:
            yield int(path.parent.name)


def watch(command: list[str]) -> tuple[Peaks, float]:
    """Run a command; return the peaks of its processes, its own first, and its seconds."""
    start = time.perf_counter()
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peaks: Peaks = {}
    while running.poll() is None:
        for process in (running.pid, *list_children(running.pid)):
            peaks[process] = max(peaks.get(process, 0.0), read_peak(process))
        time.sleep(LOOK_EVERY_S)
    if running.returncode:
        raise SystemExit(f"{command[3]} ended with {running.returncode}")
    return peaks, time.perf_counter() - start


def write_study(folder: Path) -> list[str]:
    """Write images and labels; return the options that point a command at them."""
    (folder / "archive").mkdir()
    rows = []
    for number in range(N_LARGE + N_SMALL):
        shape = CT_SHAPE if number < N_LARGE else SMALL_SHAPE
        write_ct(folder / "archive" / f"s{number}.nii.gz", shape=shape, seed=number)
        rows.append((f"s{number}", ("well", "sick")[number % 2]))
    with (folder / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("subject", "label"), *rows])
    values = (
        *("data.kind=nifti", f"data.path={folder / 'archive'}"),
        *(f"data.labels={folder / 'labels.csv'}", f"output.path={folder / 'results'}"),
        *("preprocess.size=[128, 128, 128]", "preprocess.window=lung", "ingest.workers=1"),
    )
    return [part for value in values for part in ("--set", value)]


def measure_command(folder: Path) -> None:
    """Print the peaks of the processes of `medvision preprocess`."""
    options = write_study(folder)
    code = "from medvision.cli.main import main; main()"
    for name in ("ingest", "measure", "cohort"):
        watch([sys.executable, "-c", code, name, *options])
    for what, settings in WAYS.items():
        shutil.rmtree(folder / "results" / "preprocess", ignore_errors=True)
        more = [part for value in settings for part in ("--set", value)]
        peaks, seconds = watch([sys.executable, "-c", code, "preprocess", *options, *more])
        said = ", ".join(f"{peak:.0f}" for peak in peaks.values())
        print(f"medvision preprocess, {what}: peaks {said} MiB, {seconds:.1f} s in all")


def measure_start() -> None:
    """Print how long a worker takes to start, against one that imports torch and MONAI."""
    for what, modules in (
        ("Python", "sys"),
        ("a worker", "medvision.cli._images, medvision.preprocess.bench"),
        ("with torch and MONAI", "medvision.preprocess.bench, torch, monai.transforms"),
    ):
        command = [sys.executable, "-c", f"import {modules}"]
        seconds = min(watch(command)[1] for _ in range(3))
        print(f"start of {what}: {seconds:.2f} s")


def main() -> None:
    """Write the CT, and measure in fresh processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ct", nargs="?", type=Path, help="Measure the fused pass here, on this CT.")
    ct = parser.parse_args().ct
    if ct is not None:
        measure_ct(ct)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ct.nii.gz"
        write_ct(path)
        subprocess.run([sys.executable, __file__, str(path)], check=True)
        path.unlink()
        measure_start()
        measure_command(Path(folder))


if __name__ == "__main__":
    main()
