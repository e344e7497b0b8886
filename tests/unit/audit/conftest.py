"""A sealed, signed bundle, made once; each test gets its own copy."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from studies import seal_study, write_study

from medvision.audit.findings import Verification
from medvision.audit.signing import write_key_pair
from medvision.audit.verify import verify_bundle
from medvision.cli._recompute.explained import check_explained
from medvision.cli._recompute.geometry import find_geometry_faults
from medvision.cli._recompute.statistics import find_derived_faults
from medvision.io.tables import read_table

CHECKOUT = Path(__file__).parents[3]
Verify = Callable[..., Verification]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    private = tmp_path_factory.mktemp("keys") / "auditor.pem"
    return private, write_key_pair(private)


@pytest.fixture(scope="session")
def unsealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("unsealed") / "results"
    write_study(root)
    return root


@pytest.fixture
def study(unsealed: Path, tmp_path: Path) -> Path:
    """An output folder that is complete but for the audit."""
    return Path(shutil.copytree(unsealed, tmp_path / "results"))


@pytest.fixture(scope="session")
def sealed(keys: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sealed") / "results"
    write_study(root, f"audit.signing_key={keys[0]}")
    seal_study(root, f"audit.signing_key={keys[0]}", workflow=CHECKOUT / "workflow")
    return root


@pytest.fixture
def bundle(sealed: Path, tmp_path: Path) -> Path:
    """A signed bundle that may be tampered with."""
    return Path(shutil.copytree(sealed / "audit" / "bundle", tmp_path / "bundle"))


@pytest.fixture
def verify() -> Verify:
    """Verify as the command does."""

    def run(
        bundle: Path,
        *,
        public_key: Path | None = None,
        study: Path | None = None,
        level: int = 2,
    ) -> Verification:
        result = verify_bundle(
            bundle,
            level=level,
            public_key=public_key,
            study=study,
            read_table=read_table,
            recompute=find_derived_faults,
            compare_grids=find_geometry_faults,
        )
        more = check_explained(bundle, level=level)
        return replace(result, checks=(*result.checks, *more))

    return run
