"""A row of the store and a refused image, as an unfinished run leaves them for the next."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medvision.domain.geometry import Affine
from medvision.domain.record import JsonValue
from medvision.errors import DataError

_ROUNDING_MM = 1e-12


@dataclass(frozen=True)
class Row:
    """What is known of one stored array.

    Args:
        image_id: The image.
        key: Digest of the image and of the pipeline.
        shape: (C, I, J[, K]).
        dtype: float16, int16 or float32.
        scale: Value = stored * scale + offset; 1 for floats.
        offset: See scale.
        error_float16: Largest rounding error that float16 makes, in scaled intensity.
        error_int16: The same of int16.
        digest: BLAKE3 of the stored bytes.
        source_shape: Source grid, such as 512x512x60.
        source_affine: Source affine, as `format_affine` writes it.
        tensor_affine: Affine of the array, likewise.
    """

    image_id: str
    key: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    offset: float
    error_float16: float
    error_int16: float
    digest: str
    source_shape: str
    source_affine: str
    tensor_affine: str

    def rounding(self, dtype: str) -> float:
        """Return the largest error that a type makes of this row; 0 for float32."""
        return {"float16": self.error_float16, "int16": self.error_int16}.get(dtype, 0.0)


@dataclass(frozen=True)
class Refused:
    """An image that the pipeline can make nothing of, and why."""

    image_id: str
    key: str
    reason: str
    detail: str


Outcome = Row | Refused


def format_affine(affine: Affine) -> str:
    """Return a (4, 4) matrix as JSON with nine digits, which hold any float32 exactly.

    What rounding left of a computed zero is cleared: machines differ in it.
    """
    cleared = np.where(np.abs(affine) < _ROUNDING_MM, 0.0, affine)
    # Adding zero turns -0.0, which the same matrix may or may not have, into 0.0.
    return json.dumps([[float(f"{value:.9g}") + 0.0 for value in row] for row in cleared.tolist()])


def parse_outcome(values: Mapping[str, JsonValue]) -> Outcome:
    """Return a row or a refusal of its plain values.

    Raises:
        DataError: They are those of neither.
    """
    try:
        if "reason" in values:
            return Refused(**{name: str(value) for name, value in values.items()})
        shape = values["shape"]
        plain = {**values, "shape": tuple(shape) if isinstance(shape, list) else ()}
        return Row(**plain)  # type: ignore[arg-type]  # the digest before them vouches for the types
    except (TypeError, KeyError) as error:
        raise DataError(f"preprocess: entry must be a row, got {error}.") from error
