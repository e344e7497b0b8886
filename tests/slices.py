"""Slices made of header facts alone: no files; pixels are what the path says."""

from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np

from medvision.domain.study import Frame, Instance, Series, Slice, Value
from medvision.io.stacking.volumes import Arrangement, arrange

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
US = "1.2.840.10008.5.1.4.1.1.3.1"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)

_NUMBERS = count()


def make_frame(
    position: Sequence[float] | None = (0, 0, 0),
    *,
    index: int = 0,
    orientation: Sequence[float] | None = AXIAL,
    spacing: tuple[float, float] | None = (0.7, 0.5),
    variant: Mapping[str, Value] | None = None,
) -> Frame:
    """One plane; `variant` names what tells it apart."""
    return Frame(
        index=index,
        position_mm=None if position is None else tuple(map(float, position)),
        orientation=None if orientation is None else tuple(map(float, orientation)),
        spacing_mm=spacing,
        variant=tuple(sorted((variant or {}).items())),
    )


def make_instance(frames: Sequence[Frame], *, uid: str = "", **values) -> Instance:
    """One object; its UID is new unless given, and so is its path, which stands for pixels."""
    uid = uid or f"uid-{next(_NUMBERS):06d}"
    facts = {
        "file": f"file-{uid}",
        "path": f"pixels-{uid}",
        "subject": "s",
        "study_uid": "1",
        "series_uid": "2",
        "sop_uid": uid,
        "sop_class": MR,
        "modality": "MR",
        "image_type": ("ORIGINAL", "PRIMARY"),
        "frame_of_reference": "f",
        "rows": 4,
        "columns": 4,
        "samples": 1,
        "photometric": "MONOCHROME2",
        "thickness_mm": None,
        "units": "none",
        "manufacturer": "",
    }
    return Instance(**{**facts, **values}, frames=tuple(frames))


def make_slice(
    position=(0, 0, 0), variant=None, *, orientation=AXIAL, spacing=(0.7, 0.5), **values
) -> Slice:
    """A slice that is the only frame of its instance."""
    frame = make_frame(position, orientation=orientation, spacing=spacing, variant=variant)
    return Slice(make_instance([frame], **values), frame)


def at(height: float, **variant: Value) -> Slice:
    """A slice at a height, told apart by values: `at(5, b_value=1000)`."""
    return make_slice((0, 0, height), {k.replace("_", "-"): v for k, v in variant.items()})


def gather(slices: Sequence[Slice]) -> Series:
    """The series of slices."""
    instances = {item.instance.file: item.instance for item in slices}
    return Series("s", "1", "2", tuple(instances.values()))


def unroll(instances: Sequence[Instance]) -> list[Slice]:
    """All frames of instances."""
    return [Slice(instance, frame) for instance in instances for frame in instance.frames]


def digest(item: Slice) -> str:
    """Return the digest of a slice's pixels."""
    return f"{item.instance.path}/{item.frame.index}"


def lay(
    slices: Sequence[Slice], *, tolerance: float = 0.1, gaps: str = "refuse", tilt: str = "keep"
) -> Arrangement:
    """Arrange slices under default settings."""
    return arrange(slices, digest=digest, gap_tolerance=tolerance, gaps=gaps, tilt=tilt)


def heights(slices: Sequence[Slice], arrangement: Arrangement) -> list[list[float]]:
    """Return the height of each slice of each volume."""
    return [
        [slices[index].frame.position_mm[2] for index in volume] for volume in arrangement.volumes
    ]


def values_of(slices: Sequence[Slice], arrangement: Arrangement, name: str) -> list[list[Value]]:
    """Return the value of a name in each slice of each volume."""
    return [
        [dict(slices[index].frame.variant)[name] for index in volume]
        for volume in arrangement.volumes
    ]


def shuffle(slices: Sequence[Slice], *, seed: int = 0) -> list[Slice]:
    """The same slices in another order."""
    order = np.random.default_rng(seed).permutation(len(slices))
    return [slices[k] for k in order]
