"""Claims about the configuration: typed, strict, and clear about what is wrong."""

import json
from pathlib import Path

import pytest

from medvision.config.export import DOCUMENTS
from medvision.config.model import Study, build_study, load_study
from medvision.errors import ConfigError


@pytest.mark.parametrize("name", DOCUMENTS)
def test_generated_documents_have_not_drifted(name: str, checkout: Path) -> None:
    assert (checkout / name).read_text() == DOCUMENTS[name](), "run `make docs`"


def test_default_yaml_is_the_default(checkout: Path) -> None:
    assert load_study(checkout / "config" / "default.yaml") == Study()


def test_config_yaml_holds_only_what_differs_or_must_be_seen(checkout: Path) -> None:
    assert load_study(checkout / "config" / "config.yaml") == Study()


def test_a_password_of_mlflow_is_no_setting() -> None:
    with pytest.raises(ConfigError, match=r"train.mlflow must hold no user or password") as caught:
        build_study({"train": {"mlflow": "https://me:canary-5Fz@mlflow.invalid"}})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"train": {"epoch": 3}}, ["train.epoch", "Did you mean epochs?"]),
        ({"trian": {}}, ["trian", "Did you mean train?"]),
        (
            {"train": {"spacing_mm": [1, 1, 1]}},
            ["train.spacing_mm", "belongs to section preprocess"],
        ),
        ({"train": {"epochs": 0}}, ["train.epochs", "greater than or equal to 1", "got 0"]),
        ({"model": {"backbone": "vgg"}}, ["model.backbone", "'densenet121'", "got 'vgg'"]),
        ({"data": {"kind": "dicom"}}, ["data.path and data.labels must be given"]),
        ({"preprocess": {"window": [200, -1000]}}, ["preprocess.window must rise"]),
        ({"output": {"umask": 0o27}}, ["output.umask must be text in quotes, such as '027'"]),
        ({"output": {"umask": "29"}}, ["output.umask", "got '29'"]),
    ],
)
def test_a_fault_says_where_what_rule_and_what_was_found(
    values: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        build_study(values)
    for word in words:
        assert word in caught.value.message


@pytest.mark.parametrize("text", ["train", "train=3", ".epochs=3"])
def test_a_malformed_override_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"section\.field=value"):
        load_study(None, overrides=[text])


def test_overrides_win_over_the_file() -> None:
    study = load_study(json.dumps({"train": {"epochs": 3}}), overrides=["train.epochs=5"])
    assert study.train.epochs == 5


def test_unreadable_yaml_is_a_config_error(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("data: [")
    with pytest.raises(ConfigError, match="readable YAML"):
        load_study(path)


def test_settings_hold_only_what_the_step_obeys_and_no_path() -> None:
    study = build_study(
        {"data": {"kind": "nifti", "path": "/home/jane", "labels": "/home/jane/l.csv"}}
    )
    settings = study.settings("ingest")
    assert set(settings) == {"data", "ingest"}
    assert "jane" not in json.dumps(settings)


@pytest.mark.parametrize(
    ("model", "compare", "arms"),
    [
        ("none", True, ("scratch",)),
        ("pretrain", True, ("transfer", "scratch")),
        ("w.pt", False, ("transfer",)),
    ],
)
def test_arms_follow_weights(model: str, compare: bool, arms: tuple[str, ...]) -> None:
    study = build_study({"model": {"weights": model}, "train": {"compare_scratch": compare}})
    assert study.arms == arms


def test_a_bare_off_in_yaml_is_the_word_and_no_other_choice_takes_false(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("cohort: {near_duplicates: off}\ntrain: {amp: off}\n")
    study = load_study(path)
    assert (study.cohort.near_duplicates, study.train.amp) == ("off", "off")
    with pytest.raises(ConfigError, match="on_leakage"):
        build_study({"cohort": {"on_leakage": False}})


def test_a_prevalence_is_a_number_or_names_that_yaml_may_read_as_numbers(tmp_path: Path) -> None:
    section = load_study(json.dumps({"evaluate": {"prevalence": 0.1}})).evaluate
    assert section.prevalence == 0.1
    path = tmp_path / "config.yaml"
    path.write_text("evaluate: {prevalence: {0: 0.25, 1: 0.75}}")
    assert load_study(path).evaluate.prevalence == {"0": 0.25, "1": 0.75}
    path.write_text("evaluate: {prevalence: {no: 0.25, yes: 0.75}}")
    with pytest.raises(ConfigError, match="names in quotation marks where YAML reads no or false"):
        load_study(path)
    with pytest.raises(ConfigError, match=r"evaluate\.prevalence"):
        load_study(json.dumps({"evaluate": {"prevalence": {"yes": 1.5}}}))


def test_every_default_is_written_as_it_is_read() -> None:
    # A record holds what was read; a seal holds it against what the configuration says.
    written = Study().model_dump_json()
    assert Study.model_validate_json(written).model_dump_json() == written


@pytest.mark.parametrize(
    ("images", "shards", "kind"),
    [
        *(("auto", 1, "files"), ("auto", 2, "packs"), ("auto", 1000, "packs")),
        *(
            ("files", 1, "files"),
            ("files", 9, "files"),
            ("packs", 1, "packs"),
            ("packs", 9, "packs"),
        ),
    ],
)
def test_images_are_in_packs_where_ingestion_is_divided_unless_it_is_said(
    images: str, shards: int, kind: str
) -> None:
    assert build_study({"ingest": {"images": images, "shards": shards}}).ingest.image_kind == kind
    assert build_study({"ingest": {"shards": shards}}).ingest.images == "auto"
