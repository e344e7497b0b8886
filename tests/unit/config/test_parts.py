"""The job of each step is given the keys it stands on: its command reads no other."""

import pytest

from medvision.config.model import Study, build_study
from medvision.config.parts import list_keys, select_config
from medvision.config.steps import STEP_SECTIONS
from medvision.domain.obeyed import HEEDED_FIELDS, UNHEEDED_FIELDS

GAN = {"synthesise": {"generator": "gan"}}
ASKED = {
    **GAN,
    "scorecard": {"sources": ["pretrain"]},
    "control": {"trainings": ["permuted"]},
}


def find_rerun(key: str, values: dict[str, dict[str, object]]) -> set[str]:
    """The steps whose job changes with a key."""
    section, field = key.split(".")
    study = build_study(values)
    return {step for step in STEP_SECTIONS if field in list_keys(study, step).get(section, set())}


LATE = {"report", "audit", "publish"}
AFTER_TRAINING = {"predict", "evaluate", "plan", "explain", "shortcuts"} | LATE


@pytest.mark.parametrize(
    ("key", "steps"),
    [
        ("synthesise.use", {"train"} | AFTER_TRAINING),
        (
            "synthesise.steps",
            {"synthesise", "gate", "train", "ablate", "ablation"} | AFTER_TRAINING,
        ),
        ("explain.images", {"plan", "explain"} | LATE),
        ("explain.influence", {"plan", "explain"} | LATE),
        ("explain.shards", {"explain", "report", "audit"}),
        ("explain.baseline", {"gate", "train"} | AFTER_TRAINING),
        ("gate.explained", {"gate", "train"} | AFTER_TRAINING),
        ("gate.level", {"gate", "train", "ablate", "ablation"} | AFTER_TRAINING),
        ("train.epochs", set(STEP_SECTIONS) - {
            *("phantom", "pull", "fetch", "ingest", "measure", "cohort", "preprocess", "pretrain"),
            *("synthesise",),
        }),
        ("tune.trials", {"tune", "gate", "train", "control"} | AFTER_TRAINING),
        ("evaluate.seed", {"evaluate", "compare", "shortcuts", "ablation"} | LATE),
        ("report.title", LATE),
        ("publish.target", {"publish"}),
        ("output.umask", set()),
        ("cluster.site", set()),
    ],
)  # fmt: skip
def test_a_change_of_a_key_reruns_what_stands_on_it(key: str, steps: set[str]) -> None:
    assert find_rerun(key, ASKED) == steps


def test_what_judges_images_that_no_network_sees_trains_none() -> None:
    values = {**ASKED, "synthesise": {"generator": "gan", "use": "none"}}
    for key in ("synthesise.steps", "gate.level", "explain.baseline"):
        assert not find_rerun(key, values) & {"train", "predict", "evaluate", "control"}


def test_a_study_without_a_source_task_stands_on_none() -> None:
    values: dict[str, dict[str, object]] = {"model": {"weights": "none"}}
    assert find_rerun("pretrain.epochs", values) == set()


def test_the_scorecard_alone_may_ask_for_the_source_task() -> None:
    values: dict[str, dict[str, object]] = {
        "model": {"weights": "none"},
        "scorecard": {"sources": ["pretrain"]},
    }
    part = select_config(values, build_study(values), "pretrain")
    assert build_study(part).needs_pretraining


@pytest.mark.parametrize("step", ["pull", "fetch", "ingest"])
def test_pseudonyms_are_made_with_the_key_that_was_given(step: str) -> None:
    values: dict[str, dict[str, object]] = {"ingest": {"key": "mine.key", "workers": 2}}
    part = select_config(values, build_study(values), step)
    assert part["ingest"]["key"] == "mine.key"
    assert ("workers" in part["ingest"]) == (step == "ingest")


def test_what_a_user_leaves_out_is_left_out() -> None:
    values: dict[str, dict[str, object]] = {"explain": {"images": 3}, "train": {"epochs": 2}}
    assert select_config(values, build_study(values), "train") == {"train": {"epochs": 2}}


@pytest.mark.parametrize("step", STEP_SECTIONS)
def test_a_record_has_what_its_step_was_given(step: str) -> None:
    study = build_study(ASKED)
    keys = list_keys(study, step)
    for section, values in study.settings(step).items():
        assert isinstance(values, dict)
        assert set(values) <= keys[section]


def test_every_exception_names_fields_that_exist() -> None:
    for table in (HEEDED_FIELDS, UNHEEDED_FIELDS):
        for (step, section), fields in table.items():
            assert section in STEP_SECTIONS[step]
            assert fields < Study.list_fields(section)
