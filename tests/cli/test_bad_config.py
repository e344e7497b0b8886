"""Configurations that cannot be run: every fault in one line, and what was probably meant."""

from pathlib import Path

import pytest
from bad_inputs import check_refusal
from click.testing import Result
from pipeline import call
from toy_study import make_study


def ingest(path: Path) -> Result:
    return call(["ingest", "--config", str(path)])


CASES = {
    "no YAML": (
        "data: {kind: [\n",
        ("config.yaml: file must be readable YAML, got", "at line 2, column 1."),
        "close every bracket and quote",
    ),
    "tab": (
        "output:\n  path: x\n\ttrain: {}\n",
        ("cannot start any token at line 3, column 1",),
        "indent with spaces",
    ),
    "section twice": (
        "train: {epochs: 3}\ndata: {kind: phantom}\ntrain: {batch_size: 2}\n",
        ("config.yaml: file must be readable YAML, got the key train a second time at line 3",),
        "keep one of the two",
    ),
    "number to base 60": (
        "train: {epochs: 1:30}\n",
        ("got 1:30, which YAML reads as a number to base 60, at line 1, column 17.",),
        "put quotes round what is a text",
    ),
    "words": ("just words", ("file must hold sections, got a str",), "write `section:` lines"),
    "list": ("- train\n", ("file must hold sections, got a list",), "write `section:` lines"),
    "unknown key": (
        "train: {epoch: 3}\n",
        ("train.epoch: key must be known, got epoch. Did you mean epochs?",),
        "docs/reference/config.md",
    ),
    "key of another section": (
        "train: {folds: 3}\n",
        ("train.folds: key must be known, got folds. It belongs to section cohort.",),
        "docs/reference/config.md",
    ),
    "unknown section": (
        "mdoel: {backbone: small}\n",
        ("mdoel: key must be known, got mdoel. Did you mean model?",),
        "docs/reference/config.md",
    ),
    "wrong types": (
        "train: {epochs: many, batch_size: 2.5}\ndata: {kind: dcm}\n",
        (
            "data.kind: value must be 'dicom', 'nifti' or 'phantom', got 'dcm'.",
            "train.epochs: value must be a valid integer",
            "train.batch_size: value must be a valid integer",
        ),
        "docs/reference/config.md",
    ),
    "empty section": (
        "cohort:\n",
        ("cohort: section must hold fields, `name: value`, got nothing.",),
        "docs/reference/config.md",
    ),
    "value for a section": (
        "model: small\n",
        ("model: section must hold fields, `name: value`, got 'small'.",),
        "docs/reference/config.md",
    ),
    "no labels": (
        "data: {kind: dicom, path: scans}\n",
        ("config: data.path and data.labels must be given for kind dicom.",),
        "docs/reference/config.md",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_is_refused_with_each_fault_in_a_line(case: str, tmp_path: Path) -> None:
    text, messages, hint = CASES[case]
    path = tmp_path / "config.yaml"
    path.write_text(text)
    result = ingest(path)
    check_refusal(result, 2, *messages, hint)
    assert len(result.output.splitlines()) == len(messages) + 1 - messages[-1].startswith("at ")


def test_a_file_that_is_not_there_is_refused_with_where_it_was_looked_for(tmp_path: Path) -> None:
    result = ingest(tmp_path / "none.yaml")
    check_refusal(result, 2, "none.yaml: no such file", f"working directory, {Path.cwd()}")


def test_a_folder_for_a_file_is_refused(tmp_path: Path) -> None:
    check_refusal(ingest(tmp_path), 2, "is a directory")


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes("report: {title: Früh}\n".encode("latin-1"))
    check_refusal(ingest(path), 2, "config.yaml: file must be readable YAML", "UTF-8")


def train(root: Path, arm: str, *, fold: int = 0, **sections: object) -> Result:
    study = make_study(root, **sections)
    options = ["--arm", arm, "--fold", str(fold)]
    return call(["train", "--config", study.model_dump_json(), *options])


def test_an_arm_that_is_not_configured_is_refused_with_the_key_that_adds_it(
    tmp_path: Path,
) -> None:
    sections = {"model": {"weights": "pretrain"}, "train": {"compare_scratch": False}}
    check_refusal(
        train(tmp_path / "a", "scratch", **sections),
        2,
        "--arm: arm must be one of transfer for model.weights pretrain, got scratch.",
        "set train.compare_scratch to true",
    )
    check_refusal(
        train(tmp_path / "b", "transfer"),
        2,
        "--arm: arm must be one of scratch for model.weights none, got transfer.",
        "set model.weights to pretrain",
    )


def test_a_fold_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    result = train(tmp_path, "scratch", fold=7)
    check_refusal(result, 2, "--fold: fold must be one of 0, 1, got 7.", "folds count from 0")


def test_a_gpu_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = train(tmp_path, "scratch", compute={"device": "cuda"})
    message = "compute.device: a CUDA GPU must be visible, got none."
    check_refusal(result, 2, message, "set compute.device to auto or cpu")
