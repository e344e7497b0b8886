"""All that is needed to compute rows, and one image computed by it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatGrid, FloatVolume, Volume
from medvision.errors import GeometryError
from medvision.preprocess.early import drop_steps
from medvision.preprocess.encoding import WantedDtype
from medvision.preprocess.execute import build_executor
from medvision.preprocess.fused.planes import Planes
from medvision.preprocess.plan import Plan
from medvision.preprocess.rejection import UnusableImageError
from medvision.preprocess.voi import Display, fill_plan, find_mirror, has_voi_step

Load = Callable[[str], tuple[FloatGrid | FloatVolume, Affine]]
"""Image id to (array (I, J, K) or (C, I, J, K) float32, affine), the channels of all images alike.

It raises GeometryError for an impossible affine, and goes to worker processes by pickle.
"""


@dataclass(frozen=True)
class Recipe:
    """All that a process needs to compute rows; it goes to worker processes by pickle.

    Args:
        load: Reads one source image.
        plan: What every image goes through.
        dtype: auto, float32, float16 or int16.
        max_rounding: The largest rounding error allowed, in scaled intensity.
        keep_after: Name of the step after which images are kept, or None.
        journal: Folder of the unfinished rows.
        kept: Folder of the kept images.
        open_planes: Opens an image that can be read plane by plane; None where it cannot.
        find_display: What the header of an image asks for, where the plan goes by that.
        passed_by: Name of a step to the images that it passes by.
        part: The shard that rows are computed for, and how many there are; None computes for all.
    """

    load: Load
    plan: Plan
    dtype: WantedDtype
    max_rounding: float
    keep_after: str | None
    journal: Path
    kept: Path
    open_planes: Callable[[str], Planes | None] | None = None
    find_display: Callable[[str], Display | None] | None = None
    passed_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    part: tuple[int, int] | None = None

    def passes_by(self, image_id: str) -> set[str]:
        """Return the names of the steps that pass an image by."""
        return {name for name, images in self.passed_by.items() if image_id in images}


def run_one(image_id: str, recipe: Recipe) -> tuple[Volume, Volume, Plan]:
    """Send one image through its plan, and store nothing.

    Args:
        image_id: Which one.
        recipe: How.

    Returns:
        (source, result, plan): as read, (C, I, J, K); as preprocessed; the plan of this image.

    Raises:
        UnusableImageError: Nothing can be made of it.
    """
    display = find_display(image_id, recipe)
    image, affine = load_image(image_id, recipe)
    plan = fill_plan(recipe.plan, display, mirror=find_mirror(image))
    plan = drop_steps(plan, recipe.passes_by(image_id))
    source = image if image.ndim == 4 else image[np.newaxis]
    return Volume(source, affine), build_executor(plan)(image, affine), plan


def load_image(image_id: str, recipe: Recipe) -> tuple[FloatGrid | FloatVolume, Affine]:
    """Read an image.

    Raises:
        UnusableImageError: It has no place in space.
    """
    try:
        return recipe.load(image_id)
    except GeometryError as error:
        raise UnusableImageError("bad-geometry", error.message) from error


def find_display(image_id: str, recipe: Recipe) -> Display | None:
    """Return what an image's header asks for, where the plan goes by that."""
    if recipe.find_display is None or not has_voi_step(recipe.plan):
        return None
    return recipe.find_display(image_id)
