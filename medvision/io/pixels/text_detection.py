"""Text in pixels found by Tesseract, an optional program; the text itself is never kept."""

import shutil
import subprocess
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medvision.domain.volume import NumberGrid
from medvision.errors import ConfigError, DataError
from medvision.io.pixels.regions import Region

PROGRAM = "tesseract"

_TIMEOUT_S = 120
_MIN_CONFIDENCE = 50.0
_MIN_CHARACTERS = 3
_SCALE = 2
_WORD_LEVEL = "5"


def check_program() -> str:
    """Return the path of Tesseract.

    Raises:
        ConfigError: It is not installed.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise ConfigError(
            f"ingest.text_detection: {PROGRAM} must be installed, got no such program.",
            'install it (Debian: apt-get install tesseract-ocr), or set text_detection to "off".',
        )
    return program


def has_text(values: NumberGrid, *, is_colour: bool) -> bool:
    """Say whether any plane of an image has text in it; the first find ends the search.

    Args:
        values: (I, J, ...), columns first, rows second; colours last where there are any.
        is_colour: The last axis is red, green, blue.

    Raises:
        ConfigError: Tesseract is not installed.
        DataError: Tesseract failed.
    """
    return any(find_text(plane) for plane in _list_planes(values, is_colour=is_colour))


def _list_planes(values: NumberGrid, *, is_colour: bool) -> Iterator[NDArray[np.number]]:
    """Yield every plane (rows, columns), colours mixed, each different plane once."""
    grey = values.mean(axis=-1) if is_colour else values
    seen = set()
    for index in np.ndindex(*grey.shape[2:]):
        plane = np.ascontiguousarray(grey[(slice(None), slice(None), *index)].T)
        key = hash(plane.tobytes())
        if key not in seen:
            seen.add(key)
            yield plane


def find_text(plane: NDArray[np.number]) -> tuple[Region, ...]:
    """Find words in a plane: three letters or digits in a row, read with some confidence.

    Single letters such as the side markers of radiographs do not count.

    Args:
        plane: (rows, columns) of any number type.

    Returns:
        Where the words are; nothing of what they say.

    Raises:
        ConfigError: Tesseract is not installed.
        DataError: Tesseract failed.
    """
    program = check_program()
    grey = _to_bytes(plane)
    found: dict[Region, None] = {}
    # It reads dark letters on a bright ground best; burned-in text is the other way round.
    for page in (255 - grey, grey):
        found |= dict.fromkeys(_read_words(program, page))
    return tuple(found)


def _to_bytes(plane: NDArray[np.number]) -> NDArray[np.uint8]:
    """Scale a plane to 8 bits and enlarge it: small letters are read better."""
    real = np.nan_to_num(plane.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = real.min(), real.max()
    scaled = (real - low) * (255.0 / (high - low)) if high > low else np.zeros_like(real)
    return np.rint(scaled).astype(np.uint8).repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)


def _read_words(program: str, page: NDArray[np.uint8]) -> Iterator[Region]:
    """Run Tesseract on a page handed over in memory; yield the places of its words."""
    rows, columns = page.shape
    picture = f"P5\n{columns} {rows}\n255\n".encode() + page.tobytes()
    command = [program, "stdin", "stdout", "--psm", "11", "tsv"]
    try:
        run = subprocess.run(
            command, input=picture, capture_output=True, check=True, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        # Its output may quote the page: only the kind of failure goes on.
        raise DataError(
            f"text detection: {PROGRAM} must read a plane of {rows}x{columns}, "
            f"got {type(error).__name__}.",
            'check that it runs, or set ingest.text_detection to "off".',
        ) from None
    for line in run.stdout.decode("utf-8", "replace").splitlines()[1:]:
        cells = line.split("\t")
        if len(cells) < 12 or cells[0] != _WORD_LEVEL or float(cells[10]) < _MIN_CONFIDENCE:
            continue
        if sum(letter.isalnum() for letter in cells[11]) >= _MIN_CHARACTERS:
            column, row, width, height = (int(cell) // _SCALE for cell in cells[6:10])
            yield row, column, height, width
