"""Damaged archives: any bytes end in a verdict, none in a crash, a hang or too much memory."""

import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from dicoms import Plan, build_enhanced, make_volume, write_series
from ingesting import write_key

from medvision.io.reasons import NON_IMAGE, REFUSED
from medvision.io.tables import read_table

N_FILES = 250
LARGEST_SEED = 200_000
MEMORY_BYTES = 6 << 30
TIMEOUT_S = 400
HEADER_BYTES = 3000


def list_seeds(folder: Path) -> list[bytes]:
    """Whole files to be damaged: shipped ones of every kind, a series, an enhanced object."""
    shipped = Path(pydicom.data.data_manager.DATA_ROOT) / "test_files"
    paths = sorted(path for path in shipped.rglob("*") if path.is_file())
    plan = Plan(make_volume((8, 6, 6)))
    paths += write_series(folder, plan)
    enhanced = build_enhanced(plan, order=[3, 1, 2, 0, 5, 4])
    enhanced.save_as(folder / "enhanced", enforce_file_format=True)
    paths.append(folder / "enhanced")
    return [path.read_bytes() for path in paths if path.stat().st_size <= LARGEST_SEED]


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a few bytes, mostly of the header; cut, double or insert."""
    data = bytearray(content)
    if not data:
        return bytes(rng.integers(0, 256, 40, dtype=np.uint8))
    end = min(len(data), HEADER_BYTES) if rng.random() < 0.8 else len(data)
    for _ in range(int(rng.integers(0, 6))):
        place = int(rng.integers(end))
        data[place] = int(rng.choice([0, 255, int(rng.integers(256))]))
    kind = rng.random()
    place = int(rng.integers(len(data)))
    if kind < 0.15:
        del data[place:]
    elif kind < 0.25:
        data[place:place] = data[: int(rng.integers(1, 200))]
    elif kind < 0.3:
        del data[place : place + int(rng.integers(1, 50))]
    return bytes(data)


def limit_memory() -> None:
    """Bound the address space of the process about to be started, and of its children."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_every_damaged_file_gets_one_verdict(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    seeds = list_seeds(tmp_path / "seeds")
    source = tmp_path / "in"
    source.mkdir()
    for n in range(N_FILES):
        (source / f"{n:04d}").write_bytes(damage(seeds[int(rng.integers(len(seeds)))], rng))
    settings = {
        "data.kind": "dicom",
        "data.path": source,
        "data.labels": tmp_path / "labels.csv",
        "output.path": tmp_path / "out",
        "ingest.key": write_key(tmp_path),
        "ingest.burned_in": "flag",
        "ingest.volume": ("first", "4d")[seed % 2],
        "ingest.gaps": ("refuse", "resample")[seed // 2 % 2],
        "ingest.workers": 2,
    }
    start = "from medvision.cli.main import main; main()"
    command = [sys.executable, "-c", start, "ingest", "--quiet"]
    command += [f"--set={name}={value}" for name, value in settings.items()]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        preexec_fn=limit_memory,
        check=False,
    )
    assert done.returncode in (0, 3, 13), done.stderr[-2000:]
    rows = read_table(tmp_path / "out" / "ingest" / "sources.tsv")
    files = Counter(row["file"] for row in rows)
    assert set(files.values()) == {1}
    assert len(files) >= N_FILES
    for row in rows:
        codes = {"refused": REFUSED, "non-image": NON_IMAGE}.get(row["verdict"])
        assert codes is None or row["reason"] in codes
    # A worker that died would have cost a file: none did.
    assert "survive" not in (tmp_path / "out" / "ingest" / "rejects.tsv").read_text()
