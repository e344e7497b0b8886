"""Hypothesis strategies of image geometry: anisotropic, oblique, flipped and permuted grids."""

import numpy as np
from hypothesis import strategies as st

lengths = st.floats(0.4, 6.0)
spacings_mm = st.tuples(lengths, lengths, lengths)


@st.composite
def rotations(draw):
    """Return a (3, 3) rotation, exactly or nearly axis-aligned at times."""
    vector = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 3)))
    angle = draw(st.sampled_from([0.0, 0.02]) | st.floats(-np.pi, np.pi))
    if np.linalg.norm(vector) < 1e-3:
        vector = np.array([0.0, 0.0, 1.0])
    x, y, z = vector / np.linalg.norm(vector)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    # Rounded, since denormal numbers break the decomposition in the oracle, not in our code.
    return np.round(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross, 12)


@st.composite
def affines(draw, *, spacing_mm=spacings_mm):
    """Return a (4, 4) affine without shear: rotation, flips, permuted axes, spacing, origin."""
    permutation = np.eye(3)[list(draw(st.permutations(range(3))))]
    flips = np.diag(draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)))
    affine = np.eye(4)
    affine[:3, :3] = draw(rotations()) @ flips @ permutation @ np.diag(draw(spacing_mm))
    affine[:3, 3] = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    return affine


def shapes(low=8, high=20):
    """Return shapes (i, j, k)."""
    return st.tuples(*[st.integers(low, high)] * 3)
