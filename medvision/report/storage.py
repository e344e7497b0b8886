"""How arrays were stored, and what that cost them, as a sentence of the methods."""

from collections.abc import Mapping

from medvision.domain.record import JsonValue

_TYPES = {
    "float32": "in single precision (float32)",
    "float16": "in half precision (float16)",
    "int16": "as 16-bit integers with a scale and an offset for each image",
}


def describe_storage(meta: Mapping[str, JsonValue]) -> str:
    """Say in what type the arrays lie, and the largest error that this made of any value.

    Args:
        meta: Content of `preprocess/meta.json`: `dtype`, and `largest_rounding` in scaled
            intensity.

    Returns:
        A sentence; nothing where the store does not say.
    """
    held, rounding = str(meta.get("dtype")), meta.get("largest_rounding")
    if held not in _TYPES or not isinstance(rounding, int | float):
        return ""
    if not rounding:
        return f"Arrays were stored {_TYPES[held]}, every value exactly as computed."
    return (
        f"Arrays were stored {_TYPES[held]}; measured over every value of every image, this "
        f"changed none by more than {rounding:.2g} in scaled intensity."
    )
