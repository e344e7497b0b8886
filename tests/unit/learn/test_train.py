"""Fitting: it learns, it does not learn noise, and an interruption leaves no trace."""

import numpy as np
import pytest
import torch
from fits import examples, fit
from toy_study import make_images

from medvision.errors import TrainingError
from medvision.learn.backbones import blocks, build_backbone
from medvision.learn.dataset import Examples
from medvision.learn.epochs import State
from medvision.learn.freezing import Freezing
from medvision.preprocess.encoding import encode
from medvision.runtime.seeds import seed_everything
from medvision.runtime.shards import StoredArrays, map_array


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def training() -> Examples:
    return examples(*make_images(64, seed=0))


@pytest.fixture(scope="module")
def validation() -> Examples:
    return examples(*make_images(40, seed=1))


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_separable_classes_are_learnt(training, validation):
    result = fit(training, validation)
    assert result.history[result.best_epoch - 1]["validation_auc"] > 0.95


def test_permuted_labels_are_not_learnt(training, validation):
    labels = np.random.default_rng(0).permutation(training.labels)
    shuffled = Examples(training.arrays, training.rows, labels, training.subjects)
    result = fit(shuffled, validation)
    assert 0.2 < result.history[-1]["validation_auc"] < 0.8


def test_same_seed_gives_the_same_bits(training, validation):
    first, second = (fit(training, validation, epochs=2) for _ in range(2))
    assert first.history == second.history
    assert same(first.tensors, second.tensors)


def store(folder, given: Examples, *, dtype, n_shards) -> Examples:
    """Write the images as preprocessing stores them, and return them mapped."""
    encoded = [encode(image, dtype) for image in given.arrays]
    folder.mkdir()
    shards = []
    for number, part in enumerate(np.array_split([row.array for row in encoded], n_shards)):
        np.save(folder / f"{number}.npy", part)
        shards.append(map_array(folder / f"{number}.npy"))
    arrays = StoredArrays(
        shards,
        scales=np.array([row.scale for row in encoded], dtype=np.float32),
        offsets=np.array([row.offset for row in encoded], dtype=np.float32),
    )
    return Examples(arrays, given.rows, given.labels, given.subjects)


@pytest.mark.parametrize("dtype", ["float16", "int16"])
def test_training_on_a_store_gives_the_same_bits_twice(training, validation, tmp_path, dtype):
    first, second = (
        fit(
            store(tmp_path / f"train-{n_shards}", training, dtype=dtype, n_shards=n_shards),
            store(tmp_path / f"validation-{n_shards}", validation, dtype=dtype, n_shards=n_shards),
            epochs=2,
        )
        for n_shards in (1, 3)
    )
    assert first.history == second.history
    assert same(first.tensors, second.tensors)
    exact = fit(training, validation, epochs=2)
    assert not same(first.tensors, exact.tensors), "the store must be what was read"
    assert first.history[-1]["train_loss"] == pytest.approx(
        exact.history[-1]["train_loss"], abs=0.02
    )


@pytest.mark.parametrize("stop_after", [1, 3])
def test_stopped_after_any_epoch_it_ends_bit_equal(training, validation, tmp_path, stop_after):
    def shift(images, generator):
        return images + torch.rand(1, generator=generator)

    def stop(row):
        if row["epoch"] == stop_after:
            raise KilledError

    settings = {"transform": shift, "imbalance": "sampling"}
    whole = fit(training, validation, **settings)
    state = State(tmp_path / "state.pt", "digest")
    with pytest.raises(KilledError):
        fit(training, validation, state=state, on_epoch=stop, **settings)
    seen = []
    resumed = fit(training, validation, state=state, on_epoch=seen.append, **settings)
    assert [row["epoch"] for row in seen] == list(range(stop_after + 1, 5))
    assert resumed.history == whole.history
    assert same(resumed.tensors, whole.tensors)


def test_dropout_goes_on_bit_equal_too(training, validation, tmp_path):
    def build():
        seed_everything(0)
        network = build_backbone("small", spatial_dims=3, channels=1, n_classes=2)
        network.class_layers.flatten = torch.nn.Sequential(
            torch.nn.Flatten(1), torch.nn.Dropout(0.5)
        )
        return network

    def stop(row):
        raise KilledError

    whole = fit(training, validation, model=build(), epochs=2)
    state = State(tmp_path / "state.pt", "digest")
    with pytest.raises(KilledError):
        fit(training, validation, model=build(), epochs=2, state=state, on_epoch=stop)
    assert same(
        fit(training, validation, model=build(), epochs=2, state=state).tensors, whole.tensors
    )


def test_state_of_other_settings_is_not_used(training, validation, tmp_path, caplog):
    path = tmp_path / "state.pt"
    fit(training, validation, epochs=1, state=State(path, "old"))
    seen = []
    with caplog.at_level("INFO", logger="medvision"):
        fit(training, validation, epochs=1, state=State(path, "new"), on_epoch=seen.append)
    assert len(seen) == 1
    assert "starting anew" in caplog.text


def test_half_a_state_file_is_not_used(training, validation, tmp_path):
    path = tmp_path / "state.pt"
    fit(training, validation, epochs=1, state=State(path, "digest"))
    path.write_bytes(path.read_bytes()[:1000])
    seen = []
    fit(training, validation, epochs=1, state=State(path, "digest"), on_epoch=seen.append)
    assert len(seen) == 1


def test_weights_of_the_best_epoch_are_kept(training, validation):
    result = fit(training, validation, epochs=6, learning_rate=0.05)
    losses = [row["validation_loss"] for row in result.history]
    assert result.best_epoch == 1 + int(np.argmin(losses))


def test_patience_ends_the_training(training):
    wrong = examples(*make_images(40, seed=1))
    wrong = Examples(wrong.arrays, wrong.rows, 1 - wrong.labels, wrong.subjects)
    result = fit(training, wrong, epochs=30, patience=2)
    assert result.is_stopped_early
    assert len(result.history) == result.best_epoch + 2


def test_auc_as_monitor_keeps_the_epoch_of_the_largest_auc(training, validation):
    result = fit(training, validation, monitor="auc", learning_rate=0.02)
    best = max(row["validation_auc"] for row in result.history)
    assert result.history[result.best_epoch - 1]["validation_auc"] == best


@pytest.mark.parametrize(("policy", "frozen_blocks"), [("partial", 2), ("linear", 1)])
def test_frozen_tensors_stay_bit_equal(policy, frozen_blocks):
    images = examples(*make_images(16, seed=0, spatial_dims=2))
    model = build_backbone("resnet18", spatial_dims=2, channels=1, n_classes=2)
    freezing = Freezing(blocks("resnet18"), policy, frozen_blocks=frozen_blocks)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fit(images, images, model=model, freezing=freezing, epochs=1, reuse_features="off")
    after = model.state_dict()
    held = {
        name
        for name in after
        if any(name.startswith(f"{part}.") for part in freezing.list_frozen(0))
    }
    assert any(name.endswith("running_mean") for name in held)
    assert all(torch.equal(before[name], after[name]) for name in held)
    assert not any(
        torch.equal(before[name], after[name])
        for name in after.keys() - held
        if name.endswith(("weight", "running_mean"))
    )


def test_not_a_number_names_the_subjects_and_keeps_the_last_state(training, validation, tmp_path):
    def spoil(images, generator):
        spoil.calls += 1
        return images * float("nan") if spoil.calls > 8 else images

    spoil.calls = 0
    state = State(tmp_path / "state.pt", "digest")
    with pytest.raises(TrainingError, match=r"must be finite, got nan.*sub-"):
        fit(training, validation, transform=spoil, state=state)
    assert torch.load(state.path, weights_only=True)["history"][-1]["epoch"] == 1


def test_one_class_cannot_be_trained_on(training, validation):
    alone = Examples(
        training.arrays, training.rows[::2], training.labels[::2], training.subjects[::2]
    )
    with pytest.raises(TrainingError, match="training split: classes must all occur"):
        fit(alone, validation)


def test_validation_of_one_class_can_be_watched_by_loss_only(training, validation):
    alone = Examples(
        validation.arrays, validation.rows[::2], validation.labels[::2], validation.subjects[::2]
    )
    assert fit(training, alone, epochs=1).history[0]["validation_auc"] is None
    with pytest.raises(TrainingError, match="validation split"):
        fit(training, alone, epochs=1, monitor="auc")


@pytest.mark.gpu
def test_mixed_precision_learns_on_a_gpu(training, validation):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    result = fit(training, validation, device=torch.device("cuda"))
    assert result.history[result.best_epoch - 1]["validation_auc"] > 0.95
