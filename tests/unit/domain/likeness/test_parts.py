"""Each part of the search against a slow and plain way to the same answer."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from medvision.domain.likeness.agreement import measure_agreement
from medvision.domain.likeness.describe import Window, describe, list_windows
from medvision.domain.likeness.detail import find_clear
from medvision.domain.likeness.index import find_candidates
from medvision.domain.likeness.register import correlate, fit_motion
from medvision.domain.likeness.room import OwnRoom
from medvision.domain.likeness.sampling import sample_stack, spread_places, standardise
from medvision.domain.likeness.start import Motion, guess_motion


def make_stack(n: int, *, n_axes: int, side: int = 16, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n, *(side,) * n_axes))
    smooth = ndimage.gaussian_filter(noise, (0, *(side / 12,) * n_axes))
    return (smooth / smooth.std()).astype(np.float32)


def turn_about_k(degrees: float) -> np.ndarray:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])


@pytest.mark.parametrize("n_axes", [2, 3])
def test_values_are_those_of_linear_interpolation(n_axes: int) -> None:
    stack = make_stack(2, n_axes=n_axes)
    places = np.random.default_rng(1).uniform(-0.9, 0.9, size=(50, n_axes)).astype(np.float32)
    voxels = ((places + 1) * 8 - 0.5).T
    expected = [ndimage.map_coordinates(each, voxels, order=1) for each in stack]
    np.testing.assert_allclose(sample_stack(stack, places), expected, atol=1e-5)
    own = sample_stack(stack, np.stack([places, -places]))
    np.testing.assert_allclose(own[0], expected[0], atol=1e-5)


def test_the_guess_finds_how_a_cube_was_laid() -> None:
    stack = make_stack(4, n_axes=3)
    flipped = np.rot90(stack, axes=(1, 3))[:, ::-1]
    motion, correlation = guess_motion(stack, np.ascontiguousarray(flipped), Window((0.0,) * 3, 1))
    assert correlation.min() > 0.999
    # A place of the first, moved, is where the second holds the same value.
    places = spread_places(9, 3, reach=0.9)
    moved = sample_stack(np.ascontiguousarray(flipped), motion.apply(places))
    np.testing.assert_allclose(moved, sample_stack(stack, places), atol=1e-4)


def test_the_quick_guess_equals_trying_each_way_by_itself() -> None:
    first, second = make_stack(2, n_axes=3, seed=1), make_stack(2, n_axes=3, seed=2)
    window = Window((0.1, -0.05, 0.0), 0.9)
    motion, correlation = guess_motion(first, second, window)
    places = spread_places(9, 3, reach=0.9)
    weights = np.ones(len(places), dtype=np.float32)
    best = np.full(2, -1.0)
    for order in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]):
        for signs in np.ndindex(2, 2, 2):
            cube = np.eye(3)[order] * (1.0 - 2.0 * np.array(signs))
            for degrees in (0, -15, 15):
                turn = turn_about_k(degrees)
                one = standardise(sample_stack(first, (places @ turn).astype("f4")), weights)
                laid = (places @ cube.T * window.scale + window.centre).astype("f4")
                other = standardise(sample_stack(second, laid), weights)
                best = np.maximum(best, (one * other).mean(axis=1))
    np.testing.assert_allclose(correlation, best, atol=1e-4)
    np.testing.assert_allclose(abs(np.linalg.det(motion.matrix)), 0.9**3, atol=1e-6)


@pytest.mark.parametrize("n_axes", [2, 3])
def test_the_fit_finds_a_known_map(n_axes: int) -> None:
    first = make_stack(3, n_axes=n_axes, side=32)
    rng = np.random.default_rng(3)
    matrix = np.eye(n_axes) + rng.uniform(-0.09, 0.09, size=(3, n_axes, n_axes))
    known = Motion(matrix, rng.uniform(-0.08, 0.08, size=(3, n_axes)))
    line = (np.arange(32) + 0.5) / 16 - 1
    grid = np.stack(np.meshgrid(*[line] * n_axes, indexing="ij"), axis=-1).reshape(-1, n_axes)
    # The second holds at the moved place what the first holds at the place.
    inverse = np.linalg.inv(known.matrix)
    back = Motion(inverse, -(inverse @ known.shift[..., None])[..., 0])
    second = sample_stack(first, back.apply(grid.astype("f4"))).reshape(first.shape)
    start = Motion(np.repeat(np.eye(n_axes)[None], 3, axis=0), np.zeros((3, n_axes)))
    places = spread_places(15, n_axes, reach=0.8)
    before = correlate(first, second, start, places=places)
    found = fit_motion(first, second, start, places=places, n_steps=12)
    assert before.max() < 0.99
    np.testing.assert_allclose(found.matrix, known.matrix, atol=0.01)
    np.testing.assert_allclose(found.shift, known.shift, atol=0.01)
    assert correlate(first, second, found, places=places).min() > 0.99


def test_no_turn_of_a_volume_changes_its_description_much() -> None:
    volumes = make_stack(6, n_axes=3, side=24)
    turned = ndimage.rotate(volumes, 33, axes=(2, 3), reshape=False, order=1, mode="nearest")
    whole = list_windows(3)[0]
    one, other = describe(volumes, whole), describe(turned.astype("f4"), whole)
    apart = np.linalg.norm(one[:, None] - other[None], axis=2)
    assert (apart.argmin(axis=1) == np.arange(6)).all()
    assert np.diag(apart).max() < 0.5 * apart[~np.eye(6, dtype=bool)].min()


def test_a_crop_is_described_as_that_window_of_the_whole() -> None:
    whole = make_stack(3, n_axes=2, side=40)
    crop = whole[:, 4:36, 0:32]
    window = Window((0.0, -0.2), 0.8)
    np.testing.assert_allclose(
        describe(np.ascontiguousarray(crop), Window((0.0, 0.0), 1.0)),
        describe(whole, window),
        atol=0.02,
    )


def test_the_index_finds_nearly_all_that_looking_at_all_pairs_finds() -> None:
    rng = np.random.default_rng(5)
    originals = rng.normal(size=(1500, 24)).astype("f4")
    copies = originals[:300] + rng.normal(scale=0.15, size=(300, 24)).astype("f4")
    points = np.concatenate([originals, copies])
    room = OwnRoom(points=points[np.newaxis])
    found = find_candidates(room, n_nearest=4, reach=8)
    held = set(zip(found.query.tolist(), found.image.tolist(), strict=True))
    distance = ((points[1500:, None] - points[None]) ** 2).sum(axis=2)
    distance[np.arange(300), np.arange(1500, 1800)] = np.inf
    nearest = distance.argmin(axis=1)
    hits = [(1500 + row, int(image)) in held for row, image in enumerate(nearest)]
    assert np.mean(hits) > 0.98
    assert len(held) <= 4 * 1800
    assert all(query != image for query, image in held)


def test_the_page_counts_the_parts_that_an_image_is_searched_in() -> None:
    page = Path(__file__).parents[4] / "docs" / "explanation" / "leakage.md"
    flat, deep = (len(list_windows(n_axes)) - 1 for n_axes in (2, 3))
    assert f"{flat} parts ({deep} of a volume)" in page.read_text().replace("\n", " ")


@pytest.mark.parametrize("n_axes", [2, 3])
def test_no_pair_is_judged_otherwise_for_what_lies_beside_it(n_axes: int) -> None:
    """So that no way to divide the work changes a bit."""
    first, second = (make_stack(37, n_axes=n_axes, side=24, seed=seed) for seed in (1, 2))
    second = (0.9 * first + 0.2 * second).astype("f4")
    clear = np.ones_like(first)
    start = Motion(np.repeat(np.eye(n_axes)[None], 37, axis=0), np.zeros((37, n_axes)))
    places = spread_places(15, n_axes, reach=0.9)

    def judge(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        own = Motion(start.matrix[rows], start.shift[rows])
        fitted = fit_motion(first[rows], second[rows], own, places=places, n_steps=3)
        is_clear = clear[rows], clear[rows]
        return fitted.matrix, measure_agreement(
            first[rows], second[rows], fitted, is_clear=is_clear
        )

    together = judge(slice(None))
    for size in (1, 5, 20):
        parts = [judge(slice(at, at + size)) for at in range(0, 37, size)]
        for whole, divided in zip(together, zip(*parts, strict=True), strict=True):
            np.testing.assert_array_equal(np.concatenate(divided), whole)


def test_what_may_be_clipped_is_told_as_by_looking_at_every_place() -> None:
    stack = np.round(np.random.default_rng(4).uniform(0, 1, size=(9, 16, 16, 16)), 1).astype("f4")
    for row, side in enumerate((0, 1, 2, 3, 5)):
        stack[row, :side, :side, :side] = 1.0
        stack[row, 9 : 9 + side, 4 : 4 + side, 6 : 6 + side] = 1.0
    stack[8] = 0.5
    is_bright = stack >= 254 / 255
    for each, found in zip(is_bright, find_clear(stack), strict=True):
        near = ndimage.minimum_filter(each.astype(int), 3, mode="nearest").astype(bool)
        reach = np.ones((7, 7, 7), dtype=bool)
        np.testing.assert_array_equal(found == 0, ndimage.binary_dilation(near, reach))
    assert not find_clear(stack)[3].all()
    assert find_clear(stack)[8].all()


def test_agreement_is_what_blocks_correlate_one_by_one() -> None:
    first = make_stack(6, n_axes=2, side=64, seed=1)
    second = (
        first + np.linspace(0, 1.5, 6)[:, None, None] * make_stack(6, n_axes=2, side=64)
    ).astype("f4")
    clear = np.ones_like(first)
    still = Motion(np.repeat(np.eye(2)[None], 6, axis=0), np.zeros((6, 2)))
    found = measure_agreement(first, second, still, is_clear=(clear, clear))
    places = spread_places(41, 2, reach=0.9)
    blocks = [tuple(int((x + 1) / 2 * 6) for x in place) for place in places]
    for a, b, value in zip(
        sample_stack(first, places), sample_stack(second, places), found, strict=True
    ):
        seen = []
        for block in sorted(set(blocks)):
            at = [n for n, own in enumerate(blocks) if own == block]
            if len(at) >= 8:
                power = [float((x[at].astype(float) ** 2).sum()) for x in (a, b)]
                shared = float((a[at].astype(float) * b[at]).sum())
                seen.append((shared / np.sqrt(power[0] * power[1]), min(power)))
        seen.sort()
        below = np.cumsum([weight**0.5 for _, weight in seen])
        worst = seen[int(np.argmax(below >= 0.1 * below[-1]))][0]
        power = np.array([weight for _, weight in seen])
        spread = power.sum() ** 2 / (power**2).sum() / len(power)
        assert value == pytest.approx(1 - (1 - worst) * max(1, (0.7 / spread) ** 2), abs=1e-4)
