"""Fixtures that every test may ask for."""

from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


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


@pytest.fixture(autouse=True, scope="session")
def one_thread_each() -> None:
    """Tests run side by side: each takes one core, so that sums are the same everywhere."""
    import os

    os.environ["OMP_NUM_THREADS"] = "1"
