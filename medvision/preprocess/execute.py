"""Who carries out a plan: the fused pass where it knows every step, else MONAI itself."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatGrid, FloatVolume, Volume
from medvision.preprocess.early import cut_early, run_early
from medvision.preprocess.fused.planes import ArrayPlanes, Planes
from medvision.preprocess.fused.run import knows_image, knows_plan, run_plan
from medvision.preprocess.plan import Plan

_ByMonai = Callable[[FloatVolume, Affine], Volume]


@dataclass(frozen=True)
class Executor:
    """A plan that can be carried out.

    Args:
        plan: The plan.
        kind: fused (a sheared volume still goes through MONAI, alone) or monai.
    """

    plan: Plan
    kind: Literal["fused", "monai"]

    def __call__(self, image: FloatGrid | FloatVolume, affine: Affine) -> Volume:
        """Send one image in memory through the plan.

        Args:
            image: (I, J, K) or (C, I, J, K) float32, K = 1 for a 2D image; not changed.
            affine: (4, 4), index to RAS+ mm.

        Returns:
            Array (C, I', J', K') float32 with the affine of its own grid.

        Raises:
            UnusableImageError: The image is not finite, constant, of impossible geometry, or
                nothing is left of it.
        """
        channels = image if image.ndim == 4 else image[np.newaxis]
        return self.run(ArrayPlanes(channels, affine))

    def run(self, source: Planes) -> Volume:
        """Send an image through the plan while its planes come.

        Args:
            source: Read from its first plane to its last, perhaps twice.

        Returns:
            As a call.

        Raises:
            UnusableImageError: As a call.
        """
        early, rest = cut_early(self.plan)
        if early:
            volume = run_early(early, Volume(_gather(source), source.affine))
            source = ArrayPlanes(volume.array, volume.affine)
        if self.kind == "fused" and knows_image(rest, source.shape, source.affine):
            return run_plan(rest, source)
        return _compose(rest)(_gather(source), source.affine)


def build_executor(plan: Plan) -> Executor:
    """Choose who carries out a plan; neither torch nor MONAI is imported before it is needed.

    Steps on the source, plug-ins among them, run by themselves before either.
    """
    return Executor(plan, "fused" if knows_plan(cut_early(plan)[1]) else "monai")


def _gather(source: Planes) -> FloatVolume:
    """Return an image (C, I, J, K) float32 whole."""
    if isinstance(source, ArrayPlanes):
        return source.array
    planes = [np.asarray(plane, dtype=np.float32) for plane in source.read()]
    return np.stack(planes, axis=-1).swapaxes(1, 2)


def _compose(plan: Plan) -> _ByMonai:
    """Return the plan as MONAI runs it."""
    return _compose_once(_Key(plan))


@dataclass(frozen=True)
class _Key:
    """A plan as the key of a cache: its parameters are no hashable types."""

    plan: Plan

    def __hash__(self) -> int:
        return hash(self.plan.digest)


@lru_cache(maxsize=8)
def _compose_once(key: _Key) -> _ByMonai:
    """Build the Compose on its first use."""
    from medvision.preprocess.apply import transform_image
    from medvision.preprocess.compose import compose_plan

    transform = compose_plan(key.plan)
    return lambda image, affine: transform_image(image, affine, transform=transform)
