"""A user's function: found without running it, held to its contract, part of the digest."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from plugin_files import CROP, write_plugin

from medvision.config.preprocess import PreprocessSection
from medvision.domain.volume import Volume
from medvision.errors import ConfigError, StaleOutputError
from medvision.preprocess.apply import transform_image
from medvision.preprocess.compose import compose_plan
from medvision.preprocess.early import plan_early, prepend_steps
from medvision.preprocess.execute import build_executor
from medvision.preprocess.plan import build_plan
from medvision.preprocess.plugins import identify_once, identify_plugin, load_plugin, run_plugin
from medvision.preprocess.rejection import UnusableImageError

AFFINE = np.array([[-2.0, 0, 0, 9], [0, 0, 3.0, 4], [0, 1.5, 0, 5], [0, 0, 0, 1]])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    identify_once.cache_clear()
    return tmp_path


def make_plan(*functions, spatial_dims=3, **changes):
    section = PreprocessSection(plugins=functions, **changes)
    plan = build_plan(spatial_dims=spatial_dims, **section.pipeline)
    return prepend_steps(plan, plan_early(spatial_dims=spatial_dims, **section.early))


def run(folder, source, *, grid=None):
    name = write_plugin(folder, source)
    (step,) = plan_early(spatial_dims=3, bias_field=None, plugins=(f"{name}:f",))
    grid = make_grid() if grid is None else grid
    return run_plugin(Volume(grid[np.newaxis], AFFINE), step.parameters)


def make_grid(shape=(12, 10, 8), *, border=2):
    grid = np.zeros(shape, np.float32)
    inner = tuple(slice(border, n - border) if n > 1 else slice(None) for n in shape)
    grid[inner] = np.random.default_rng(0).uniform(1, 100, grid[inner].shape)
    return grid


def test_both_executors_run_it_before_all_else(folder):
    name = write_plugin(folder, CROP)
    plan = make_plan(f"{name}:crop", intensity="zscore", spacing_mm=(2.0, 2.0, 2.0))
    assert [step.name for step in plan.steps][:2] == ["Plugin", "Orientation"]
    executor = build_executor(plan)
    assert executor.kind == "fused"
    fused = executor(make_grid(), AFFINE)
    monai = transform_image(make_grid(), AFFINE, transform=compose_plan(plan))
    np.testing.assert_allclose(fused.affine, monai.affine, atol=1e-6)
    np.testing.assert_allclose(fused.array, monai.array, atol=1e-4)


def test_what_it_crops_is_what_a_crop_by_hand_gives(folder):
    name = write_plugin(folder, CROP)
    section = {"intensity": "zscore"}
    ours = build_executor(make_plan(f"{name}:crop", **section))(make_grid(), AFFINE)
    by_hand = AFFINE.copy()
    by_hand[:3, 3] += AFFINE[:3, :3] @ [2, 2, 2]
    expected = build_executor(make_plan(**section))(make_grid()[2:-2, 2:-2, 2:-2].copy(), by_hand)
    np.testing.assert_array_equal(ours.array, expected.array)
    np.testing.assert_allclose(ours.affine, expected.affine)


def test_several_run_in_the_order_given_and_the_image_is_not_changed(folder):
    name = write_plugin(
        folder,
        """
        def add(array, affine):
            array += 1
            return array, affine

        def double(array, affine):
            return array * 2, affine
        """,
    )
    grid = make_grid()
    for order, expected in ((("add", "double"), 2 * grid + 2), (("double", "add"), 2 * grid + 1)):
        plan = make_plan(
            *[f"{name}:{function}" for function in order],
            intensity="none",
            spacing_mm=None,
            orientation=None,
            size=grid.shape,
        )
        np.testing.assert_array_equal(build_executor(plan)(grid, AFFINE).array[0], expected)
    np.testing.assert_array_equal(grid, make_grid())


def test_a_full_memory_is_not_held_against_the_image(folder):
    name = write_plugin(folder, "def crop(array, affine):\n    raise MemoryError\n")
    with pytest.raises(MemoryError):
        build_executor(make_plan(f"{name}:crop"))(make_grid(), AFFINE)


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        ("raise KeyError('lobe')", "plugin-error", "KeyError: 'lobe'"),
        ("return array", "plugin-result", "(array, affine), got ndarray"),
        ("return array.tolist(), affine", "plugin-result", "numpy's, got list"),
        ("return array.astype('f8'), affine", "plugin-result", "got float64 of 3 axes"),
        ("return array[0], affine", "plugin-result", "got float32 of 2 axes"),
        ("return array[:0], affine", "plugin-result", "have a voxel, got 0x10x8"),
        ("return array * float('nan'), affine", "plugin-result", "finite"),
        ("return array, affine[:3]", "plugin-result", "(4, 4), got float64 of shape (3, 4)"),
        ("return array, affine * 0", "plugin-result", "affine"),
        ("return array, affine.astype(str)", "plugin-result", "affine"),
        ("raise SystemExit(3)", "plugin-error", "SystemExit: 3"),
    ],
)
def test_what_breaks_the_contract_refuses_the_image_with_a_reason(folder, body, reason, words):
    source = f"def f(array, affine):\n    {body}\n"
    with pytest.raises(UnusableImageError) as caught:
        run(folder, source)
    assert caught.value.reason == reason
    assert words in caught.value.detail


def test_a_2d_image_stays_one_plane(folder):
    source = "def f(array, affine):\n    return array.repeat(2, axis=2), affine\n"
    with pytest.raises(UnusableImageError, match="one plane"):
        run(folder, source, grid=make_grid((12, 10, 1)))


def test_an_image_with_nan_is_refused_before_it_is_called(folder):
    name = write_plugin(folder, "def f(array, affine):\n    raise AssertionError\n")
    grid = make_grid()
    grid[0, 0, 0] = np.nan
    with pytest.raises(UnusableImageError) as caught:
        build_executor(make_plan(f"{name}:f"))(grid, AFFINE)
    assert caught.value.reason == "not-finite"


@pytest.mark.parametrize(
    ("source", "function", "words"),
    [
        (None, "no_such_module:f", "none of that name"),
        ("x = 1", "g", "no attribute|AttributeError"),
        ("f = 3", "f", "must be a function, got int"),
        ("import no_such_library\ndef f(): ...", "f", "ModuleNotFoundError"),
        ("def f(:", "f", "SyntaxError"),
    ],
)
def test_what_cannot_be_imported_is_an_error_of_the_configuration(folder, source, function, words):
    name = function if source is None else f"{write_plugin(folder, source)}:{function}"
    with pytest.raises(ConfigError, match=words) as caught:
        load_plugin(name)
    assert "preprocess.plugins" in caught.value.message
    assert "write-a-plug-in" in caught.value.hint


def test_other_source_is_another_digest_and_runs_as_it_is_now(folder):
    name = write_plugin(folder, "def f(array, affine):\n    return array + 1, affine\n")
    before = make_plan(f"{name}:f")
    assert load_plugin(f"{name}:f")(0, None)[0] == 1
    write_plugin(folder, "def f(array, affine):\n    return array + 2, affine\n", name=name)
    assert load_plugin(f"{name}:f")(0, None)[0] == 2
    assert make_plan(f"{name}:f").digest != before.digest
    assert not (folder / "__pycache__").exists()


def test_source_that_changes_while_a_run_goes_on_is_found(folder):
    name = write_plugin(folder, "def f(array, affine):\n    return array, affine\n")
    plan = make_plan(f"{name}:f")
    write_plugin(folder, "def f(array, affine):\n    return -array, affine\n", name=name)
    with pytest.raises(StaleOutputError, match="another"):
        build_executor(plan)(make_grid(), AFFINE)


def test_a_package_is_named_by_all_its_files(folder):
    package = folder / "lobes"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "cut.py").write_text("from lobes.rule import RULE\ndef f(a, b):\n    return a, b\n")
    (package / "rule.py").write_text("RULE = 1\n")
    before = identify_plugin("lobes.cut:f")
    assert "lobes" not in sys.modules
    (package / "rule.py").write_text("RULE = 2\n")
    assert identify_plugin("lobes.cut:f").digest != before.digest
    assert callable(load_plugin("lobes.cut:f"))


PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "write-a-plug-in.md"


def read_examples():
    """Return the Python of the page, by its first function."""
    blocks = re.findall(r"```python\n(.+?)```", PAGE.read_text(), flags=re.DOTALL)
    return {re.search(r"def (\w+)", block).group(1): block for block in blocks}


def test_the_pages_crop_keeps_both_lungs_and_little_else(folder):
    i, j = np.meshgrid(np.arange(200), np.arange(160), indexing="ij")
    lungs = sum(((i - at) / 30) ** 2 + ((j - 75) / 50) ** 2 < 1 for at in (62, 138)) > 0
    body = np.abs(i - 100) < 95
    grid = (1000.0 * body - 700.0 * lungs).astype(np.float32)[..., np.newaxis]
    name = write_plugin(folder, read_examples()["crop"])
    cropped, affine = load_plugin(f"{name}:crop")(grid, AFFINE)
    first = np.linalg.solve(AFFINE, affine)[:3, 3].round().astype(int)
    box = tuple(slice(a, a + n) for a, n in zip(first, cropped.shape, strict=True))
    np.testing.assert_array_equal(grid[box], cropped)
    assert lungs[box[:2]].sum() > 0.99 * lungs.sum()
    assert cropped.size < 0.75 * grid.size
    with pytest.raises(ValueError, match="both sides"):
        load_plugin(f"{name}:crop")(np.ones_like(grid), AFFINE)


def test_the_pages_monai_transform_runs_in_a_plan(folder):
    name = write_plugin(folder, read_examples()["blur"])
    volume = build_executor(make_plan(f"{name}:blur"))(make_grid(), AFFINE)
    assert volume.array.shape[0] == 1


def test_an_installed_function_is_named_with_its_distribution():
    found = identify_plugin("nibabel.processing:smooth_image")
    assert found.distribution.startswith("nibabel ")
