"""Altered copies are found, different images are not, and no order changes what is found."""

import numpy as np
import pytest
from look_alikes import ALTERATIONS, make_images, turn

from medvision.domain.likeness.catalogue import build_catalogue
from medvision.domain.likeness.describe import describe, list_windows
from medvision.domain.likeness.index import Candidates
from medvision.domain.likeness.room import OwnRoom
from medvision.domain.likeness.search import SIMILARITY, find_look_alikes
from medvision.domain.likeness.second_look import look_again
from medvision.domain.likeness.thumbnail import build_thumbnail

N = 40
SPACING_MM = (1.0, 1.0, 1.0)


def shrink(images: list[np.ndarray]) -> np.ndarray:
    flat = [image[..., np.newaxis] if image.ndim == 2 else image for image in images]
    return np.array([build_thumbnail(image, spacing_mm=SPACING_MM) for image in flat])


@pytest.mark.parametrize("name", ALTERATIONS)
def test_altered_copies_are_found_and_nothing_else(name: str) -> None:
    images = make_images(N, seed=1)
    copies = [ALTERATIONS[name](image) for image in images[:8]]
    pairs = find_look_alikes(shrink([*images, *copies]), similarity=SIMILARITY)
    found = {(pair.first, pair.second) for pair in pairs}
    planted = {(n, N + n) for n in range(8)}
    assert found <= planted
    assert len(found) >= 7


OF_VOLUMES = {
    **ALTERATIONS,
    "laid on its side": lambda volume: np.rot90(volume, axes=(0, 2)),
    "turned and flipped": lambda volume: turn(volume[..., ::-1], 12),
    "cropped off centre": lambda volume: volume[2:-1, 1:-2, 3:],
    "without its last planes": lambda volume: volume[..., :-4],
}


@pytest.mark.parametrize("name", OF_VOLUMES)
def test_altered_copies_of_volumes_are_found_and_nothing_else(name: str) -> None:
    volumes = make_images(10, seed=2, n_axes=3)
    copies = [OF_VOLUMES[name](volume) for volume in volumes[:3]]
    pairs = find_look_alikes(shrink([*volumes, *copies]), similarity=SIMILARITY)
    found = {(pair.first, pair.second) for pair in pairs}
    assert found <= {(n, 10 + n) for n in range(3)}
    assert len(found) >= 2


def test_a_digest_or_a_difference_hash_would_miss_a_turned_copy() -> None:
    first, second = shrink([make_images(1, seed=3)[0], turn(make_images(1, seed=3)[0], 15)])
    assert first.tobytes() != second.tobytes()
    hashes = [np.diff(each[::8, ::7].astype(int), axis=1) > 0 for each in (first, second)]
    assert (hashes[0] != hashes[1]).mean() > 0.2
    (pair,) = find_look_alikes(np.array([first, second]), similarity=SIMILARITY)
    assert pair.alteration.startswith("rotated 1")


def test_bright_discs_are_not_one_image_because_a_map_lays_one_over_the_other() -> None:
    line = np.linspace(-1, 1, 96)
    i, j = np.meshgrid(line, line, indexing="ij")
    discs = [(i / 0.5) ** 2 + (j / 0.35) ** 2 < 1, (i / 0.42) ** 2 + (j / 0.35) ** 2 < 1]
    frames = [np.abs(i - j) < 0.03, np.abs(i + j + 1.4) < 0.03]
    stack = shrink([200.0 * disc + 20.0 * frame for disc, frame in zip(discs, frames, strict=True)])
    assert find_look_alikes(stack, similarity=SIMILARITY) == []


def test_the_order_of_the_images_does_not_matter() -> None:
    images = make_images(12, seed=4)
    stack = shrink([*images, images[0][::-1], turn(images[5], 8)])
    order = np.random.default_rng(0).permutation(len(stack))
    plain = {(p.first, p.second) for p in find_look_alikes(stack, similarity=SIMILARITY)}
    mixed = find_look_alikes(stack[order], similarity=SIMILARITY)
    back = {tuple(sorted((int(order[p.first]), int(order[p.second])))) for p in mixed}
    assert back == plain == {(0, 12), (5, 13)}


@pytest.mark.parametrize("n_axes", [2, 3])
def test_pairs_of_which_none_is_likely_end_the_second_look(n_axes: int) -> None:
    shape = {2: (2, 64, 64), 3: (2, 32, 32, 32)}[n_axes]
    noise = np.random.default_rng(3).integers(1, 256, size=shape, dtype=np.uint8)
    room = OwnRoom(thumbnails=noise, rows=np.arange(2))
    windows = list_windows(n_axes)
    build_catalogue(room, windows)
    pair = Candidates(*(np.array([n]) for n in (0, 1, 0)))
    assert list(look_again(room, pair, windows, similarity=0.3)) == []


def test_images_without_contrast_look_like_nothing() -> None:
    assert find_look_alikes(np.zeros((5, 64, 64), np.uint8), similarity=0.5) == []
    constant = [build_thumbnail(np.full((9, 9, 4), 7 + n), spacing_mm=(2, 2, 5)) for n in range(3)]
    assert find_look_alikes(np.array(constant), similarity=0.5) == []


@pytest.mark.parametrize("n_axes", [2, 3])
def test_descriptions_do_not_change_by_quarter_turns_and_flips(n_axes: int) -> None:
    stack = shrink(make_images(3, seed=5, n_axes=n_axes)).astype(np.float32)
    whole = list_windows(n_axes)[0]
    plain = describe(stack, whole)
    for moved in (np.rot90(stack, axes=(1, 2)), stack[:, ::-1], 3 * stack + 7):
        np.testing.assert_allclose(describe(np.ascontiguousarray(moved), whole), plain, atol=0.1)
