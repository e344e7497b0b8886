"""`medvision control`: where nothing leaks it ends at chance, and planted leaks are warned of."""

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from toy_study import SIDE, _write_arrays

from medvision.cli._run import open_step
from medvision.cli.main import main
from medvision.config.model import build_study
from medvision.domain.split import FOLD_COLUMNS
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import read_json, write_json

COLUMNS = ("image_id", "subject", "group", "pixel_digest")


def call(study, *words: str):
    return CliRunner().invoke(main, [words[0], "--config", study.model_dump_json(), *words[1:]])


def run(study, *words: str):
    result = call(study, *words)
    assert result.exit_code == 0, f"{words}\n{result.output}\n{result.exception}"
    return result.output


def make(root: Path, images, *, subjects, labels, splits, digests=None, epochs=1, **sections):
    """A study of one fold, of images (N, 16, 16), up to a network's predictions that are noise."""
    values = {
        "output": {"path": str(root)},
        "model": {"weights": "none"},
        "train": {"epochs": epochs, "batch_size": 8, "learning_rate": 0.01, "patience": epochs},
        "augment": dict.fromkeys(("rotate_degrees", "zoom", "noise_sd", "gain"), 0)
        | {"flip_axes": []},
        "evaluate": {"n_resamples": 300},
        "shortcuts": {"probes": [], "columns": []},
        "compute": {"device": "cpu"},
        **sections,
    }
    study = build_study(values)
    layout = Layout(root)
    names = [f"sub-{s:010x}_img-{n:012x}" for n, s in enumerate(subjects)]
    people = [name.partition("_")[0] for name in names]
    places = [
        {
            "fold": 0,
            "repeat": 0,
            "part": 0,
            "inner": 0,
            "image_id": name,
            "subject": person,
            "label": label,
            "split": split,
        }
        for name, person, label, split in zip(names, people, labels, splits, strict=True)
    ]
    with open_step("cohort", study) as step:
        write_table(step.write(layout.folds), places, columns=FOLD_COLUMNS)
        cells = zip(names, people, people, digests or [""] * len(names), strict=True)
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in cells]
        write_table(step.write(layout.cohort), rows, columns=COLUMNS)
        write_table(step.write(layout.leakage), [], columns=("image_a", "image_b"))
        summary = {"classes": ["no", "yes"], "positive": "yes", "n_folds": 1}
        write_json(step.write(layout.cohort_summary), summary)
    _write_arrays(study, names=names, images=np.asarray(images, dtype=np.float32)[:, np.newaxis])
    with open_step("ingest", study) as step:
        write_table(step.write(layout.manifest), [], columns=("image_id",))
    _predict(study, layout, places)
    return study


def _predict(study, layout, places) -> None:
    """Write the predictions of a network that knows nothing."""
    rng = np.random.default_rng(0)
    rows = []
    for place in places:
        odds = rng.normal()
        share = 1 / (1 + np.exp(-odds))
        values = {"logit_no": 0, "logit_yes": odds}
        values |= {"probability_no": 1 - share, "probability_yes": share}
        rows.append({"arm": "scratch", "seed": 0, **place, **values})
    with open_step("predict", study) as step:
        kept = [row for row in rows if row["split"] != "train"]
        write_table(step.write(layout.predictions), kept, columns=tuple(rows[0]))


def draw_noise(n_images, *, seed=0, grain=4):
    """Blocks of noise, each image its own: what a network can know an image by."""
    rng = np.random.default_rng(seed)
    blocks = rng.normal(0, 1, (n_images, SIDE // grain, SIDE // grain))
    return blocks.repeat(grain, axis=1).repeat(grain, axis=2)


def judge(study, *names: str):
    """Train the controls, and return the rows of what is said of them."""
    for name in names:
        run(study, "control", "--arm", name, "--fold", "0")
    output = run(study, "shortcuts")
    rows = read_table(Layout(study.output.path).table("shortcuts", "controls"))
    return {row["control"]: row for row in rows}, output


def make_copies(root: Path, *, leaks: bool, epochs: int = 40):
    """Each image of train again in validation and test, of other subjects; or other images there.

    The check for copies would have stopped this; here nobody looked.
    """
    n = 24
    kinds = [draw_noise(n, seed=seed) for seed in ((0, 0, 0) if leaks else (0, 1, 2))]
    labels = (["no", "yes"] * n)[:n]
    digests = [f"{k}" if leaks else f"{k}-{side}" for side in range(3) for k in range(n)]
    return make(
        root,
        np.concatenate(kinds),
        subjects=range(3 * n),
        labels=labels * 3,
        splits=[side for side in ("train", "validation", "test") for _ in range(n)],
        digests=digests,
        epochs=epochs,
        control={"trainings": ["permuted"]},
    )


def test_where_nothing_leaks_permuted_labels_end_at_chance(tmp_path: Path) -> None:
    study = make_copies(tmp_path, leaks=False, epochs=4)
    rows, _ = judge(study, "permuted")
    assert rows["permuted"]["verdict"] == "chance"
    assert rows["permuted"]["n_siblings"] == "0"
    assert "ends at chance, as it must where nothing leaks" in rows["permuted"]["words"]
    assert "So few subjects would show a gross leak only." in rows["permuted"]["words"]


def test_copies_on_all_sides_let_permuted_labels_be_told_and_that_is_warned_of(tmp_path) -> None:
    study = make_copies(tmp_path, leaks=True)
    rows, output = judge(study, "permuted")
    row = rows["permuted"]
    assert row["verdict"] == "above-chance", row["words"]
    assert float(row["low"]) > 0.5
    assert "24 of the test images share a subject or a copy with a train image" in row["words"]
    assert row["words"] in output
    facts = read_json(Layout(study.output.path).step("shortcuts") / "shortcuts.json")
    assert facts["warnings"] == [row["words"]]
    dealt = read_table(Layout(study.output.path).root / "control/permuted/fold-0/dealt.tsv")
    assert {row["split"] for row in dealt} == {"train", "validation", "test"}
    by_unit = {}
    for row in dealt:
        assert by_unit.setdefault(row["unit"], row["control_label"]) == row["control_label"]
    assert sum(row["label"] != row["control_label"] for row in dealt) > 20


def make_signed(root: Path, *, n_images=6, epochs=30, trainings=("image-level",)):
    """Subjects whose images are all alike, with labels that nothing else tells."""
    n_subjects = 20
    base = draw_noise(n_subjects, seed=3).repeat(n_images, axis=0)
    noise = np.random.default_rng(1).normal(0, 0.1, base.shape)
    subjects = np.arange(n_subjects).repeat(n_images)
    sides = ("train", "train", "train", "validation", "test")
    return make(
        root,
        base + noise,
        subjects=subjects,
        labels=[("no", "yes")[s // 5 % 2] for s in subjects],
        splits=[sides[s % 5] for s in subjects],
        epochs=epochs,
        control={"trainings": list(trainings)},
    )


def test_what_an_image_level_split_would_have_flattered_is_warned_of(tmp_path: Path) -> None:
    study = make_signed(tmp_path)
    rows, output = judge(study, "image-level")
    row = rows["image-level"]
    assert row["verdict"] == "differs", row["words"]
    assert float(row["difference_low"]) > 0
    assert "Had images and not subjects been split, the figure would have been flattered" in output
    assert "instead of" in row["words"]
    assert int(row["n_siblings"]) > 20
    layout = Layout(study.output.path)
    dealt = read_table(layout.root / "control/image-level/fold-0/dealt.tsv")
    assert all(row["label"] == row["control_label"] for row in dealt)
    predicted = read_table(layout.root / "control/image-level/fold-0/predictions.tsv")
    tested = {row["image_id"] for row in dealt if row["control_split"] == "test"}
    assert {row["image_id"] for row in predicted} == tested


def test_where_each_subject_has_one_image_there_is_nothing_to_compare(tmp_path: Path) -> None:
    study = make_signed(tmp_path, n_images=1, epochs=1)
    rows, output = judge(study, "image-level")
    assert rows["image-level"]["verdict"] == "nothing-to-compare"
    assert "nothing to compare, since no image has another image of the same subject" in output
    folder = Layout(study.output.path).root / "control" / "image-level" / "fold-0"
    assert read_table(folder / "predictions.tsv") == []
    assert json.loads((folder / "summary.json").read_text())["is_trained"] is False


def test_a_control_that_is_not_asked_for_or_of_another_fold_is_refused(tmp_path: Path) -> None:
    study = make_signed(tmp_path, n_images=1, trainings=["permuted"])
    refused = call(study, "control", "--arm", "image-level", "--fold", "0")
    assert "control must be one of control.trainings, got image-level" in refused.output
    assert call(study, "control", "--arm", "permuted", "--fold", "1").exit_code == 2
    missing = call(study, "shortcuts")
    assert missing.exit_code == 12
    assert "step control/permuted/fold-0 must be complete" in missing.output
    assert "medvision control --arm permuted --fold 0" in missing.output


def test_a_control_is_the_same_each_time_and_deals_otherwise_with_another_seed(tmp_path) -> None:
    study = make_signed(tmp_path, n_images=1, epochs=1, trainings=["permuted"])
    folder = Layout(study.output.path).root / "control" / "permuted" / "fold-0"
    held = []
    for seed in (0, 0, 1):
        values = ("--set", f"control.seed={seed}")
        run(study, "control", "--arm", "permuted", "--fold", "0", *values)
        held.append(
            {name: (folder / name).read_bytes() for name in ("predictions.tsv", "dealt.tsv")}
        )
    assert held[0] == held[1]
    assert held[0]["dealt.tsv"] != held[2]["dealt.tsv"]
