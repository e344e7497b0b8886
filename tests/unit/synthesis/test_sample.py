"""Claims on drawing and keeping: same seed same bits, and a file that gives the generator back."""

import numpy as np
import pytest
import torch
from gans import train

from medvision.errors import WeightsError
from medvision.synthesis.board import render_sheet, write_sheet
from medvision.synthesis.sample import draw_image
from medvision.synthesis.weights import GeneratorMeta, load_generator, save_generator

META = GeneratorMeta(shape=(1, 9, 8), classes=("no", "yes"), latent=8, width=8, fold=3)


@pytest.fixture(scope="module")
def trained():
    return train(steps=4)


def test_same_seed_same_bits_and_others_differ(trained):
    first, again = (draw_image(trained.generator, trained.scale, label=1, seed=5) for _ in range(2))
    assert first.dtype == np.float32
    assert first.tobytes() == again.tobytes()
    for label, seed in ((0, 5), (1, 6)):
        other = draw_image(trained.generator, trained.scale, label=label, seed=seed)
        assert other.tobytes() != first.tobytes()


def test_a_kept_generator_draws_the_same_bits(trained, tmp_path):
    path = tmp_path / "generator.safetensors"
    save_generator(path, trained.generator, meta=META, scale=trained.scale, note={"a": "b"})
    generator, scale, meta = load_generator(path)
    assert meta == META
    first = draw_image(trained.generator, trained.scale, label=0, seed=1)
    assert draw_image(generator, scale, label=0, seed=1).tobytes() == first.tobytes()


def test_a_file_that_is_no_generator_is_refused(tmp_path):
    import safetensors.torch

    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="must be of a generator"):
        load_generator(path)


def test_a_sheet_shows_classes_as_rows_and_the_middle_plane_of_volumes(tmp_path):
    images = np.zeros((2, 3, 1, 64, 80, 5), dtype=np.float32)
    images[1, 2, 0, 10, 20, 2] = 1
    images[:, :, 0, :, :, 0] = 7
    sheet = render_sheet(images, flip_axes=())
    assert sheet.shape == (2 * 82, 3 * 66)
    assert np.argwhere(sheet == 255).tolist() == [[82 + 20, 2 * 66 + 10]]
    flipped = render_sheet(images, flip_axes=(0, 1))
    assert np.argwhere(flipped == 255).tolist() == [[82 + 59, 2 * 66 + 53]]
    write_sheet(tmp_path / "a.png", sheet)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
