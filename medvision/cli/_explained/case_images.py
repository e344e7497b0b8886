"""An image as explanations see it: array, geometry, and its mask where there is one."""

from typing import TYPE_CHECKING

from medvision.cli._run import Step
from medvision.runtime.arrays import ArrayStore

if TYPE_CHECKING:
    from medvision.explain.case import CaseImage


def load_case_image(
    step: Step, store: ArrayStore, image_id: str, *, masked: frozenset[str]
) -> "CaseImage":
    """Return an image's array, its geometry, and its mask where there is one.

    Args:
        step: The running step; a mask that is read is registered with it.
        store: The preprocessed images.
        image_id: Whose.
        masked: Images that have a mask.

    Raises:
        DataError: The store does not hold the image, or its mask cannot be read.
    """
    import numpy as np

    from medvision.explain.case import CaseImage
    from medvision.io.nifti.read import read_nifti

    affine, shape = store.source_geometry(image_id)
    mask = None
    if image_id in masked:
        mask = np.asarray(read_nifti(step.read(step.layout.mask(image_id))).array) > 0
    return CaseImage(
        array=np.array(store.array[store.row(image_id)]),
        tensor_affine=store.tensor_affine(image_id),
        source_affine=affine,
        source_shape=shape,
        mask=mask,
    )
