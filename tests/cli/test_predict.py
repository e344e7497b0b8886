"""`medvision predict`: one row per held-out image, arm, fold and seed."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from predicted import SETTINGS
from toy_study import make_study

from medvision.cli._inference import finish
from medvision.cli._recompute.gathered import find_gathered_faults
from medvision.cli._recompute.predictions import find_prediction_faults
from medvision.cli.main import main
from medvision.config.model import build_study
from medvision.config.predict import PredictSection
from medvision.domain.arms import ALL_SEEDS
from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.intended_use import RESEARCH_USE
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.temperature import FITTED, fit_temperature
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.runtime.checkpoint import read_tensors, save_tensors
from medvision.runtime.files import hash_file, read_json, write_json


def run(study, *arguments: str):
    return CliRunner().invoke(main, [*arguments, "--config", study.model_dump_json()])


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    study = make_study(
        tmp_path_factory.mktemp("predicted"),
        train={"epochs": 1, "seeds": [0, 3]},
        augment={"flip_axes": [0]},
    )
    for fold in ("0", "1"):
        result = run(study, "train", "--arm", "scratch", "--fold", fold)
        assert result.exit_code == 0, result.output
    result = run(study, "predict")
    assert result.exit_code == 0, result.output
    return study


def test_every_held_out_image_has_one_row_per_arm_fold_and_seed(predicted):
    layout = Layout(predicted.output.path)
    found = [
        tuple(row[name] for name in ("arm", "fold", "seed", "split", "image_id"))
        for row in read_table(layout.predictions)
    ]
    expected = [
        ("scratch", row["fold"], seed, row["split"], row["image_id"])
        for row in read_table(layout.folds)
        for seed in ("0", "3")
        if row["split"] != "train"
    ]
    assert sorted(found) == sorted(expected)


def test_probabilities_sum_to_one_and_agree_with_the_logits(predicted):
    for row in read_table(Layout(predicted.output.path).predictions):
        share = {name: float(row[f"probability_{name}"]) for name in ("benign", "nodule")}
        logit = {name: float(row[f"logit_{name}"]) for name in ("benign", "nodule")}
        assert sum(share.values()) == pytest.approx(1, abs=1e-8)
        assert row["predicted"] == max(share, key=share.get) == max(logit, key=logit.get)


def test_every_prediction_and_model_says_that_it_is_for_research_use(predicted):
    layout = Layout(predicted.output.path)
    rows = read_table(layout.predictions, required=("intended_use",))
    assert {row["intended_use"] for row in rows} == {RESEARCH_USE}
    for path in layout.step("train").rglob("*.safetensors"):
        assert read_tensors(path)[1]["intended_use"] == RESEARCH_USE


def test_predicting_again_gives_the_same_bytes(predicted):
    path = Layout(predicted.output.path).predictions
    before = path.read_bytes()
    assert run(predicted, "predict").exit_code == 0
    assert path.read_bytes() == before


def list_parts(layout):
    return [layout.fold_step("scratch", fold, stage="predict") for fold in (0, 1)]


def copy_study(study, folder):
    shutil.copytree(study.output.path, folder)
    copy = build_study(study.model_dump() | {"output": {"path": str(folder)}})
    return copy, Layout(folder)


def drop_predictions(layout):
    shutil.rmtree(layout.step("predict"))


def read_tree(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", ["plain", "ensemble"])
def test_parts_in_any_order_and_gathered_are_the_bytes_of_the_whole_command(
    kind, predicted, request, tmp_path
):
    whole = predicted if kind == "plain" else request.getfixturevalue("scaled")
    copy, layout = copy_study(whole, tmp_path / "copy")
    wanted = read_tree(layout.step("predict"))
    drop_predictions(layout)
    for fold in ("1", "0"):
        assert run(copy, "predict", "--arm", "scratch", "--fold", fold).exit_code == 0
    assert not layout.predictions.exists()
    assert run(copy, "predict").exit_code == 0
    assert read_tree(layout.step("predict")) == wanted


def test_gathered_tables_are_the_parts_rows_and_every_record_says_what_it_read(predicted):
    layout = Layout(predicted.output.path)
    for name in ("predictions", "temperatures"):
        rows = [row for part in list_parts(layout) for row in read_table(layout.table(part, name))]
        assert rows == read_table(layout.table("predict", name))
    for fold, part in enumerate(list_parts(layout)):
        reads = read_json(layout.record(part))["reads"]
        models = {path for path in reads if path.startswith("train/")}
        assert models == {f"train/scratch/fold-{fold}/seed-{n}/model.safetensors" for n in (0, 3)}
    gathered = read_json(layout.record("predict"))["reads"]
    assert sorted(gathered) == sorted(
        f"{part}/{name}.tsv"
        for part in list_parts(layout)
        for name in ("predictions", "temperatures")
    )


def test_nothing_of_another_fold_is_needed_for_a_part(predicted, tmp_path):
    copy, layout = copy_study(predicted, tmp_path / "copy")
    wanted = layout.table(list_parts(layout)[0], "predictions").read_bytes()
    drop_predictions(layout)
    shutil.rmtree(layout.fold("scratch", 1))
    assert run(copy, "predict", "--arm", "scratch", "--fold", "0").exit_code == 0
    assert layout.table(list_parts(layout)[0], "predictions").read_bytes() == wanted


def edit_part(copy, layout):
    path = layout.table(list_parts(layout)[0], "predictions")
    path.write_text(path.read_text().replace("benign", "nodule"))


def lose_part(copy, layout):
    layout.table(list_parts(layout)[0], "temperatures").unlink()


def lose_record(copy, layout):
    layout.record(list_parts(layout)[0]).unlink()


def train_again(copy, layout):
    model = layout.model("scratch", 0, seed=3)
    tensors, meta = read_tensors(model)
    save_tensors(model, {name: 2 * value for name, value in tensors.items()}, metadata=meta)
    path = layout.record("train/scratch/fold-0")
    record = read_json(path)
    record["writes"][model.relative_to(layout.root).as_posix()] = hash_file(model)
    write_json(path, record)


def change_nothing(copy, layout):
    pass


@pytest.mark.parametrize(
    ("change", "n_again"),
    [(change_nothing, 0), (edit_part, 1), (lose_part, 1), (lose_record, 1), (train_again, 1)],
)
def test_what_is_up_to_date_is_not_computed_again_and_all_else_is(
    change, n_again, predicted, tmp_path
):
    copy, layout = copy_study(predicted, tmp_path / "copy")
    change(copy, layout)
    before = {part: layout.record(part) for part in list_parts(layout)}
    times = {part: path.stat().st_mtime_ns for part, path in before.items() if path.exists()}
    result = run(copy, "predict")
    assert result.exit_code == 0, result.output
    again = [p for p in before if before[p].stat().st_mtime_ns != times.get(p)]
    assert again == list_parts(layout)[:n_again]
    is_same = (
        layout.predictions.read_bytes() == Layout(predicted.output.path).predictions.read_bytes()
    )
    assert is_same == (change is not train_again)


def find_faults_of_gathered(layout):
    return find_gathered_faults(lambda name: layout.root / name)


def test_an_audit_puts_the_tables_together_again(predicted, scaled, tmp_path):
    assert find_faults_of_gathered(Layout(predicted.output.path)) == []
    _, layout = copy_study(scaled, tmp_path / "copy")
    assert find_faults_of_gathered(layout) == []
    path = layout.predictions
    lines = path.read_text().splitlines(keepends=True)
    for edited, thing in (
        (lines[:-1], f"row {len(lines) - 1}"),
        ([*lines, lines[-1]], f"row {len(lines)}"),
        ([lines[0], *lines[:0:-1]], "row 1"),
    ):
        path.write_text("".join(edited))
        (fault,) = find_faults_of_gathered(layout)
        assert (fault.where, fault.thing) == ("predict/predictions.tsv", thing)


@pytest.mark.parametrize("options", [("--arm", "scratch"), ("--fold", "0")])
def test_half_a_part_is_refused(options, predicted):
    result = run(predicted, "predict", *options)
    assert result.exit_code == 2
    assert "options must be given together" in result.output


def test_fold_that_the_study_has_not_is_named(predicted):
    result = run(predicted, "predict", "--arm", "scratch", "--fold", "7")
    assert result.exit_code == 12
    assert "step train/scratch/fold-7 must be complete" in result.output


def test_untrained_fold_is_named(tmp_path):
    study = make_study(tmp_path, train={"epochs": 1})
    assert run(study, "train", "--arm", "scratch", "--fold", "0").exit_code == 0
    result = run(study, "predict")
    assert result.exit_code == 12
    assert "train/scratch/fold-1" in result.output
    assert not Layout(study.output.path).step("predict").exists()


VIEWS = {"views": ["flip", "shift", "zoom"], "ensemble": "seeds"}


def predict_otherwise(predicted, folder, **settings):
    """Predict again with other settings of the section, in a copy of the study."""
    shutil.copytree(predicted.output.path, folder)
    values = predicted.model_dump() | {"output": {"path": str(folder)}, "predict": settings}
    study = build_study(values)
    result = run(study, "predict")
    assert result.exit_code == 0, result.output
    return study


@pytest.fixture(scope="module")
def unscaled(predicted, tmp_path_factory):
    return predict_otherwise(predicted, tmp_path_factory.mktemp("off") / "copy", **VIEWS)


@pytest.fixture(scope="module")
def scaled(predicted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "copy"
    fitted = {"temperature": "fit", "temperature_subjects": 1}
    return predict_otherwise(predicted, folder, **fitted, **VIEWS)


def read_logits(study):
    """(fold, seed, split) to image to logits, and the same of the labels' positions."""
    found = {}
    for row in read_table(Layout(study.output.path).predictions):
        place = found.setdefault((row["fold"], row["seed"], row["split"]), {})
        logits = [float(row[f"logit_{name}"]) for name in ("benign", "nodule")]
        place[row["image_id"]] = (logits, ["benign", "nodule"].index(row["label"]))
    return {
        key: (np.array([pair[0] for pair in held.values()]), [pair[1] for pair in held.values()])
        for key, held in found.items()
    }


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_views_change_what_is_predicted_and_no_image_is_lost(predicted, unscaled):
    plain, seen = read_logits(predicted), read_logits(unscaled)
    assert plain.keys() < seen.keys()
    for key, (logits, labels) in plain.items():
        assert labels == seen[key][1]
        assert not np.allclose(softmax(logits), softmax(seen[key][0]), atol=1e-6)


def test_an_ensemble_is_the_mean_of_the_seeds_probabilities_in_both_splits(unscaled):
    found = read_logits(unscaled)
    for fold in ("0", "1"):
        for split in ("validation", "test"):
            singles = [softmax(found[fold, seed, split][0]) for seed in ("0", "3")]
            pooled = softmax(found[fold, "all", split][0])
            assert pooled == pytest.approx(np.mean(singles, axis=0), abs=1e-8)
    rows = read_table(Layout(unscaled.output.path).predictions)
    assert {row["arm"] for row in rows if row["seed"] == "all"} == {"scratch-ensemble"}


def test_without_temperature_the_table_of_temperatures_is_empty(unscaled):
    assert read_table(Layout(unscaled.output.path).table("predict", "temperatures")) == []


def test_each_network_and_each_ensemble_has_the_temperature_of_its_validation(unscaled, scaled):
    raw, final = read_logits(unscaled), read_logits(scaled)
    rows = read_table(Layout(scaled.output.path).table("predict", "temperatures"))
    assert FITTED in {row["rule"] for row in rows}
    assert [(row["fold"], row["seed"]) for row in rows] == [
        (fold, seed) for fold in ("0", "1") for seed in ("0", "3", "all")
    ]
    for row in rows:
        logits, labels = raw[row["fold"], row["seed"], "validation"]
        wanted = fit_temperature(logits, np.array(labels))
        assert float(row["temperature"]) == pytest.approx(wanted.value, rel=1e-6)
        assert float(row["nll_after"]) <= float(row["nll_before"])
        assert (int(row["n_images"]), row["rule"]) == (len(labels), wanted.rule)
        for split in ("validation", "test"):
            key = row["fold"], row["seed"], split
            scale = float(row["temperature"])
            assert final[key][0] == pytest.approx(raw[key][0] / scale, rel=1e-6, abs=1e-8)


def test_a_temperature_keeps_the_order_of_two_classes_and_so_the_auc_of_a_fold(unscaled, scaled):
    raw, final = read_logits(unscaled), read_logits(scaled)
    for key in raw:
        orders = [np.argsort(held[key][0] @ [-1, 1], kind="stable") for held in (raw, final)]
        assert orders[0].tolist() == orders[1].tolist()


def test_an_ensemble_is_evaluated_as_an_arm_with_thresholds_of_its_own(unscaled):
    rows = read_table(Layout(unscaled.output.path).predictions)
    result = evaluate_predictions(
        rows,
        {},
        classes=Classes(("benign", "nodule"), "nodule"),
        settings=SETTINGS,
        variables={},
    )
    assert list(result.curves) == ["scratch", "scratch-ensemble"]
    assert result.seeds == (0, 3)
    own = [item for item in result.thresholds if item.arm == "scratch-ensemble"]
    assert {(item.fold, item.seed) for item in own} == {(0, ALL_SEEDS), (1, ALL_SEEDS)}
    pairs = {(item.arm_a, item.arm_b) for item in result.differences}
    assert pairs == {("scratch-ensemble", "scratch")}


FIT = PredictSection(temperature="fit", temperature_subjects=20)


class Fold:
    """As much of a study's data as the last step of prediction looks at."""

    classes = ("benign", "nodule")
    task = "classification"

    def __init__(self, **labels):
        self.labels = labels

    def select(self, _fold, split):
        return [
            SimpleNamespace(label=self.classes[label], subject=f"s{n // 2}")
            for n, label in enumerate(self.labels[split])
        ]


def test_test_labels_have_no_say_in_the_temperature_and_validation_labels_have():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 60)
    logits = generator.normal(size=(60, 2)) + 2 * np.eye(2)[truth]
    members = [{"validation": logits, "test": logits[::-1]}]

    def scale(**labels):
        return finish(Fold(**labels), members, place=("scratch", 0, 0), section=FIT)

    held = scale(validation=truth, test=truth[::-1])
    assert held.temperatures[""].rule == FITTED
    planted = scale(validation=truth, test=1 - truth)
    assert planted.temperatures == held.temperatures
    assert np.array_equal(planted.logits["test"], held.logits["test"])
    assert scale(validation=1 - truth, test=truth[::-1]).temperatures != held.temperatures


def test_too_few_validation_subjects_leave_the_logits_as_they_are_and_say_so():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 38)
    logits = generator.normal(size=(38, 2)) + 2 * np.eye(2)[truth]
    members, fold = [{"validation": logits, "test": logits}], Fold(validation=truth, test=truth)
    held = finish(fold, members, place=("scratch", 0, 0), section=FIT)
    assert held.temperatures[""].value == 1
    assert held.temperatures[""].rule == "1, 19 validation subjects, fewer than 20"
    assert held.temperatures[""].nll_after == held.temperatures[""].nll_before
    assert np.array_equal(held.logits["test"], logits)
    fewer = PredictSection(temperature="fit", temperature_subjects=19)
    assert finish(fold, members, place=("scratch", 0, 0), section=fewer).temperatures[""].value != 1


class Findings:
    """The same of two findings, of which the second is not known of every fourth image."""

    classes = ("Mass", "Nodule")
    task = "multilabel"

    def __init__(self, truth):
        self.truth = truth

    def select(self, _fold, _split):
        return [
            SimpleNamespace(label=self.write(n), subject=f"s{n}") for n in range(len(self.truth))
        ]

    def write(self, n):
        there = ["Mass"] if self.truth[n, 0] else []
        if n % 4 == 0:
            return "|".join([*there, "Nodule?"])
        return "|".join([*there, *(["Nodule"] if self.truth[n, 1] else [])]) or "No Finding"


def test_each_finding_has_the_temperature_of_a_study_of_this_finding_alone():
    generator = np.random.default_rng(3)
    truth = generator.random((80, 2)) < 0.4
    logits = np.array([1.0, 5.0]) * (generator.normal(size=(80, 2)) + 1.4 * (2 * truth - 1))
    members = [{"validation": logits, "test": logits[::-1]}]
    held = finish(Findings(truth), members, place=("scratch", 0, 0), section=FIT)
    assert list(held.temperatures) == ["Mass", "Nodule"]
    for n, (name, known) in enumerate(
        (("Mass", np.ones(80, bool)), ("Nodule", np.arange(80) % 4 > 0))
    ):
        pairs = np.stack([np.zeros(known.sum()), logits[known, n]], axis=1)
        wanted = fit_temperature(pairs, truth[known, n].astype(int))
        assert held.temperatures[name] == wanted
        assert held.logits["test"][:, n] == pytest.approx(logits[::-1, n] / wanted.value)
    assert held.temperatures["Nodule"].value > 2 * held.temperatures["Mass"].value


def find_faults(study):
    return find_prediction_faults(lambda path: study.output.path / path)


def edit(study, folder, change, name="predictions"):
    """Change the rows of a table in a copy of the study."""
    shutil.copytree(study.output.path, folder)
    layout = Layout(folder)
    path = layout.table("predict", name)
    rows = [dict(row) for row in read_table(path)]
    for row in rows:
        change(row)
    write_table(path, rows, columns=list(rows[0]))
    return find_prediction_faults(lambda where: folder / where)


def test_an_auditor_finds_predictions_sound_whatever_was_set(predicted, unscaled, scaled):
    assert [find_faults(study) for study in (predicted, unscaled, scaled)] == [[], [], []]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_an_edited_ensemble_is_found(scaled, tmp_path, split):
    def plant(row):
        if (row["seed"], row["split"], row["fold"]) == ("all", split, "1"):
            row["logit_nodule"] = str(float(row["logit_nodule"]) + 0.01)

    found = {fault.thing for fault in edit(scaled, tmp_path / "copy", plant)}
    assert f"ensemble of scratch, fold 1, {split}" in found
    assert f"probabilities of scratch-ensemble, fold 1, {split}" in found
    assert not any("fold 0" in thing for thing in found)


def test_a_missing_ensemble_is_found(unscaled, tmp_path):
    def plant(row):
        row["arm"] = row["arm"].removesuffix("-ensemble")

    found = edit(unscaled, tmp_path / "copy", plant)
    assert {fault.found for fault in found} == {"0 of them"}


def test_a_temperature_that_is_not_the_best_of_validation_is_found(scaled, tmp_path):
    def plant(row):
        if row["rule"] == FITTED:
            row["temperature"] = str(1.5 * float(row["temperature"]))

    found = edit(scaled, tmp_path / "copy", plant, name="temperatures")
    assert any(fault.thing.startswith("loss before of scratch") for fault in found)


def test_a_temperature_fitted_on_other_labels_is_found(scaled, tmp_path):
    def plant(row):
        if row["split"] == "validation":
            row["label"] = "nodule" if row["label"] == "benign" else "benign"

    assert any(f.where.endswith("temperatures.tsv") for f in edit(scaled, tmp_path / "a", plant))

    def harmless(row):
        if row["split"] == "test":
            row["label"] = "nodule" if row["label"] == "benign" else "benign"

    assert edit(scaled, tmp_path / "b", harmless) == []
