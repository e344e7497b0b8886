"""Whether a cohort is of 2D images or of volumes, told by the shapes or by the user."""

from collections.abc import Collection, Mapping
from typing import Literal

from medvision.domain.volume import GridShape, format_shape
from medvision.errors import DataError
from medvision.preprocess.rejection import Rejection


def choose_dimensions(
    shapes: Mapping[str, GridShape],
    *,
    dimensions: Literal["auto", 2, 3],
    uncounted: Collection[str] = (),
) -> tuple[int, list[Rejection]]:
    """Decide between 2D and 3D for the whole cohort.

    An image with one voxel along k is 2D, any other is a volume. `auto` follows the larger
    group (volumes when both are equal) and rejects the other. 3 takes one-voxel-thick volumes
    too. 2 never takes a slice out of a volume: which slice would be a decision of the user.

    Args:
        shapes: Image to its source shape; not empty.
        dimensions: `data.dimensions`.
        uncounted: Images that have no say in `auto`, such as those of an external cohort.

    Returns:
        (spatial_dims, rejections): 2 or 3; one rejection per image of the smaller group.

    Raises:
        DataError: 2 was asked for and the cohort holds volumes.
    """
    flat = sorted(image_id for image_id, shape in shapes.items() if shape[2] == 1)
    deep = sorted(image_id for image_id, shape in shapes.items() if shape[2] > 1)
    if dimensions == 2 and deep:
        raise DataError(
            f"data.dimensions: images must have one slice each for 2, got {len(deep)} volumes "
            f"such as {deep[0]} ({format_shape(shapes[deep[0]])}).",
            "set data.dimensions to 3 or auto, or hand in the slices that should be classified.",
        )
    if dimensions != "auto":
        return dimensions, []
    n_flat, n_deep = (len(set(side) - set(uncounted)) for side in (flat, deep))
    if n_flat > n_deep:
        return 2, [_reject(image_id, shapes[image_id], chosen=2) for image_id in deep]
    return 3, [_reject(image_id, shapes[image_id], chosen=3) for image_id in flat]


def _reject(image_id: str, shape: GridShape, *, chosen: int) -> Rejection:
    """Leave out an image of the smaller group."""
    detail = f"shape {format_shape(shape)} in a cohort of mostly {chosen}D images"
    return Rejection(image_id, "other-dimensions", detail)
