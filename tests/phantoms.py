"""A small phantom cohort, generated once per test process, that tests share and never change."""

import functools
import tempfile
from pathlib import Path

from medvision.phantom.cohort import CohortTruth, generate_cohort

SMALL_SIZE = (32, 32, 12)


@functools.cache
def small_cohort(*, faults: bool = True) -> CohortTruth:
    """Generate 12 subjects of about 32 x 32 x 12 voxels in a temporary folder, once.

    Tests only read it; one that changes files copies the folder first.
    """
    destination = Path(tempfile.mkdtemp(prefix="medvision-phantom-"))
    return generate_small_cohort(destination, faults=faults)


def generate_small_cohort(destination: Path, *, faults: bool) -> CohortTruth:
    """Generate the small cohort anew."""
    return generate_cohort(
        destination,
        seed=7,
        subjects=12,
        prevalence=0.5,
        size=SMALL_SIZE,
        nifti_fraction=0.25,
        faults=faults,
    )
