"""The planted faults: what goes wrong in real archives, each with the verdict it must get."""

from collections.abc import Callable

from medvision.errors import ConfigError
from medvision.phantom.fault import Planted, Planting
from medvision.phantom.fault_files import (
    plant_localizer,
    plant_report,
    plant_text_file,
    plant_truncated_file,
)
from medvision.phantom.fault_series import (
    plant_duplicate_instances,
    plant_missing_slice,
    plant_same_image,
    plant_two_studies,
)
from medvision.phantom.scan import draw_scan
from medvision.phantom.streams import build_generator
from medvision.phantom.subject import Subject

FAULTS: dict[str, Callable[[Planting], Planted]] = {
    "missing-slice": plant_missing_slice,
    "duplicate-instances": plant_duplicate_instances,
    "localizer": plant_localizer,
    "truncated-file": plant_truncated_file,
    "non-image-object": plant_report,
    "text-file": plant_text_file,
    "same-image-two-subjects": plant_same_image,
    "two-studies": plant_two_studies,
}
"""Kind of fault to the function that plants it."""


def plant_faults(
    seed: int, subjects: tuple[Subject, ...], *, size: tuple[int, int, int]
) -> tuple[Planted, ...]:
    """Plant every fault, on DICOM subjects drawn without regard to their labels.

    Faults add files, studies or subjects; they never take anything from the base cohort.

    Args:
        seed: Seed of the cohort.
        subjects: The base cohort.
        size: Typical number of voxels (i, j, k).

    Returns:
        (fault, delivery) of each kind in the order of FAULTS.

    Raises:
        ConfigError: No subject is handed over as DICOM.
    """
    hosts = [subject for subject in subjects if subject.source == "dicom"]
    if not hosts:
        raise ConfigError(
            "phantom.nifti_fraction: must leave a DICOM subject to plant faults on, got none.",
            "lower phantom.nifti_fraction, or set phantom.faults to false.",
        )
    order = build_generator(seed, "faults").permutation(len(hosts))
    planted = []
    for position, plant in enumerate(FAULTS.values()):
        host = hosts[int(order[position % len(hosts)])]
        scan = draw_scan(seed, host, visit=0, size=size)
        planted.append(plant(Planting(seed, size, scan, len(subjects) + position)))
    return tuple(planted)
