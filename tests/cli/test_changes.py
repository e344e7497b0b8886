"""Random changes of training images: recorded as they were, and made again from the record."""

import csv
import gzip
from contextlib import contextmanager
from itertools import groupby

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from toy_study import make_study

from medvision.augment import batch as augment
from medvision.cli.main import main
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.runtime import stopping

CHANGES = {
    "flip_axes": [0, 1],
    "shift_voxels": 2,
    "rotate_degrees": 15.0,
    "zoom": 0.1,
    "noise_sd": 0.05,
    "gain": 0.2,
}


def train(folder, **settings):
    study = make_study(folder, **{"train": {"epochs": 3}, "augment": CHANGES, **settings})
    arguments = ["--config", study.model_dump_json(), "--arm", "scratch", "--fold", "0"]
    return CliRunner().invoke(main, ["train", *arguments])


def changes_path(folder):
    return Layout(folder).seed("scratch", 0, seed=0) / "changes.tsv.gz"


def read_steps(folder):
    """Return the table's rows, step by step."""
    with gzip.open(changes_path(folder), "rt", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return [list(own) for _, own in groupby(rows, key=lambda row: (row["epoch"], row["step"]))]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """The folder of a training, and the (images, parameters, changed images) of each step."""
    folder, steps, plain = tmp_path_factory.mktemp("changes"), [], augment.apply_parameters

    def spy(images, parameters, *, rows=None):
        changed = plain(images, parameters, rows=rows)
        steps.append((images.clone(), parameters, changed.clone()))
        return changed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augment, "apply_parameters", spy)
        result = train(folder)
    assert result.exit_code == 0, result.output
    return folder, steps


def rebuild(rows):
    """Make a step's parameters of nothing but its rows in the table."""
    return augment.AugmentParameters(
        flips=tuple(tuple(map(int, row["flips"].split())) for row in rows),
        shifts_voxels=tuple((int(row["shift_i"]), int(row["shift_j"])) for row in rows),
        turns_deg=tuple(float(row["turn_deg"]) for row in rows),
        zooms=tuple(float(row["zoom"]) for row in rows),
        gains=tuple(float(row["gain"]) for row in rows),
        noise_sd=float(rows[0]["noise_sd"]),
        noise_seed=int(rows[0]["noise_seed"]),
    )


def test_rows_are_what_each_step_was_changed_by(seen):
    folder, steps = seen
    told = read_steps(folder)
    assert len(told) == len(steps) > 3
    for rows, (_, parameters, _) in zip(told, steps, strict=True):
        assert rebuild(rows) == parameters


def test_rows_make_the_same_images_again_to_the_bit(seen):
    folder, steps = seen
    for rows, (images, _, changed) in zip(read_steps(folder), steps, strict=True):
        assert torch.equal(augment.apply_parameters(images, rebuild(rows)), changed)


def test_rows_name_the_images_that_were_shown(seen):
    folder, steps = seen
    store = np.load(next(Layout(folder).array_folder("shards").parent.rglob("*.npy")))
    names = [row["image_id"] for row in read_table(Layout(folder).array_index)]
    rows = read_steps(folder)[0]
    expected = np.stack([store[names.index(row["image_id"])] for row in rows])
    assert np.array_equal(steps[0][0].numpy(), expected.astype(np.float32))


def test_table_of_a_stopped_training_is_that_of_an_undisturbed_one(seen, tmp_path, monkeypatch):
    @contextmanager
    def stop_after(n_asked, **_):
        left = iter(range(n_asked))
        yield lambda: next(left, None) is None

    with monkeypatch.context() as patch:
        patch.setattr(stopping, "heed_stop", lambda **_: stop_after(3))
        assert train(tmp_path).exit_code == 75
    assert not changes_path(tmp_path).exists()
    assert train(tmp_path).exit_code == 0
    assert changes_path(tmp_path).read_bytes() == changes_path(seen[0]).read_bytes()


@pytest.mark.parametrize(
    "settings", [{"augment": {}}, {"train": {"epochs": 1, "record_changes": False}}]
)
def test_no_table_where_nothing_changes_or_none_is_wanted(tmp_path, settings):
    assert train(tmp_path, **settings).exit_code == 0
    assert not changes_path(tmp_path).exists()
