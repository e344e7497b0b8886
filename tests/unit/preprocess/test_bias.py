"""A planted bias field is taken out again, to the byte the same each time."""

import builtins
import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from medvision.config.preprocess import PreprocessSection
from medvision.domain.volume import Volume
from medvision.errors import ConfigError
from medvision.preprocess import bias
from medvision.preprocess.apply import transform_image
from medvision.preprocess.compose import compose_plan
from medvision.preprocess.early import plan_early, prepend_steps
from medvision.preprocess.execute import build_executor
from medvision.preprocess.plan import build_plan
from medvision.preprocess.rejection import UnusableImageError

needs_simpleitk = pytest.mark.skipif(
    importlib.util.find_spec("SimpleITK") is None, reason="SimpleITK is not installed"
)
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
SHAPE = (40, 36, 24)


def make_head(*, strength=0.8, seed=0):
    """Return an ellipsoid of two tissues under a smooth field, and the two tissues."""
    i, j, k = (np.linspace(-1, 1, n) for n in SHAPE)
    x, y, z = np.meshgrid(i, j, k, indexing="ij")
    radius = np.sqrt((x / 0.85) ** 2 + (y / 0.9) ** 2 + (z / 0.9) ** 2)
    inner, outer = radius < 0.55, (radius >= 0.6) & (radius < 1)
    tissue = 100.0 * (radius < 1) + 60.0 * (radius < 0.57)
    noise = np.random.default_rng(seed).normal(0, 2, SHAPE)
    field = np.exp(strength * (0.6 * x + 0.4 * y * z - 0.3 * z**2))
    array = (np.maximum(tissue * field + noise, 0)).astype(np.float32)
    return Volume(array[np.newaxis], AFFINE), (inner, outer)


def compute_variation(volume, tissues):
    """Return the coefficient of variation within each tissue."""
    return np.array([volume.array[0][t].std() / volume.array[0][t].mean() for t in tissues])


@needs_simpleitk
def test_variation_within_tissue_falls_to_a_quarter_or_less():
    head, tissues = make_head()
    corrected = bias.correct_bias(head, bias.plan_bias().parameters)
    before, after = compute_variation(head, tissues), compute_variation(corrected, tissues)
    assert (before > (0.1, 0.2)).all()
    assert (after < before / 4).all()
    assert corrected.array.dtype == np.float32
    np.testing.assert_array_equal(corrected.affine, head.affine)
    # The field is 1 on average, so that values keep their size.
    inner = tissues[0]
    assert corrected.array[0][inner].mean() == pytest.approx(head.array[0][inner].mean(), rel=0.2)


@needs_simpleitk
def test_a_volume_without_a_field_is_left_as_even_as_it_was():
    head, tissues = make_head(strength=0.0)
    corrected = bias.correct_bias(head, bias.plan_bias().parameters)
    assert (compute_variation(corrected, tissues) < compute_variation(head, tissues) + 0.005).all()


@needs_simpleitk
def test_another_process_with_other_threads_returns_the_same_bytes(tmp_path):
    head, _ = make_head()
    np.save(tmp_path / "head.npy", head.array)
    code = """
import sys
import numpy as np
import SimpleITK
from medvision.domain.volume import Volume
from medvision.preprocess import bias
SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(int(sys.argv[2]))
volume = Volume(np.load(sys.argv[1] + "/head.npy"), np.diag([2.0, 2.0, 3.0, 1.0]))
done = bias.correct_bias(volume, bias.plan_bias().parameters)
np.save(sys.argv[1] + f"/{sys.argv[2]}.npy", done.array)
"""
    for threads in ("1", "4"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path), threads], check=True)
    expected = bias.correct_bias(head, bias.plan_bias().parameters).array
    for threads in ("1", "4"):
        assert np.load(tmp_path / f"{threads}.npy").tobytes() == expected.tobytes()


@needs_simpleitk
def test_both_executors_correct_alike_and_2d_has_no_such_step():
    head, _ = make_head()
    section = PreprocessSection(bias_field="n4", intensity="zscore")
    plan = prepend_steps(
        build_plan(spatial_dims=3, **section.pipeline), plan_early(spatial_dims=3, **section.early)
    )
    assert plan.steps[0].parameters["library"].startswith("SimpleITK ")
    fused = build_executor(plan)(head.array, head.affine)
    monai = transform_image(head.array, head.affine, transform=compose_plan(plan))
    np.testing.assert_allclose(fused.array, monai.array, atol=1e-4)
    assert plan_early(spatial_dims=2, **section.early) == ()


@needs_simpleitk
@pytest.mark.parametrize("shape", [(40, 36, 1), (1, 40, 2)])
def test_a_volume_of_one_voxel_s_thickness_is_refused(shape):
    array = np.random.default_rng(0).uniform(1, 100, (1, *shape)).astype(np.float32)
    with pytest.raises(UnusableImageError, match=r"fits 40x36x1|fits 1x40x2"):
        bias.correct_bias(Volume(array, AFFINE), bias.plan_bias().parameters)


@needs_simpleitk
def test_a_small_volume_is_corrected():
    shape = (3, 3, 3)
    array = np.random.default_rng(0).uniform(1, 100, (1, *shape)).astype(np.float32)
    corrected = bias.correct_bias(Volume(array, AFFINE), bias.plan_bias().parameters)
    assert corrected.array.shape == (1, *shape)
    assert np.isfinite(corrected.array).all()


@needs_simpleitk
def test_a_volume_without_a_positive_voxel_is_refused():
    head, _ = make_head()
    with pytest.raises(UnusableImageError) as caught:
        bias.correct_bias(Volume(-head.array - 1, AFFINE), bias.plan_bias().parameters)
    assert caught.value.reason == "bias-field"


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        bias.importlib.util, "find_spec", lambda n: None if n == "SimpleITK" else find(n)
    )
    with pytest.raises(ConfigError, match="SimpleITK, got none installed") as caught:
        bias.check_installed()
    assert "medvision[n4]" in caught.value.hint


def test_the_module_itself_needs_no_simpleitk(monkeypatch):
    taken = builtins.__import__

    def refuse(name, *arguments, **named):
        assert not name.startswith("SimpleITK")
        return taken(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "medvision.preprocess.bias")
    importlib.import_module("medvision.preprocess.bias")
