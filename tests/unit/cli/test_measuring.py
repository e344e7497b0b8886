"""One image measured: the same from a pack, and a reason where it cannot be trusted."""

from pathlib import Path

import numpy as np
from packing import pack_folder

from medvision.cli._measuring import Item, measure_file
from medvision.io.nifti.write import write_nifti


def test_a_packed_image_is_measured_as_a_file_and_a_damaged_one_has_its_reason(
    tmp_path: Path,
) -> None:
    values = np.random.default_rng(0).normal(size=(16, 16, 8)).astype(np.float32)
    path = tmp_path / "image.nii.gz"
    digest = write_nifti(path, values, affine=np.eye(4), is_placed=True)
    item = Item("image", path, digest, is_hu=False, is_placed=True, is_inverted=False)
    as_file = measure_file(item)
    pack = pack_folder(tmp_path)
    assert measure_file(item) == as_file
    assert as_file.values
    content = pack.read_bytes()
    for place, expected in ((20, "other header"), (600, "other content")):
        damaged = bytearray(content)
        damaged[place] ^= 1
        pack.write_bytes(damaged)
        reason = measure_file(item).reason
        assert reason == "bytes are not those that ingestion wrote", expected
    pack.unlink()
    assert measure_file(item).reason == "no such file"
