"""Networks of findings and of values learn what is there, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fits import FULL, SETTINGS
from toy_study import make_images

from medvision.errors import TrainingError
from medvision.learn.backbones import build_backbone
from medvision.learn.dataset import Examples
from medvision.learn.epochs import State, judge
from medvision.learn.predict import predict_logits
from medvision.learn.train import fit_network
from medvision.runtime.seeds import seed_everything

CPU = torch.device("cpu")


def make_examples(n, *, seed, labels):
    images, _ = make_images(n, seed=seed, labels=np.zeros(n, int))
    return Examples(images, np.arange(n), labels, tuple(f"sub-{row}" for row in range(n)))


def add_findings(n, *, seed):
    """Finding 1 is brightness, finding 2 contrast; neither tells the other."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, 2)) < 0.5).astype(np.float32)
    given = make_examples(n, seed=seed, labels=labels)
    images = given.arrays * (1 + 1.5 * labels[:, 1]).reshape(-1, 1, 1, 1, 1)
    images = images + labels[:, 0].reshape(-1, 1, 1, 1, 1)
    return replace(given, arrays=images.astype(np.float32))


def add_values(n, *, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(170, 8, n).astype(np.float32)
    given = make_examples(n, seed=seed, labels=values)
    images = given.arrays + ((values - 170) / 8).reshape(-1, 1, 1, 1, 1)
    return replace(given, arrays=images.astype(np.float32))


def fit(training, validation, *, task, n_outputs, state=None, should_stop=lambda: False, **changes):
    seed_everything(0)
    model = build_backbone("small", spatial_dims=3, channels=1, n_classes=n_outputs)
    loss = "mse" if task == "regression" else "cross_entropy"
    settings = replace(SETTINGS, **{"epochs": 8, "task": task, "loss": loss, **changes})
    result = fit_network(
        model,
        training,
        validation=validation,
        n_classes=n_outputs,
        settings=settings,
        freezing=FULL,
        seed=0,
        device=CPU,
        transform=None,
        state=state,
        should_stop=should_stop,
    )
    model.load_state_dict(result.tensors)
    return result, model


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_two_findings_are_learnt_at_once(loss):
    training, validation = add_findings(64, seed=0), add_findings(40, seed=1)
    given = {"imbalance": "weights", "monitor": "auc", "loss": loss}
    result, _ = fit(training, validation, task="multilabel", n_outputs=2, **given)
    assert result.history[result.best_epoch - 1]["validation_auc"] > 0.95
    assert result.scale is None


def test_labels_that_are_hidden_do_not_matter():
    """What the hidden entries say never reaches the weights: NaN is NaN."""
    training, validation = add_findings(24, seed=0), add_findings(16, seed=1)
    labels = training.labels.copy()
    labels[:8, 1] = np.nan
    result, _ = fit(
        replace(training, labels=labels), validation, task="multilabel", n_outputs=2, epochs=2
    )
    assert all(np.isfinite(row["train_loss"]) for row in result.history)


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_a_value_is_learnt_and_comes_out_in_its_own_unit(loss):
    training, validation = add_values(64, seed=0), add_values(40, seed=1)
    given = {"monitor": "mae", "loss": loss, "epochs": 12}
    result, model = fit(training, validation, task="regression", n_outputs=1, **given)
    mean, sd = result.scale
    assert mean == pytest.approx(training.labels.mean(), rel=1e-6)
    assert sd == pytest.approx(training.labels.std(), rel=1e-5)
    values = mean + sd * predict_logits(model, validation, device=CPU)[:, 0]
    errors = np.abs(values - validation.labels)
    best = result.history[result.best_epoch - 1]
    assert errors.mean() == pytest.approx(best["validation_mae"], rel=1e-4)
    # The mean alone errs by 0.8 standard deviations of 8.
    assert errors.mean() < 3
    assert best["validation_mae"] == min(row["validation_mae"] for row in result.history)


def test_the_unit_of_a_value_does_not_matter():
    training, validation = add_values(16, seed=0), add_values(8, seed=1)
    one, _ = fit(training, validation, task="regression", n_outputs=1, epochs=1)
    scaled = [replace(e, labels=1000 * e.labels) for e in (training, validation)]
    other, _ = fit(*scaled, task="regression", n_outputs=1, epochs=1)
    first, second = one.history[0], other.history[0]
    assert second["validation_loss"] == pytest.approx(first["validation_loss"], rel=1e-4)
    assert second["validation_mae"] == pytest.approx(1000 * first["validation_mae"], rel=1e-4)


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_a_stopped_training_goes_on_to_the_same_bits(task, tmp_path):
    make = add_findings if task == "multilabel" else add_values
    given = {"task": task, "n_outputs": 2 if task == "multilabel" else 1, "epochs": 3}
    training, validation = make(24, seed=0), make(16, seed=1)
    whole, _ = fit(training, validation, **given)
    state = State(tmp_path / "state.pt", "digest")
    steps = iter([False] * 4 + [True])
    with pytest.raises(Exception, match="left to end"):
        fit(training, validation, state=state, should_stop=lambda: next(steps), **given)
    resumed, _ = fit(training, validation, state=state, **given)
    assert all(torch.equal(whole.tensors[name], resumed.tensors[name]) for name in whole.tensors)
    assert whole.history == resumed.history
    assert whole.scale == resumed.scale


def test_what_cannot_be_learnt_is_refused():
    training, validation = add_findings(16, seed=0), add_findings(8, seed=1)
    without = training.labels.copy()
    without[:, 1] = 0
    with pytest.raises(TrainingError, match="every finding must be there and absent, got 0 and 16"):
        fit(replace(training, labels=without), validation, task="multilabel", n_outputs=2)
    equal = replace(add_values(16, seed=0), labels=np.full(16, 3, np.float32))
    with pytest.raises(TrainingError, match="values must differ"):
        fit(equal, validation, task="regression", n_outputs=1)


def test_less_error_is_better():
    rows = [{"validation_loss": 1.0, "validation_mae": mae} for mae in (3.0, 2.0)]
    assert judge(rows[1], monitor="mae") > judge(rows[0], monitor="mae")


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_a_batch_in_two_passes_is_the_same_step(task):
    """Images know unequal numbers of findings: passes are weighted by what they know."""
    make = add_findings if task == "multilabel" else add_values
    training, validation = make(24, seed=0), make(16, seed=1)
    if task == "multilabel":
        labels = training.labels.copy()
        labels[::3, 1] = np.nan
        training = replace(training, labels=labels)
    given = {"task": task, "n_outputs": 2 if task == "multilabel" else 1, "epochs": 1}
    given |= {"imbalance": "weights", "batch_size": 24}
    whole, _ = fit(training, validation, **given)
    halves, _ = fit(training, validation, accumulation=2, **given)
    # BatchNorm sees the images of one pass; losses before the first step agree all the same.
    assert halves.history[0]["train_loss"] == pytest.approx(
        whole.history[0]["train_loss"], abs=0.05
    )
