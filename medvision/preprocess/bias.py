"""Correction of the slow change of brightness that the coils of an MR scanner leave (N4)."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

import numpy as np

from medvision.domain.geometry import compute_spacing_mm
from medvision.domain.volume import FloatVolume, Volume
from medvision.errors import ConfigError
from medvision.preprocess.plan import BIAS_STEP, Parameters, PlanStep
from medvision.preprocess.rejection import UnusableImageError

if TYPE_CHECKING:
    import SimpleITK

_SHRINK = 4
_ITERATIONS = (50, 50, 50, 50)
_CONTROL_POINTS = 4
_CONVERGENCE = 0.001
_BINS = 200
_FEWEST = 8


def check_installed() -> None:
    """Refuse to go on without the library that computes N4.

    Raises:
        ConfigError: SimpleITK is not installed.
    """
    if importlib.util.find_spec("SimpleITK") is None:
        raise ConfigError(
            "preprocess.bias_field: n4 must have SimpleITK, got none installed.",
            "pip install 'medvision[n4]', or set preprocess.bias_field to null.",
        )


def plan_bias() -> PlanStep:
    """Return the step with all that its result depends on.

    Raises:
        ConfigError: SimpleITK is not installed.
    """
    check_installed()
    return PlanStep(
        BIAS_STEP,
        {
            "shrink": _SHRINK,
            "iterations": list(_ITERATIONS),
            "control_points": _CONTROL_POINTS,
            "convergence": _CONVERGENCE,
            "mask": f"otsu of {_BINS} bins, above 0",
            "threads": 1,
            "library": f"SimpleITK {version('SimpleITK')}",
        },
    )


def correct_bias(volume: Volume, parameters: Parameters) -> Volume:
    """Divide an MR volume by its bias field, estimated on a coarse grid.

    One thread and no random numbers: equal volumes give equal bytes.

    Args:
        volume: (1, I, J, K) float32; not changed.
        parameters: As `plan_bias` returns them.

    Returns:
        The same grid, positive where it was positive.

    Raises:
        UnusableImageError: bias-field, where no voxel is above 0 and the threshold.

    Source:
        Tustison et al. 2010, doi:10.1109/TMI.2010.2046908; the mask by Otsu 1979,
        doi:10.1109/TSMC.1979.4310076.
    """
    with _one_thread():
        field = _fit_field(volume, parameters)
    corrected: FloatVolume = (volume.array[0] / field).astype(np.float32)
    return Volume(corrected[np.newaxis], volume.affine)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: sums depend on how many share them.

    The count of N4's own filter is not handed to those that it is made of; they take the default.
    """
    import SimpleITK as sitk  # noqa: N813 - as its own documents name it

    held = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(held)


def _fit_field(volume: Volume, parameters: Parameters) -> FloatVolume:
    """Return the field (I, J, K) that the image is to be divided by, 1 on average."""
    import SimpleITK as sitk  # noqa: N813 - as its own documents name it

    image = sitk.GetImageFromArray(volume.array[0].T)
    image.SetSpacing(compute_spacing_mm(volume.affine))
    mask = sitk.OtsuThreshold(image, 0, 1, _BINS)
    mask = sitk.And(mask, sitk.Cast(image > 0, sitk.sitkUInt8))
    if not sitk.GetArrayViewFromImage(mask).any():
        raise UnusableImageError("bias-field", "no voxel above 0 and Otsu's threshold")
    values = sitk.GetArrayFromImage(_fit_logarithm(image, mask, parameters)).T
    inside = sitk.GetArrayViewFromImage(mask).T > 0
    field: FloatVolume = np.exp(values - values[inside].mean(dtype=np.float64)).astype(np.float32)
    return field


def _fit_logarithm(
    image: "SimpleITK.Image", mask: "SimpleITK.Image", parameters: Parameters
) -> "SimpleITK.Image":
    """Return the field's logarithm on the grid of the image."""
    import SimpleITK as sitk  # noqa: N813 - as its own documents name it

    wanted = cast(int, parameters["shrink"])
    shrink = [max(1, min(wanted, length // _FEWEST)) for length in image.GetSize()]
    fit = sitk.N4BiasFieldCorrectionImageFilter()
    fit.SetMaximumNumberOfIterations(cast("list[int]", parameters["iterations"]))
    fit.SetNumberOfControlPoints([cast(int, parameters["control_points"])] * 3)
    fit.SetConvergenceThreshold(cast(float, parameters["convergence"]))
    try:
        fit.Execute(sitk.Shrink(image, shrink), sitk.Shrink(mask, shrink))
        logarithm: SimpleITK.Image = fit.GetLogBiasFieldAsImage(image)
    except RuntimeError as error:
        size = "x".join(map(str, image.GetSize()))
        raise UnusableImageError("bias-field", f"no field that fits {size} voxels") from error
    return logarithm
