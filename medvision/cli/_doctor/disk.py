"""Whether the disk that results go to has room: what a run writes, estimated from its settings."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from medvision.cli._doctor.findings import Finding
from medvision.config.model import Study
from medvision.runtime.progress import say_size

_WEIGHT_BYTES = {
    "small": 4e6,
    "densenet121": 46e6,
    "resnet18": 133e6,
    "resnet50": 186e6,
    "efficientnet_b0": 20e6,
    "squeezenet1_1": 8e6,
    "mobilenet_v2": 10e6,
}
"""Size of a network's 3D weights; a 2D network is smaller."""

_CHECKPOINTS = 4
"""Files of a network's size per training: weights, the best so far, and two optimiser moments."""

_VOXEL_BYTES = {"auto": (2, 4), "float16": (2, 2), "int16": (2, 2), "float32": (4, 4)}
"""Type of the store to the least and the most bytes of a voxel."""

_COPIES = 2
"""New rows lie in the journal too until their store is whole."""

_KEPT_BYTES = 4
_SOURCE_BYTES = 2
_GZIP_GROWTH = 2


def check_disk(study: Study, files: Sequence[Path], *, folder: Path, n_images: int) -> Finding:
    """Compare free space with what the run will write.

    Args:
        study: The configuration.
        files: The user's images; none for a cohort that is generated or pulled.
        folder: An existing folder of the disk.
        n_images: Images, about.
    """
    free = shutil.disk_usage(folder).free
    least, most = estimate_bytes(study, files, n_images=n_images)
    needed = say_size(least)
    needed = needed if say_size(most) == needed else f"{needed} to {say_size(most)}"
    found = f"{say_size(free)} free, about {needed} needed"
    if free < least:
        return Finding("Disk", "fail", found, "free space, or choose another output.path.")
    if free < max(2 * least, most):
        return Finding("Disk", "warn", found, "this is an estimate; free some space.")
    return Finding("Disk", "ok", found)


def estimate_bytes(study: Study, files: Sequence[Path], *, n_images: int) -> tuple[float, float]:
    """Add up what is written: images as NIfTI, arrays, images kept half-way, models, maps.

    Args:
        study: The configuration.
        files: The user's images.
        n_images: Images, about.

    Returns:
        (least, most): they differ by the type that `preprocess.dtype: auto` will take, and by the
        grid of kept images: from that of the arrays to the source's own.
    """
    sizes = {path: path.stat().st_size for path in files if path.is_file()}
    n_voxels = _count_voxels(study)
    trainings = len(study.arms) * study.cohort.n_fits * len(study.train.seeds)
    models = trainings * _CHECKPOINTS * _WEIGHT_BYTES[study.model.backbone]
    maps = 4 * study.explain.images * len(study.explain.methods) * 4.0 * n_voxels
    both = sum(sizes.values()) + models + maps
    kept = _estimate_kept(study, sizes, n_images=n_images)
    least, most = (
        both + held + _COPIES * n_bytes * float(n_images * n_voxels)
        for held, n_bytes in zip(kept, _VOXEL_BYTES[study.preprocess.dtype], strict=True)
    )
    return least, most


def _count_voxels(study: Study) -> int:
    """Return the voxels of an array."""
    i, j, k = study.preprocess.size
    return i * j * (1 if study.data.dimensions == 2 else k)


def _estimate_kept(study: Study, sizes: dict[Path, int], *, n_images: int) -> tuple[float, float]:
    """Return the least and the most that images kept half-way take, as float32."""
    if study.preprocess.keep_after is None:
        return 0.0, 0.0
    i, j, k = study.phantom.size
    source = n_images * i * j * k if study.data.kind == "phantom" else 0
    for path, size in sizes.items():
        source += size * (_GZIP_GROWTH if path.suffix == ".gz" else 1) // _SOURCE_BYTES
    least = _KEPT_BYTES * float(n_images * _count_voxels(study))
    return least, max(least, _KEPT_BYTES * float(source))
