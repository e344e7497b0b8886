"""The task and what binds it: each wrong pair is refused, each default works."""

import pytest

from medvision.config.model import load_study
from medvision.config.task import choose_loss
from medvision.errors import ConfigError


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_every_task_works_with_the_default_settings(task):
    study = load_study(None, overrides=[f"data.task={task}"])
    assert (study.data.task, study.train.loss, study.train.monitor) == (task, "auto", "loss")


def test_auto_is_what_the_task_asks_for():
    assert choose_loss("classification", "auto") == "cross_entropy"
    assert choose_loss("multilabel", "auto") == "cross_entropy"
    assert choose_loss("regression", "auto") == "mse"
    assert choose_loss("regression", "huber") == "huber"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.task=regression", "train.loss=focal"], "train.loss must be auto, mse or huber"),
        (["train.loss=huber"], "train.loss must be auto, cross_entropy or focal"),
        (["data.task=regression", "train.monitor=auc"], "train.monitor must be loss or mae"),
        (["data.task=multilabel", "train.monitor=mae"], "train.monitor must be loss or auc"),
        (["data.task=regression", "tune.objective=auc"], "tune.objective must be loss or mae"),
        (["data.findings=[a]"], "data.findings must be empty unless"),
        (["data.task=regression", "data.findings=[a]"], "data.findings must be empty unless"),
        (["data.task=multilabel", "data.positive=a"], "data.positive must be empty"),
        (["data.task=multilabel", "train.imbalance=sampling"], "must be none or weights"),
        (["data.task=regression", "train.label_smoothing=0.1"], "label_smoothing must be 0"),
        (["data.task=regression", "predict.temperature=fit"], "predict.temperature must be off"),
        (["data.task=multilabel", "scorecard.sources=[pretrain]"], "scorecard.sources must be"),
        (["explain.finding=a"], "explain.finding must be empty unless"),
        (["data.task=multilabel", "explain.target=a"], "explain.target must be empty unless"),
        (
            ["tune.trials=1", "tune.space={train.loss: {choices: [cross_entropy, mse]}}"],
            "train.loss must be auto, cross_entropy or focal .* got mse",
        ),
    ],
)
def test_settings_that_do_not_fit_the_task_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_study(None, overrides=overrides)
