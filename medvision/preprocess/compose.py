"""A plan as a MONAI Compose: the meaning of every step."""

from collections.abc import Callable
from typing import cast

import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Orientation, Spacing

from medvision.domain.volume import Volume
from medvision.preprocess.early import EARLY
from medvision.preprocess.intensity import (
    build_percentile,
    build_voi,
    build_window,
    build_zscore,
)
from medvision.preprocess.plan import VOI_STEP, Parameters, Plan
from medvision.preprocess.sizing import build_crop, build_pad, build_resize

Transform = Callable[[torch.Tensor], torch.Tensor]
"""MetaTensor (C, I, J, K) float32 with its affine to the same; a 2D image has K = 1."""

_RAS_LABELS = (("L", "R"), ("P", "A"), ("I", "S"))


def compose_plan(plan: Plan) -> Compose:
    """Return MONAI's Compose from MetaTensor (C, I, J, K) to (C, *size); its affine stays true."""
    transforms = [_BUILDERS[step.name](step.parameters) for step in plan.steps]
    return Compose(transforms, log_stats=False)


def _build_orientation(parameters: Parameters) -> Transform:
    """Flip and permute the axes."""
    transform: Transform = Orientation(parameters["axcodes"], labels=_RAS_LABELS)
    return transform


def _build_spacing(parameters: Parameters) -> Transform:
    """Resample along the image's own axes."""
    transform: Transform = Spacing(
        parameters["pixdim"],
        mode=parameters["mode"],
        padding_mode=parameters["padding_mode"],
        dtype=torch.float64,
    )
    return transform


def _build_early(name: str) -> Callable[[Parameters], Transform]:
    """Return the builder of a step on the source's own grid."""

    def build(parameters: Parameters) -> Transform:
        def apply(image: torch.Tensor) -> torch.Tensor:
            held = cast(MetaTensor, image)
            array = held.detach().as_subclass(torch.Tensor).numpy()
            volume = EARLY[name](Volume(array, held.affine.numpy()), parameters)
            moved: torch.Tensor = MetaTensor(
                torch.from_numpy(volume.array), affine=torch.from_numpy(volume.affine)
            )
            return moved

        return apply

    return build


_BUILDERS: dict[str, Callable[[Parameters], Transform]] = {
    **{name: _build_early(name) for name in EARLY},
    "Orientation": _build_orientation,
    "Spacing": _build_spacing,
    "ScaleIntensityRange": build_window,
    "ScaleIntensityRangePercentiles": build_percentile,
    "NormalizeIntensity": build_zscore,
    VOI_STEP: build_voi,
    "CropForeground": build_crop,
    "ResizeWithPadOrCrop": build_pad,
    "Resize": build_resize,
}
