"""TensorBoard's files hold what the history holds."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from medvision.learn.board import open_board


def test_event_files_hold_every_figure_of_every_epoch(tmp_path):
    with open_board(tmp_path) as add:
        add({"epoch": 1, "train_loss": 0.5, "validation_auc": None})
        add({"epoch": 2, "train_loss": 0.25, "validation_auc": 0.75})
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train_loss")] == [(1, 0.5), (2, 0.25)]
    assert [(e.step, e.value) for e in events.Scalars("validation_auc")] == [(2, 0.75)]
