"""`medvision gate`: what it refuses and by which criterion, writes, resumes, and never takes."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from planted_drawn import draw_new, gate, make_judged, plant_drawn, read_train
from synthetic_generators import Cohort, collapse, copy_train, swap_labels

from medvision.cli import gate as step
from medvision.cli._recompute.saliency import find_saliency_faults
from medvision.cli._run import read_record
from medvision.cli._synthetic.mix import Drawn
from medvision.config.model import Study
from medvision.domain.synthesis.criterion import Criterion, Refusal, close_gate
from medvision.errors import DataError
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import hash_file

CRITERIA = ("quality", "diversity", "memorisation", "membership", "fidelity", "saliency")


def folder_of(root: Path, fold: int = 0) -> Path:
    return root / "results" / "gate" / f"fold-{fold}"


def judge(root: Path, made: Cohort, **sections):
    """Judge planted images with the real command; return (gate.json, criteria, images)."""
    study = make_judged(root, **sections)
    plant_drawn(study, made)
    result = gate(study)
    assert result.exit_code == 0, f"{result.output}\n{result.exception}"
    return read_verdict(root)


def read_verdict(root: Path):
    folder = folder_of(root)
    tables = (read_table(folder / f"{name}.tsv") for name in ("criteria", "images"))
    return json.loads((folder / "gate.json").read_text()), *tables


def list_refusing(criteria) -> set[str]:
    return {row["criterion"] for row in criteria if row["verdict"] == "refused"}


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A gate before images of new subjects; tests read it and change nothing."""
    root = tmp_path_factory.mktemp("honest")
    judge(root, draw_new(48, seed=77))
    return root


def test_images_of_new_subjects_pass_and_every_criterion_is_asked_in_its_spaces(honest) -> None:
    verdict, criteria, images = read_verdict(honest)
    assert verdict["is_open"] is True
    assert {row["criterion"] for row in criteria} == set(CRITERIA)
    spaces = {row["space"] for row in criteria}
    assert spaces == {"backbone", "fixed", "pixels", "look-alikes", "classifier", "all methods"}
    assert {row["verdict"] for row in criteria} == {"passed", "described"}
    assert verdict["n_drawn"] == 48 == len(images)
    assert verdict["n_accepted"] == sum(row["accepted"] == "true" for row in images)
    assert verdict["n_accepted"] + verdict["n_refused"] == 48


def test_an_open_gate_accepts_all_images_but_those_refused_one_by_one(honest) -> None:
    verdict, _, images = read_verdict(honest)
    drawn = read_table(honest / "results/synthesise/fold-0/images.tsv")
    for own, other in zip(images, drawn, strict=True):
        assert [own[name] for name in ("image_id", "row", "label")] == [
            other[name] for name in ("image_id", "row", "label")
        ]
    refused = [row for row in images if row["accepted"] == "false"]
    assert 0 < len(refused) == verdict["n_refused"]
    assert all("near copy" in row["reason"] or "look-alike" in row["reason"] for row in refused)
    assert all(not row["reason"] for row in images if row["accepted"] == "true")


def test_the_record_names_what_was_read_and_the_verdict_which_networks_looked(honest) -> None:
    record = read_record(Layout(honest / "results"), "gate/fold-0")
    assert record is not None
    for name in ("images.npy", "images.tsv", "images.json"):
        assert f"synthesise/fold-0/{name}" in record.reads
    own = {"criteria.tsv", "images.tsv", "gate.json"}
    assert set(record.writes) == {f"gate/fold-0/{name}" for name in own}
    verdict, *_ = read_verdict(honest)
    names = {row["space"]: row for row in verdict["networks"]}
    assert "never trained" in names["fixed"]["name"]
    assert verdict["classifier_digest"] == names["backbone"]["digest"]
    assert not (folder_of(honest) / "resume").exists()


@pytest.mark.parametrize("alteration", ["none", "flip", "noise"])
def test_a_generator_that_copies_its_train_images_is_refused_for_copies(
    tmp_path, alteration: str
) -> None:
    study = make_judged(tmp_path)
    made = copy_train(read_train(study), n=48, alteration=alteration)
    verdict, criteria, images = judge(tmp_path, made)
    assert verdict["is_open"] is False
    assert "memorisation" in list_refusing(criteria)
    # The images are faultless, which is why quality alone would let them through.
    assert not {"quality", "fidelity"} & list_refusing(criteria)
    assert verdict["n_refused"] == 48
    assert verdict["n_accepted"] == 0
    assert all(row["accepted"] == "false" for row in images)
    assert any("train image" in row["reason"] for row in images)


def test_a_collapsed_generator_is_refused_for_its_lack_of_variety(tmp_path) -> None:
    verdict, criteria, _ = judge(tmp_path, collapse(draw_new(48, seed=77)))
    assert verdict["is_open"] is False
    assert "diversity" in list_refusing(criteria)
    assert not {"memorisation", "fidelity"} & list_refusing(criteria)
    assert "diversity (refused)" in verdict["reason"]


def test_a_generator_of_the_wrong_class_is_refused_by_the_classifier(tmp_path) -> None:
    verdict, criteria, images = judge(tmp_path, swap_labels(draw_new(48, seed=77)))
    assert verdict["is_open"] is False
    rows = [row for row in criteria if row["criterion"] == "fidelity"]
    assert [row["verdict"] for row in rows] == ["refused", "refused"]
    assert not {"quality", "memorisation"} & list_refusing(criteria)
    assert all(row["reason"].endswith("the gate is shut") for row in images)


def test_a_class_of_which_nothing_was_drawn_is_not_judged_and_shuts_nothing(tmp_path) -> None:
    new = draw_new(96, seed=77)
    own = new.labels == 1
    verdict, criteria, _ = judge(
        tmp_path, Cohort(new.images[own], new.labels[own], new.clusters[own])
    )
    found = {row["statistic"]: row for row in criteria}
    assert found["difference of agreement: benign"]["verdict"] == "described"
    assert found["difference of agreement: nodule"]["verdict"] == "passed"
    assert "width of class benign" not in found
    assert "undecided" not in {row["verdict"] for row in criteria}
    assert verdict["is_open"] is True


def test_noise_is_refused_for_its_quality(tmp_path) -> None:
    made = draw_new(48, seed=77)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 2, made.images.shape).astype(np.float32)
    verdict, criteria, _ = judge(tmp_path, Cohort(noise, made.labels, made.clusters))
    assert verdict["is_open"] is False
    assert "quality" in list_refusing(criteria)


def test_what_was_refused_is_said_in_words_in_the_log(tmp_path) -> None:
    study = make_judged(tmp_path)
    plant_drawn(study, collapse(draw_new(48, seed=77)))
    said = " ".join(gate(study).output.split())
    assert "gate of fold 0: shut" in said
    assert "more alike than real ones" in said


def test_saliency_is_asked_where_all_else_has_passed_and_its_rows_are_judged_again(
    tmp_path,
) -> None:
    few = {"explained": 8, "real_networks": 2, "methods": ("integrated_gradients",)}
    sections = {"gate": {"repeats": 60, **few}, "explain": {"occlusion_stride": (4, 4, 1)}}
    verdict, criteria, _ = judge(tmp_path, draw_new(48, seed=77), **sections)
    rows = [row for row in criteria if row["criterion"] == "saliency"]
    assert {row["statistic"] for row in rows} > {"loss of deletion", "checks that can tell"}
    assert verdict["is_open"] is not bool({"refused", "undecided"} & {r["verdict"] for r in rows})
    record = read_record(Layout(tmp_path / "results"), "gate/fold-0")
    assert record is not None
    assert "gate/fold-0/saliency.tsv" in record.writes
    assert not (folder_of(tmp_path) / "resume").exists()
    assert find_saliency_faults(lambda path: find_file(tmp_path / "results", path)) == []


def find_file(root: Path, path: str) -> Path:
    if not (root / path).is_file():
        raise DataError(f"{path}: file must be there, got none.")
    return root / path


@pytest.mark.parametrize("is_open", [True, False])
def test_saliency_is_asked_last_and_of_the_accepted_images_alone(monkeypatch, is_open) -> None:
    def answer(verdict: str) -> Criterion:
        nan = float("nan")
        return Criterion(*("saliency", "", "", nan, nan, nan, 0, nan, nan), "", verdict, "")

    asked = []

    def ask(_job, _plain, drawn, *, rules):
        assert rules.n_repeats == Study().gate.repeats
        asked.append(drawn)
        return [answer("refused")]

    monkeypatch.setattr(step, "ask_saliency", ask)
    drawn = Drawn(np.arange(3.0, dtype=np.float32), ("a", "b", "c"), ("x", "y", "x"))
    before = close_gate([answer("passed" if is_open else "refused")], [Refusal(1, "a copy")])
    job = SimpleNamespace(step=SimpleNamespace(study=Study()))
    after = step._ask_last(job, None, drawn, verdict=before)
    assert [(own.names, own.labels, own.images.tolist()) for own in asked] == (
        [(("a", "c"), ("x", "x"), [0.0, 2.0])] if is_open else []
    )
    assert after.is_open is False
    assert after.refused == before.refused


def test_volumes_are_judged_alike(tmp_path) -> None:
    three = {"spatial_dims": 3, "n_images": 48, "gate": {"repeats": 20, "explained": 0}}
    study = make_judged(tmp_path, **three)
    made = copy_train(read_train(study), n=16, alteration="none")
    verdict, criteria, _ = judge(tmp_path, made, **three)
    assert verdict["n_refused"] == 16
    assert "memorisation" in list_refusing(criteria)


def test_few_validation_subjects_leave_it_undecided_and_shut(tmp_path) -> None:
    verdict, criteria, _ = judge(tmp_path, draw_new(8, seed=77), n_images=8)
    undecided = {
        row["criterion"]: row["reason"] for row in criteria if row["verdict"] == "undecided"
    }
    assert "too few validation subjects to tell" in undecided["membership"]
    assert verdict["is_open"] is False
    assert "membership (undecided)" in verdict["reason"]


def test_without_drawn_images_the_step_that_draws_them_is_named(tmp_path) -> None:
    result = gate(make_judged(tmp_path))
    assert result.exit_code != 0
    assert "step synthesise/fold-0 must be complete" in result.output
    assert "medvision synthesise --fold 0" in result.output


def test_without_a_generator_there_is_nothing_to_judge(tmp_path) -> None:
    result = gate(make_judged(tmp_path, synthesise={"generator": "none"}))
    assert result.exit_code == 2
    assert "synthesise.generator: value must be gan" in result.output


def fit_record(study: Study, step: str, path: Path) -> None:
    """Let a step's record say that a file is as it wrote it."""
    place = Layout(study.output.path).record(step)
    record = json.loads(place.read_text())
    record["writes"][f"{step}/{path.name}"] = hash_file(path)
    place.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("images.json", b'{"synthetic": false}', "synthetic must be true, got False"),
        ("images.npy", "float64", "array must be (8, 1, 16, 16) float32"),
        ("images.tsv", {"image_id": "synthetic_fold-0_class-0_000001"}, "image must stand once"),
        ("images.tsv", {"fold": "1"}, "fold of synthetic_fold-0_class-0_000000 must be 0, got 1"),
        ("images.tsv", {"label": "cyst"}, "must be benign or nodule, got cyst"),
    ],
)
def test_what_was_drawn_is_held_to_every_rule_before_anything_is_trained(
    tmp_path, name, content, words, monkeypatch
) -> None:
    study = make_judged(tmp_path)
    plant_drawn(study, draw_new(8, seed=77))
    path = Layout(study.output.path).step("synthesise/fold-0") / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        np.save(path, np.load(path).astype(content))
    else:
        rows = read_table(path)
        if "image_id" in content:
            content = {"image_id": rows[1]["image_id"]}
        rows[0] |= content
        write_table(path, rows, columns=list(rows[0]))
    fit_record(study, "synthesise/fold-0", path)
    monkeypatch.setattr("medvision.cli.gate.fit_seed", None)
    result = gate(study)
    assert result.exit_code in (3, 5), result.output
    assert words in result.output


@pytest.mark.parametrize("cells", [{"synthetic": "false"}, {"image_id": "sub-1_img-1"}])
def test_images_that_have_lost_their_mark_end_it_before_anything_is_trained(
    tmp_path, cells: dict[str, str], monkeypatch
) -> None:
    study = make_judged(tmp_path)
    plant_drawn(study, draw_new(8, seed=77))
    path = Layout(study.output.path).step("synthesise/fold-0") / "images.tsv"
    rows = read_table(path)
    rows[0] |= cells
    write_table(path, rows, columns=list(rows[0]))
    fit_record(study, "synthesise/fold-0", path)
    monkeypatch.setattr("medvision.cli.gate.fit_seed", None)
    result = gate(study)
    assert result.exit_code == 5
    assert "every image must be marked synthetic" in result.output
    assert not (folder_of(tmp_path) / "record.json").exists()


def test_images_that_were_changed_afterwards_are_not_judged(tmp_path, monkeypatch) -> None:
    study = make_judged(tmp_path)
    plant_drawn(study, draw_new(8, seed=77))
    path = Layout(study.output.path).step("synthesise/fold-0") / "images.npy"
    images = np.load(path)
    np.save(path, images + 1)
    monkeypatch.setattr("medvision.cli.gate.fit_seed", None)
    result = gate(study)
    assert result.exit_code != 0
    assert "synthesise/fold-0/images.npy: file must be as its step wrote it" in result.output


def test_images_of_a_generator_that_saw_other_folds_are_not_judged(tmp_path, monkeypatch) -> None:
    study = make_judged(tmp_path)
    plant_drawn(study, draw_new(8, seed=77))
    layout = Layout(study.output.path)
    rows = read_table(layout.folds)
    sides = {"train": "test", "test": "train"}
    swapped = [{**row, "split": sides.get(row["split"], row["split"])} for row in rows]
    write_table(layout.folds, swapped, columns=list(rows[0]))
    fit_record(study, "cohort", layout.folds)
    monkeypatch.setattr("medvision.cli.gate.fit_seed", None)
    result = gate(study)
    assert result.exit_code == 12, result.output
    said = "synthesise/fold-0/record.json: cohort/folds.tsv that was read must be the one that lies"
    assert said in result.output
    assert "medvision synthesise --fold 0" in result.output


def test_an_interrupted_gate_goes_on_and_ends_with_the_same_bytes(
    honest, tmp_path, monkeypatch
) -> None:
    from medvision.cli._gate import judge as _gate_judge

    study = make_judged(tmp_path)
    plant_drawn(study, draw_new(48, seed=77))
    fit, epochs = step.fit_seed, []

    def stop_in_the_middle(job, seed, *, watch):
        is_first = not folder_of(tmp_path).joinpath("resume/state.pt").exists()
        own = replace(
            watch,
            on_epoch=epochs.append,
            should_stop=lambda: is_first and len(epochs) >= 5,
        )
        return fit(job, seed, watch=own)

    monkeypatch.setattr(step, "fit_seed", stop_in_the_middle)
    stopped = gate(study)
    assert stopped.exit_code == 75
    assert not any((folder_of(tmp_path) / n).exists() for n in ("gate.json", "record.json"))
    judge_generator = _gate_judge.judge_generator
    monkeypatch.setattr(_gate_judge, "judge_generator", None)
    assert gate(study).exit_code != 0
    assert not (folder_of(tmp_path) / "gate.json").exists()
    monkeypatch.setattr(_gate_judge, "judge_generator", judge_generator)
    assert gate(study).exit_code == 0
    for name in ("criteria.tsv", "images.tsv", "gate.json"):
        assert (folder_of(tmp_path) / name).read_bytes() == (folder_of(honest) / name).read_bytes()
