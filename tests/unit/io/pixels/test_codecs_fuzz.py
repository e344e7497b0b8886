"""Damaged files of every encoding end in values or a verdict, within bounded memory."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from encoded import attempt, describe, read_grey
from pydicom.data import get_testdata_file

from medvision.io.reasons import FLAGS, REFUSED

FILES = (
    "693_J2KI.dcm",
    "JPGExtended.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_dcmtk_+eb+cy+n1.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_palette.dcm",
    "image_dfl.dcm",
)
MEMORY = 4 << 30
ROUNDS = 300


PIXELS = b"\xe0\x7f\x10\x00"


def choose_stretch(data, rng):
    """The whole file, its header, its pixels, or their first bytes: where most decisions lie."""
    pixels = max(132, data.rfind(PIXELS) + 12)
    ends = {
        0: (132, len(data)),
        1: (132, pixels),
        2: (pixels, len(data)),
        3: (pixels, pixels + 700),
    }
    start, end = ends[int(rng.integers(4))]
    return start, max(start + 1, min(end, len(data)))


def mutate(data, rng):
    """Change bytes, or cut, double or overwrite a stretch."""
    damaged = bytearray(data)
    start, end = choose_stretch(data, rng)
    place = int(rng.integers(start, end))
    kind = rng.integers(5)
    if kind < 2:
        for _ in range(int(rng.integers(1, 8))):
            damaged[int(rng.integers(start, end))] = int(rng.integers(256))
    elif kind == 2:
        del damaged[place : place + int(rng.integers(1, 200))]
    elif kind == 3:
        damaged[place:place] = damaged[place : place + int(rng.integers(1, 200))]
    else:
        length = min(4, len(damaged) - place)
        damaged[place : place + length] = b"\xff" * length
    return bytes(damaged)


def run_rounds(name, seed):
    """Decode mutants of one file; return how many gave values and how many each verdict."""
    path = get_testdata_file(name)
    data = Path(path).read_bytes()
    instance = describe(pydicom.dcmread(path))
    rng = np.random.default_rng(seed)
    counts = {"values": 0}
    for _ in range(ROUNDS):
        mutant = mutate(data, rng)
        decoded, reason = attempt(lambda mutant=mutant: read_grey(mutant, instance))
        if decoded is None:
            assert reason in REFUSED, reason
            counts[reason] = counts.get(reason, 0) + 1
            continue
        assert set(decoded.flags) <= FLAGS.keys()
        assert {p.shape for p in decoded.planes} == {(instance.rows, instance.columns)}
        counts["values"] += 1
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_mutants_end_in_values_or_verdicts(name):
    folder = Path(__file__).parents[3]
    result = subprocess.run(
        [sys.executable, __file__, name],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert sum(json.loads(result.stdout).values()) == ROUNDS
    assert result.stderr == ""


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.stdout.write(json.dumps(run_rounds(sys.argv[1], seed=len(sys.argv[1]))))
