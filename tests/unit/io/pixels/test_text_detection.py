"""Burned-in text is found by an optional program, and never kept."""

import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from medvision.errors import ConfigError, DataError
from medvision.io.pixels import text_detection
from medvision.io.pixels.text_detection import find_text, has_text

needs_program = pytest.mark.skipif(
    shutil.which(text_detection.PROGRAM) is None,
    reason="tesseract (Debian: tesseract-ocr) is not installed",
)

SECRET = "CANARY 1970-01-02"


def draw(text, *, size=20, bright=True, rows=120, columns=320, dtype="uint8"):
    """A noisy plane (rows, columns) with text near its upper left corner."""
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 25, (rows, columns))
    page = Image.new("L", (columns, rows))
    ImageDraw.Draw(page).text((20, 30), text, fill=255, font=ImageFont.load_default(size))
    mixed = np.maximum(ground, np.asarray(page)) / 255
    mixed = mixed if bright else 1 - mixed
    return (mixed * np.iinfo(dtype).max).astype(dtype)


@needs_program
@pytest.mark.parametrize("bright", [True, False])
@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_a_name_and_a_date_are_found_where_they_are(bright, dtype):
    found = find_text(draw(SECRET, bright=bright, dtype=dtype))
    assert found
    for row, column, height, width in found:
        assert 20 <= row < row + height <= 60
        assert 10 <= column < column + width <= 240


@needs_program
@pytest.mark.parametrize("text", ["", "L", "R"])
def test_neither_nothing_nor_a_side_marker_is_text(text):
    assert find_text(draw(text, size=30)) == ()


@needs_program
def test_text_on_one_slice_of_many_is_found():
    blank = draw("")
    volume = np.stack([blank.T, blank.T, draw(SECRET).T], axis=2)
    assert has_text(volume, is_colour=False)
    assert not has_text(volume[:, :, :2], is_colour=False)


@needs_program
def test_text_in_colour_is_found():
    picture = np.stack([draw(SECRET).T, draw("").T, draw("").T], axis=-1)[:, :, None, None, :]
    assert has_text(picture, is_colour=True)


@needs_program
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_planes_without_contrast_or_numbers_have_no_text(value):
    assert find_text(np.full((50, 60), value, np.float32)) == ()


@needs_program
def test_nothing_of_what_the_text_says_is_kept_or_said(caplog, capfd):
    assert "CANARY" not in repr(find_text(draw(SECRET)))
    said = capfd.readouterr()
    assert "CANARY" not in said.out + said.err + caplog.text


def test_without_the_program_the_config_is_at_fault(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match="must be installed") as error:
        find_text(np.zeros((4, 4)))
    assert "text_detection" in error.value.hint


def test_a_program_that_fails_is_an_error_that_quotes_nothing(monkeypatch):
    def fail(*_args, **_kwargs):
        raise subprocess.CalledProcessError(1, "tesseract", stderr=SECRET.encode())

    monkeypatch.setattr(shutil, "which", lambda _: "/bin/false")
    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(DataError) as error:
        find_text(np.zeros((4, 4)))
    assert "CANARY" not in str(error.value)
