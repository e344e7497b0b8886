"""Any bytes end in a verdict, and what is written of them is de-identified."""

import io

import numpy as np
import pydicom
import pytest
from canaries import Marks, build_marked_enhanced, build_marked_slice, find_survivors, read_outputs
from dicoms import Plan, make_volume

from medvision.io.deidentify import Pseudonymiser
from medvision.io.export import export_folder
from medvision.io.profile.actions import Options
from medvision.io.reasons import NON_IMAGE, REFUSED
from medvision.io.tables import read_table

NAMES = Pseudonymiser(bytes(range(16)))
OPTIONS = Options("shift", "remove", "remove")
N_MUTANTS = 60
PLAN = Plan(
    make_volume((5, 4, 2)),
    subject="ZQKANARY",
    study="1.2.999.7777.1",
    series="1.2.999.7777.800000",
)
BUILDERS = {
    "classic": lambda: build_marked_slice(PLAN, 0, marks=Marks()),
    "enhanced": lambda: build_marked_enhanced(PLAN, marks=Marks()),
}


def build(kind):
    """The bytes of a marked object."""
    stream = io.BytesIO()
    BUILDERS[kind]().save_as(stream)
    return stream.getvalue()


def mutate(content, rng):
    """Change, drop, repeat or cut bytes."""
    mutant = bytearray(content)
    for place in rng.integers(0, len(mutant), rng.integers(1, 20)):
        mutant[place] = rng.integers(256)
    start, stop = sorted(rng.integers(0, len(mutant), 2))
    match rng.integers(4):
        case 0:
            del mutant[start : min(stop, start + 50)]
        case 1:
            mutant[start:start] = mutant[start : min(stop, start + 50)]
        case 2:
            del mutant[stop:]
    return bytes(mutant)


@pytest.mark.parametrize("kind", BUILDERS)
def test_mutated_objects_end_in_verdicts_without_marks(tmp_path, kind):
    content = build(kind)
    rng = np.random.default_rng(1)
    (tmp_path / "in").mkdir()
    for number in range(N_MUTANTS):
        # A series of its own, so that no mutant is another's conflicting twin.
        own = content.replace(PLAN.series.encode(), f"1.2.999.7777.{800_001 + number}".encode())
        (tmp_path / "in" / f"{number}").write_bytes(mutate(own, rng))
    summary = export_folder(
        tmp_path / "in", tmp_path / "out", names=NAMES, options=OPTIONS, burned_in="flag"
    )
    assert sum(summary.verdicts.values()) == N_MUTANTS
    assert summary.verdicts["written"] > 10
    codes = {row["reason"] for row in read_table(tmp_path / "out" / "copies.tsv")}
    assert codes <= {"", *REFUSED, *NON_IMAGE}
    assert find_survivors(read_outputs(tmp_path / "out")) == {}


def test_copy_that_is_copied_again_keeps_its_pixels_and_its_statement(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(build("classic"))
    for source, target in (("in", "one"), ("one", "two")):
        export_folder(
            tmp_path / source, tmp_path / target, names=NAMES, options=OPTIONS, burned_in="flag"
        )
    one, two = (pydicom.dcmread(next((tmp_path / name).rglob("*.dcm"))) for name in ("one", "two"))
    assert one.PixelData == two.PixelData
    assert one.PatientID != two.PatientID
    assert one.DeidentificationMethodCodeSequence == two.DeidentificationMethodCodeSequence
