"""Peak memory of preprocessing a CT of 512 x 512 x 600 int16, in a process of its own."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from isal import igzip

from medvision.io.nifti.planes import open_planes
from medvision.preprocess.execute import build_executor
from medvision.preprocess.plan import build_plan

CT_SHAPE = (512, 512, 600)


def write_ct(path: Path) -> None:
    """Write a CT of noise plane by plane."""
    import nibabel as nib  # noqa: PLC0415 - what measures must not import it

    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(CT_SHAPE)
    header.set_sform(np.diag([0.7, 0.7, 1.0, 1.0]), code=1)
    header["vox_offset"] = 352
    plane = np.random.default_rng(0).normal(-400, 300, size=CT_SHAPE[:2]).astype("<i2")
    with igzip.open(path, "wb", compresslevel=0) as stream:
        stream.write(header.binaryblock + bytes(4))
        for number in range(CT_SHAPE[2]):
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
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print(f"CT {CT_SHAPE} int16: peak {peak:.0f} MiB, {time.process_time():.1f} CPU s in all")


def main() -> None:
    """Write the CT, and measure in a fresh process."""
    if len(sys.argv) > 1:
        measure_ct(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ct.nii.gz"
        write_ct(path)
        subprocess.run([sys.executable, __file__, str(path)], check=True)


if __name__ == "__main__":
    main()
