"""The paragraph on training says what was set, and nothing that was not."""

from medvision.config.model import build_study
from medvision.report.sources import Sources
from medvision.report.training import write_training


def write(**train):
    study = build_study({"train": train})
    settings = {"train": study.settings("train")["train"], "model": {"weights": "pretrain"}}
    return write_training(Sources(tables={}, settings=settings), lambda key: f"[{key}]")


def test_defaults_are_said_as_they_are():
    text = write()
    assert "AdamW [adamw] for at most 18 epochs (batch 8, peak learning rate 0.001" in text
    assert "one cycle)" in text
    for word in ("focal", "smoothed", "clipped", "average", "passes", "block"):
        assert word not in text


def test_what_was_set_is_said():
    text = write(
        optimizer="sgd",
        schedule="plateau",
        warm_up_epochs=2,
        loss="focal",
        clip_norm=1.0,
        ema=0.99,
        accumulation=4,
        depth_decay=0.8,
    )
    for words in (
        "momentum 0.9 [sgd]",
        "batch 8 in 4 passes",
        "multiplied by 0.1 after 3 epochs without improvement after a linear warm-up of 2 epochs",
        "focal loss [focal] with gamma 2.0",
        "clipped at norm 1.0",
        "decay 0.99) was validated and kept [ema]",
        "factor 0.8 from each block to the one below [depth]",
    ):
        assert words in text, words


def test_smoothing_is_said():
    assert "smoothed by 0.1 [smoothing]" in write(label_smoothing=0.1, schedule="cosine")


def write_task(task, **train):
    study = build_study({"data": {"task": task}, "train": train})
    settings = {
        "train": study.settings("train")["train"],
        "data": study.settings("cohort")["data"],
        "model": {"weights": "none"},
    }
    return write_training(Sources(tables={}, settings=settings), lambda key: f"[{key}]")


def test_the_loss_of_findings_and_of_values_is_named():
    assert "fitted by its binary cross-entropy;" in write_task("multilabel")
    assert "The focal loss of each finding [focal]" in write_task("multilabel", loss="focal")
    assert "fitted by the mean squared error, in standard" in write_task("regression")
    assert "fitted by Huber's loss [huber], in standard" in write_task("regression", loss="huber")
    assert "weighted" not in write_task("regression")
