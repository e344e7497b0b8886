"""Plug-ins written to a folder that becomes the working folder, each under a name of its own."""

import itertools
from textwrap import dedent

_numbers = itertools.count()

CROP = """
    import numpy as np

    def crop(array, affine):
        held = [np.flatnonzero((array > 0).any(axis=tuple({0, 1, 2} - {a}))) for a in range(3)]
        first = np.array([line[0] for line in held])
        box = tuple(slice(line[0], line[-1] + 1) for line in held)
        moved = affine.copy()
        moved[:3, 3] += affine[:3, :3] @ first
        return array[box], moved
"""


def write_plugin(folder, source, *, name=None):
    """Write a module and return its name."""
    name = name or f"plugin_{next(_numbers)}"
    (folder / f"{name}.py").write_text(dedent(source))
    return name
