"""Fixtures that every test may ask for, and how tests are shared out."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Tests run side by side: each takes one core. Set before any test imports torch.
os.environ["OMP_NUM_THREADS"] = "1"

# The same examples at every run; HYPOTHESIS_PROFILE=explore looks for new ones. No claim depends
# on the clock: the first text drawn on a new machine waits for tables that are then kept.
UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, **UNTIMED)
settings.register_profile("explore", derandomize=False, **UNTIMED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

CHECKOUT = Path(__file__).parents[1]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """Give each worker one half and let it take over from the other, where -n alone is said.

    So the tests of a file stay together, and the study that they share is made once.
    """
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def pytest_collection_finish() -> None:
    """Look no more for waste among what was imported, which stays to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_kernels() -> Iterator[None]:
    """End with the test what a step asked torch for, which Captum's own pooling cannot bear."""
    yield
    if torch := sys.modules.get("torch"):
        torch.use_deterministic_algorithms(mode=False)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The checkout that is tested."""
    return CHECKOUT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the checkout; a newcomer has none."""
    folder = CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real images (../shared/data) is not here")
    return folder


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a whole tiny run; made once for all workers, and only read."""
    from filelock import FileLock
    from pipeline import TINY, run_all, write_config

    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder = shared / "tiny-study"
    with FileLock(f"{folder}.lock"):
        if not (folder / "results" / "audit" / "record.json").is_file():
            run_all(write_config(folder, TINY))
    return folder / "results"
